"""What all routes share: the deployments, the log, who may ask, and how a request is answered.

The routes that answer predictions are bare ASGI: one read of the body, one validator, one call of the model, one append
to the durable log, one ready response. An answer is sent when its log record is durable.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Final, NamedTuple, cast

import numpy as np
from starlette.types import Receive, Scope, Send

from trunkline.brokers import GroupCommit, Message
from trunkline.checks.edge import EdgeValidator, Judged
from trunkline.contracts import Contract
from trunkline.contracts.expressions import RowValue
from trunkline.contracts.kinds import Scalar
from trunkline.errors import UnavailableError, UnknownNameError
from trunkline.serve.access import Access
from trunkline.serve.deployments import Deployment, Loaded
from trunkline.serve.devices import DeviceRegistry
from trunkline.serve.metrics import Metrics
from trunkline.serve.options import refuse_unknown_options
from trunkline.serve.recording import PREDICTIONS, RequestIds, prediction_lines
from trunkline.serve.refusals import Answer, RefusedRequestError, RefusedRowsError, refused
from trunkline.serve.together import Asked, Together
from trunkline.settings.serve import Role, ServeSettings

__all__ = ["Endpoint", "Predicted", "Service"]

_ROWS_ON_THE_LOOP: Final = 32
_logger = logging.getLogger(__name__)

Reasons = list[tuple[str, float]]


class Predicted(NamedTuple):
    """Answers to the rows of one request, in their order.

    Attributes:
        request: The request's id.
        loaded: The model that answered.
        scores: Calibrated probability, or the predicted value.
        decisions: Score at or above the threshold; None for a regression.
        reasons: The features that moved each score most; None where nobody asked.
    """

    request: str
    loaded: Loaded
    scores: Sequence[float]
    decisions: Sequence[bool | None]
    reasons: Sequence[Reasons] | None


@dataclass
class Service:
    """A running server.

    Attributes:
        deployments: Use case by name.
        settings: Limits.
        access: Keys and roles.
        metrics: Counters.
        clock: Gives the present instant, UTC.
        broken: Use cases that are installed and cannot be served, and why.
        devices: The devices that may write; None where there is no registry.
        log: Appends to the durable log; there while the server runs.
        request_id: Gives the id of the next request.
        together: Scores and logs single rows.
    """

    deployments: Mapping[str, Deployment]
    settings: ServeSettings
    access: Access
    metrics: Metrics
    clock: Callable[[], datetime]
    broken: Mapping[str, str] = field(default_factory=dict)
    devices: DeviceRegistry | None = None
    log: GroupCommit | None = None
    request_id: RequestIds = field(default_factory=RequestIds)
    together: Together = field(init=False)

    def __post_init__(self) -> None:
        """Let single rows share what can be shared."""
        self.together = Together(self.append, clock=self.clock)

    def deployment(self, name: str) -> Deployment:
        """Find a use case.

        Raises:
            UnknownNameError: It is not served here.
            UnavailableError: It is installed and broken.
        """
        if name in self.broken:
            raise UnavailableError(f"the use case {name!r} is broken", next_step="see /v2/health/ready")
        if name not in self.deployments:
            raise UnknownNameError(
                f"there is no use case {name[:60]!r} with a model here",
                allowed=sorted(known for known, deployment in self.deployments.items() if deployment.current),
            )
        return self.deployments[name]

    async def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Write messages; durable when this returns.

        Raises:
            UnavailableError: The log took nothing.
        """
        if self.log is None:
            raise UnavailableError("the server is starting or stopping", next_step="try again in a second")
        await self.log.append(topic, messages)

    async def predict(
        self, deployment: Deployment, loaded: Loaded, judged: Sequence[Judged], *, reasons: int = 0
    ) -> Predicted:
        """Answer rows and log the answers.

        Args:
            deployment: The use case.
            loaded: The model to ask.
            judged: The rows with their verdicts.
            reasons: Features to name per row; 0 names none.

        Raises:
            RowsRefusedError: A row breaks the contract; none is answered then.
            RefusedRequestError: There are too many rows.
            UnavailableError: The log took nothing; nothing was answered.
            MissingExtraError: Reasons of this model need an extra that is not installed.
        """
        # No feature is an instant or a day, so what the model reads of a row is what it can read.
        accepted = self.accepted(deployment.usecase.name, judged, contract=deployment.usecase.contract)
        rows = cast("list[Mapping[str, RowValue]]", accepted)
        usecase, request = deployment.usecase, self.request_id()
        named = None
        if len(rows) == 1 and not reasons:
            row_score = await self.together.score(Asked(loaded, usecase.name, usecase.entity_key, request, rows[0]))
            scores = [row_score]
        else:
            loop = asyncio.get_running_loop()
            if len(rows) <= _ROWS_ON_THE_LOOP:
                scores = loaded.scores(rows)
            else:
                scores = await loop.run_in_executor(None, loaded.scores, rows)
            if reasons:
                named = await loop.run_in_executor(None, _reasons, loaded, rows, reasons)
            lines = prediction_lines(
                loaded,
                usecase=usecase.name,
                request=request,
                rows=rows,
                keys=usecase.entity_key,
                scores=scores,
                at=self.clock(),
            )
            await self.append(PREDICTIONS, (Message(lines),))
        self.metrics.count_predictions(usecase.name, version=loaded.live.version, rows=len(rows))
        threshold = loaded.threshold
        decisions = [None if threshold is None else score >= threshold for score in scores]
        return Predicted(request, loaded, scores, decisions, named)

    def predict_soon(
        self,
        deployment: Deployment,
        loaded: Loaded,
        row: Mapping[str, RowValue],
        answered: Callable[[Predicted | Exception], None],
    ) -> bool:
        """Answer one row and log the answer, without a task.

        Args:
            deployment: The use case.
            loaded: The model to ask.
            row: A row without a fault.
            answered: Told the answer once it is durable, or why there is none: now, or when the loop has turned. Where
                it raises at an answer it is told that error instead.

        Returns:
            Whether it is or will be told; False where the log makes its callers wait, or is not there.
        """
        if self.log is None or not self.log.is_quick:
            return False
        usecase, request = deployment.usecase, self.request_id()

        def scored(score: float | Exception) -> None:
            if isinstance(score, Exception):
                answered(score)
                return
            try:
                self.metrics.count_predictions(usecase.name, version=loaded.live.version, rows=1)
                threshold = loaded.threshold
                decision = None if threshold is None else score >= threshold
                answered(Predicted(request, loaded, (score,), (decision,), None))
            except Exception as error:  # noqa: BLE001 - who asked must not wait for ever
                answered(error)

        self.together.ask(
            Asked(loaded, usecase.name, usecase.entity_key, request, row), scored, append=self.log.append_now
        )
        return True

    async def judged(self, validator: EdgeValidator, body: bytes) -> list[Judged]:
        """Judge the rows of a body; many of them beside the event loop, too many not at all.

        Raises:
            InputError: The body is not JSON of a known form.
            RefusedRequestError: There are too many rows.
        """
        messages = validator.messages(body)
        self.refuse_many(len(messages))
        if len(messages) <= _ROWS_ON_THE_LOOP:
            return [validator.judge(message) for message in messages]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: [validator.judge(message) for message in messages])

    def refuse_many(self, rows: int) -> None:
        """Refuse more rows than one request may bring, before any of them costs anything.

        Raises:
            RefusedRequestError: There are too many.
        """
        if rows > self.settings.max_rows:
            raise RefusedRequestError(
                f"{rows} rows are too many for one request",
                status=413,
                next_step=f"send at most {self.settings.max_rows} at once, or use: trunkline predict",
            )

    def accepted(
        self, usecase: str, judged: Sequence[Judged], *, contract: type[Contract], verb: str = "answered"
    ) -> list[Mapping[str, Scalar | None]]:
        """Give the rows if all are good.

        Args:
            usecase: The use case, for the counters.
            judged: The rows with their verdicts.
            contract: What they were judged by.
            verb: What is done with rows that are good.

        Raises:
            RefusedRowsError: One is not; carries the reasons of each refused row.
            RefusedRequestError: There are too many rows.
        """
        self.refuse_many(len(judged))
        refused = {position: one.reasons for position, one in enumerate(judged) if one.reasons}
        if refused:
            self.metrics.refused_rows.labels(usecase).inc(len(refused))
            raise RefusedRowsError(refused, rows=len(judged), contract=contract, verb=verb)
        return [one.row for one in judged]


class Endpoint(ABC):
    """A route as bare ASGI: role, body, answer, response.

    Args:
        service: What all routes share.
        route: Its name in the metrics.
        role: The least role that may use it.
        options: What may stand behind the ``?`` of its address; anything else is refused.
    """

    def __init__(self, service: Service, *, route: str, role: Role, options: Sequence[str] = ()) -> None:
        self.service = service
        self._options = options
        self.role: Role = role
        self._counts = service.metrics.route(route)
        self._max_bytes = int(service.settings.max_body_mb * (1 << 20))

    @abstractmethod
    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """Answer one request; any exception becomes a refusal."""

    def admit(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            RefusedRequestError: 401 without a known key, 403 when its role is not enough.
        """
        self.service.access.require(self.role, headers=scope["headers"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = perf_counter()
        try:
            self.admit(scope)
            if scope["query_string"]:
                refuse_unknown_options(scope, self._options)
            body = await self._body(receive)
            if body is None:
                return
            answer = await self.answer(scope, body)
        except Exception as error:  # noqa: BLE001 - every error is an answer, told and counted
            answer = refused(error)
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        self._counts.add(answer.status, seconds=perf_counter() - begun)

    def offer(self, scope: Scope, body: bytes, deliver: Callable[[Answer], None]) -> bool:
        """Take a request whose body is there, and answer it without a task of its own.

        Args:
            scope: The request.
            body: All of it.
            deliver: Told the answer :meth:`__call__` would give, once: now, or when the loop has turned. What it raises
                goes to the log.

        Returns:
            Whether it was taken; one that was not goes through :meth:`__call__`.
        """
        begun = perf_counter()
        is_answered = False

        def answered(answer: Answer) -> None:
            nonlocal is_answered
            if is_answered:  # what fails after an answer is no second answer
                return
            is_answered = True
            try:
                deliver(answer)
            except Exception:  # the connection's own fault: others are being answered
                _logger.exception("an answer could not be delivered")
            self._counts.add(answer.status, seconds=perf_counter() - begun)

        if len(body) > self._max_bytes:
            return False
        try:
            access, headers = self.service.access, scope["headers"]
            access.refuse_strangers(headers)
            self.admit(scope)
            return self.take(scope, body, answered)
        except Exception as error:  # noqa: BLE001 - every error is an answer, told and counted
            answered(refused(error))
            return True

    def take(self, scope: Scope, body: bytes, answered: Callable[[Answer], None]) -> bool:  # noqa: ARG002 - see offer
        """Answer without a task, for endpoints that can; False where the request is none for that.

        Any exception becomes a refusal.
        """
        return False

    def refuse_large(self, size: int) -> None:
        """Refuse a body of so many bytes if it is too large.

        Raises:
            RefusedRequestError: It is.
        """
        if size > self._max_bytes:
            raise RefusedRequestError(
                "the request is too large",
                status=413,
                next_step=f"send at most {self.service.settings.max_body_mb:g} MiB at once",
            )

    async def _body(self, receive: Receive) -> bytes | None:
        """Read the body; None when the client has gone.

        Raises:
            RefusedRequestError: It is too large.
        """
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            body = body + part if body else part
            self.refuse_large(len(body))
            if not message.get("more_body"):
                return body


def _reasons(loaded: Loaded, rows: Sequence[Mapping[str, RowValue]], top: int) -> list[Reasons]:
    from trunkline.tasks.explanation import contributions, strongest

    base = np.concatenate([loaded.encode(row) for row in rows])
    moved, _ = contributions(loaded.model, base)
    return [strongest(loaded.model.base.names, moved[position], top=top) for position in range(len(rows))]

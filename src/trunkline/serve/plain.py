"""The plain form of the API: rows as the contract's JSON, answers as people read them.

``POST /v1/{usecase}/predict`` and ``POST /v1/{usecase}/outcomes`` take one object, an array, ``{"rows": [...]}`` or one
object per line. If any row breaks the contract the answer is 422 with the reasons of each such row, and nothing was
done.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from starlette.types import Scope

from trunkline.brokers import Message
from trunkline.checks.edge import edge_validator
from trunkline.checks.hints import Hint
from trunkline.contracts.expressions import RowValue
from trunkline.contracts.kinds import Scalar
from trunkline.serve.deployments import Deployment
from trunkline.serve.options import wanted_reasons
from trunkline.serve.recording import OUTCOMES, OutcomeMessage, outcome_lines
from trunkline.serve.refusals import Answer, RefusedRowsError, json_answer, refused
from trunkline.serve.service import Endpoint, Predicted, Service

__all__ = ["OutcomesEndpoint", "PredictEndpoint"]

_CLASSES: Final = (0.0, 1.0)
_AHEAD: Final = timedelta(days=1)
"""How far ahead of the server's clock a truth may be: clocks differ, and a day may end later elsewhere."""

_HINTS: Final[Mapping[str, Hint]] = {
    "value.class": {"allowed": ("0", "1")},
    "observed_at.future": {"allowed": ("an instant at which the truth was known, at most a day ahead of now",)},
}


class PredictEndpoint(Endpoint):
    """``POST /v1/{usecase}/predict``."""

    def __init__(self, service: Service, *, deployment: Deployment) -> None:
        super().__init__(service, route="predict", role="reader", options=("reasons",))
        self._deployment = deployment
        self._key_parts = len(deployment.usecase.entity_key)

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """Answer rows, with reasons on request."""
        deployment = self._deployment
        reasons = wanted_reasons(scope)
        loaded = deployment.loaded()
        judged = await self.service.judged(deployment.validator, body)
        names = loaded.features
        empty = {
            at: ("features.absent",)
            for at, one in enumerate(judged)
            if not one.reasons and all(one.row.get(name) is None for name in names)
        }
        if empty:
            hints: Mapping[str, Hint] = {"features.absent": {"allowed": [f"a value for one of: {', '.join(names)}"]}}
            raise RefusedRowsError(empty, rows=len(judged), hints=hints)
        return self._answer(await self.service.predict(deployment, loaded, judged, reasons=reasons))

    def take(self, scope: Scope, body: bytes, answered: Callable[[Answer], None]) -> bool:
        """Answer one good row; anything else is for :meth:`answer`."""
        if scope["query_string"]:
            return False
        deployment = self._deployment
        validator = deployment.validator
        messages = validator.messages(body)
        if len(messages) != 1:
            return False
        message = messages[0]
        judged = validator.judge(message)
        if judged.reasons:
            return False
        told = list(cast("Mapping[str, object]", message).values())
        if len(told) - told.count(None) <= self._key_parts:
            return False  # with nothing beside its key

        def predicted(found: Predicted | Exception) -> None:
            answered(refused(found) if isinstance(found, Exception) else self._answer(found))

        # No feature is an instant or a day, so what the model reads of a row is what it can read.
        row = cast("Mapping[str, RowValue]", judged.row)
        return self.service.predict_soon(deployment, deployment.loaded(), row, predicted)

    def _answer(self, found: Predicted) -> Answer:
        loaded = found.loaded
        rows: list[dict[str, object]] = [
            {"prediction_id": f"{found.request}-{position}", "score": score, "decision": decision}
            for position, (score, decision) in enumerate(zip(found.scores, found.decisions, strict=True))
        ]
        if found.reasons is not None:
            for row, named in zip(rows, found.reasons, strict=True):
                row["reasons"] = [{"feature": name, "contribution": moved} for name, moved in named]
        return json_answer(
            {
                "request_id": found.request,
                "usecase": self._deployment.usecase.name,
                "model_version": loaded.live.version,
                "alias": loaded.alias,
                "rows": rows,
            }
        )


class OutcomesEndpoint(Endpoint):
    """``POST /v1/{usecase}/outcomes``."""

    def __init__(self, service: Service, *, deployment: Deployment) -> None:
        super().__init__(service, route="outcomes", role="operator")
        self._deployment = deployment
        self._validator = edge_validator(OutcomeMessage)
        task = deployment.usecase.task
        self._is_class = task is not None and task.name == "classification"

    async def answer(self, scope: Scope, body: bytes) -> Answer:  # noqa: ARG002 - every endpoint has this form
        """Take ground truths in; answered when they are durable."""
        usecase = self._deployment.usecase.name
        judged = await self.service.judged(self._validator, body)
        rows = self.service.accepted(usecase, judged, contract=OutcomeMessage, verb="accepted")
        now = self.service.clock()
        odd = {at: reasons for at, row in enumerate(rows) if (reasons := self._odd(row, latest=now + _AHEAD))}
        if odd:
            self.service.metrics.refused_rows.labels(usecase).inc(len(odd))
            raise RefusedRowsError(odd, rows=len(rows), hints=_HINTS, verb="accepted")
        lines, ids = outcome_lines(self._protected(rows), usecase=usecase, at=now)
        await self.service.append(OUTCOMES, (Message(lines),))
        self.service.metrics.outcomes.labels(usecase).inc(len(rows))
        return json_answer(
            {"request_id": self.service.request_id(), "usecase": usecase, "accepted": len(ids), "outcome_ids": ids}
        )

    def _odd(self, row: Mapping[str, Scalar | None], *, latest: datetime) -> tuple[str, ...]:
        """What no contract says of an outcome: a truth of another kind than the task's, or one of days to come."""
        observed_at = row["observed_at"]
        is_odd = {
            "value.class": self._is_class and row["value"] not in _CLASSES,
            "observed_at.future": isinstance(observed_at, datetime) and observed_at > latest,
        }
        return tuple(reason for reason, broken in is_odd.items() if broken)

    def _protected(self, rows: Sequence[Mapping[str, Scalar | None]]) -> Sequence[Mapping[str, Scalar | None]]:
        """Name the entities as the predictions do."""
        pseudonyms = self._deployment.pseudonyms
        if pseudonyms is None:
            return rows
        fields = self._deployment.usecase.entity_key
        return [{**row, "entity_key": pseudonyms.key(fields, str(row["entity_key"]))} for row in rows]

"""Requests that arrive together are answered together: one call of the model, one commit of the log.

The first request of a turn of the event loop is answered at once. Others that the same turn brought wait for its end
and share what follows, so nobody waits for anybody who is not there yet: with one client nothing is ever kept, with
many the cost of a call and of a commit is divided by those who share it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from trunkline.brokers import Message
from trunkline.contracts.expressions import RowValue
from trunkline.serve.deployments import Loaded
from trunkline.serve.recording import PREDICTIONS, prediction_lines

__all__ = ["Asked", "Together"]

_logger = logging.getLogger(__name__)


class Asked(NamedTuple):
    """One row of one request.

    Attributes:
        loaded: The model to ask.
        usecase: The use case.
        keys: Fields of the entity's key.
        request: The request's id.
        row: The typed row.
    """

    loaded: Loaded
    usecase: str
    keys: tuple[str, ...]
    request: str
    row: Mapping[str, RowValue]


class Together:
    """Scores and logs single rows.

    Args:
        append: Writes messages of a topic durably.
        clock: Gives the present instant, UTC.
    """

    def __init__(
        self, append: Callable[[str, Sequence[Message]], Awaitable[None]], *, clock: Callable[[], datetime]
    ) -> None:
        self._append = append
        self._clock = clock
        self._had_one = False
        self._waiting: list[tuple[Asked, Callable[[float | Exception], None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def score(self, asked: Asked) -> float:
        """Score a row and log the answer; durable on return.

        Args:
            asked: The row and whom to ask.

        Raises:
            UnavailableError: The log took nothing; nothing was answered.
        """
        loop = asyncio.get_running_loop()
        if not self._had_one:
            self._had_one = True
            loop.call_soon(self._next_turn)
            scores, messages = self._scored([asked])
            await self._append(PREDICTIONS, messages)
            return scores[0]
        waiter: asyncio.Future[float] = loop.create_future()

        def scored(score: float | Exception) -> None:
            if waiter.done():  # its request was cancelled meanwhile
                return
            if isinstance(score, Exception):
                waiter.set_exception(score)
            else:
                waiter.set_result(score)

        self._waiting.append((asked, scored))
        return await waiter

    def ask(
        self,
        asked: Asked,
        scored: Callable[[float | Exception], None],
        *,
        append: Callable[[str, Sequence[Message]], None],
    ) -> None:
        """Score a row and log the answer, without a coroutine.

        Args:
            asked: The row and whom to ask.
            scored: Told the score once it is durable, or what went wrong: before this returns, or in the next turn.
                What it raises goes to the log and harms nobody else.
            append: Writes messages of a topic durably, without waiting.
        """
        if self._had_one:
            self._waiting.append((asked, scored))
            return
        self._had_one = True
        asyncio.get_running_loop().call_soon(self._next_turn)
        try:
            scores, messages = self._scored([asked])
            append(PREDICTIONS, messages)
        except Exception as error:  # noqa: BLE001 - it belongs to who asked
            _tell(scored, error)
        else:
            _tell(scored, scores[0])

    def _next_turn(self) -> None:
        """Begin with those that the last turn brought."""
        self._had_one = False
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            task = asyncio.get_running_loop().create_task(self._answer_waiting(waiting))
            self._tasks.add(task)  # the loop itself keeps only a weak reference
            task.add_done_callback(self._tasks.discard)

    async def _answer_waiting(self, waiting: Sequence[tuple[Asked, Callable[[float | Exception], None]]]) -> None:
        by_model: dict[int, list[tuple[Asked, Callable[[float | Exception], None]]]] = {}
        for one in waiting:
            by_model.setdefault(id(one[0].loaded), []).append(one)
        for those in by_model.values():
            try:
                scores, messages = self._scored([asked for asked, _ in those])
                await self._append(PREDICTIONS, messages)
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                for _, scored in those:
                    _tell(scored, error)
            else:
                for (_, scored), score in zip(those, scores, strict=True):
                    _tell(scored, score)

    def _scored(self, those: Sequence[Asked]) -> tuple[list[float], list[Message]]:
        """Score rows for one model; gives the scores and what is to be logged."""
        scores = those[0].loaded.scores([asked.row for asked in those])
        at = self._clock()
        messages = [
            Message(
                prediction_lines(
                    asked.loaded,
                    usecase=asked.usecase,
                    request=asked.request,
                    rows=(asked.row,),
                    keys=asked.keys,
                    scores=(score,),
                    at=at,
                )
            )
            for asked, score in zip(those, scores, strict=True)
        ]
        return scores, messages


def _tell(scored: Callable[[float | Exception], None], score: float | Exception) -> None:
    """Tell one who waits; one that fails must not leave the others without an answer."""
    try:
        scored(score)
    except Exception:  # it is told, and the next one gets its answer
        _logger.exception("an answer was not taken")

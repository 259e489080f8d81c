"""Requests of one turn of the loop share a call and a commit; each gets its own answer, a failure is everybody's."""

import asyncio
import copy
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from trunkline.brokers import Message
from trunkline.errors import UnavailableError
from trunkline.registry import NoTracker, Registry
from trunkline.serve.deployments import Deployment, Loaded
from trunkline.serve.together import Asked, Together
from trunkline.settings.registry import RegistrySettings
from trunkline.spec import UseCase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def loaded(tmp_path: Path, trained_folders: tuple[Path, Path], usecase: UseCase) -> Loaded:
    registry = Registry(tmp_path, settings=RegistrySettings(), clock=lambda: NOW, follower=NoTracker())
    registry.register("lines", trained_folders[0], run_id="r", metrics={}, tags={}, evidence=[])
    registry.promote("lines", "1", approver="test", evidence=None)
    deployment = Deployment(usecase, workspace=tmp_path)
    assert deployment.refresh()
    return deployment.loaded()


class Log:
    """Keeps the commits it was asked for; refuses on demand."""

    def __init__(self) -> None:
        self.commits: list[list[Message]] = []
        self.is_full = False

    async def append(self, topic: str, messages: Sequence[Message]) -> None:
        self.append_now(topic, messages)

    def append_now(self, _topic: str, messages: Sequence[Message]) -> None:
        if self.is_full:
            raise UnavailableError("full")
        self.commits.append(list(messages))


async def ask(together: Together, loaded: Loaded, *, many: int) -> list[float | BaseException]:
    return await asyncio.gather(
        *(
            together.score(Asked(loaded, "lines", ("line_id",), str(n), {"line_id": str(n), "sold_mbps": float(n)}))
            for n in range(many)
        ),
        return_exceptions=True,
    )


def test_each_gets_its_own_answer_and_the_rest_share_a_commit(loaded: Loaded) -> None:
    log = Log()
    together = Together(log.append, clock=lambda: NOW)
    scores = asyncio.run(ask(together, loaded, many=20))
    alone = [loaded.model.predict_row({"sold_mbps": float(n)}) for n in range(20)]
    assert scores == pytest.approx(alone, abs=1e-6)
    assert [len(commit) for commit in log.commits] == [1, 19]
    logged = {row["request_id"]: row for commit in log.commits for row in (json.loads(m.value) for m in commit)}
    assert [logged[str(n)]["score"] for n in range(20)] == scores
    assert [logged[str(n)]["entity_key"] for n in range(20)] == [str(n) for n in range(20)]


def test_nobody_is_answered_when_the_log_takes_nothing(loaded: Loaded) -> None:
    log = Log()
    log.is_full = True
    together = Together(log.append, clock=lambda: NOW)
    assert [type(found) for found in asyncio.run(ask(together, loaded, many=5))] == [UnavailableError] * 5


def test_one_that_went_away_takes_nobody_with_it(loaded: Loaded) -> None:
    log = Log()
    together = Together(log.append, clock=lambda: NOW)

    async def scene() -> list[float | BaseException]:
        asked = [
            asyncio.create_task(together.score(Asked(loaded, "lines", ("line_id",), str(n), {"sold_mbps": 1.0})))
            for n in range(3)
        ]
        await asyncio.sleep(0)
        asked[1].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(scene())
    assert isinstance(second, asyncio.CancelledError)
    assert first == third


def test_without_tasks_the_first_is_answered_at_once_and_the_rest_of_the_turn_together(loaded: Loaded) -> None:
    log = Log()
    together = Together(log.append, clock=lambda: NOW)
    found: dict[int, float | Exception] = {}

    async def scene(many: int) -> None:
        done = asyncio.Event()

        def keep(n: int, score: float | Exception) -> None:
            found[n] = score
            if len(found) == many:
                done.set()

        for n in range(many):
            asked = Asked(loaded, "lines", ("line_id",), str(n), {"sold_mbps": float(n)})
            together.ask(asked, partial(keep, n), append=log.append_now)
        assert set(found) == {0}
        await asyncio.wait_for(done.wait(), 30)

    asyncio.run(scene(20))
    assert [found[n] for n in range(20)] == pytest.approx(
        [loaded.model.predict_row({"sold_mbps": float(n)}) for n in range(20)], abs=1e-6
    )
    assert [len(commit) for commit in log.commits] == [1, 19]
    found.clear()
    log.is_full = True
    asyncio.run(scene(5))
    assert [type(found[n]) for n in range(5)] == [UnavailableError] * 5


def test_one_that_fails_at_its_answer_leaves_nobody_without_one(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    together = Together(log.append, clock=lambda: NOW)
    told: list[int] = []

    async def scene() -> None:
        done = asyncio.Event()

        def keep(n: int, _score: float | Exception) -> None:
            told.append(n)
            if n == 7:
                done.set()
            if n in (0, 2):
                raise RuntimeError("the transport is closed")

        other = copy.copy(loaded)  # another model, whose turn comes after
        for n in range(8):
            asked = Asked(other if n >= 5 else loaded, "lines", ("line_id",), str(n), {"sold_mbps": float(n)})
            together.ask(asked, partial(keep, n), append=log.append_now)
        await asyncio.wait_for(done.wait(), 30)

    with caplog.at_level(logging.ERROR, logger="trunkline.serve.together"):
        asyncio.run(scene())
        log.is_full = True
        told.clear()
        asyncio.run(scene())  # nor where all are told that the log is full
    assert told == list(range(8))
    assert [record.message for record in caplog.records] == ["an answer was not taken"] * 4

"""A request that is answered without a task gets one answer, whatever fails while or after it is delivered."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import pytest
from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from trunkline.brokers import GroupCommit, Message
from trunkline.serve.access import Access
from trunkline.serve.deployments import Deployment, Loaded
from trunkline.serve.metrics import Metrics
from trunkline.serve.one_write import OneWriteProtocol
from trunkline.serve.refusals import Answer, refused
from trunkline.serve.service import Endpoint, Predicted, Service
from trunkline.settings.serve import ServeSettings

SCOPE: Scope = {"type": "http", "headers": [(b"host", b"127.0.0.1")], "query_string": b""}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Taking(Endpoint):
    """Answers with what a function does."""

    def __init__(self, service: Service, do: Callable[[Callable[[Answer], None]], None]) -> None:
        super().__init__(service, route="predict", role="reader")
        self.do = do

    async def answer(self, scope: Scope, body: bytes) -> Answer:  # noqa: ARG002 - as declared
        raise AssertionError("not by a task")

    def take(self, scope: Scope, body: bytes, answered: Callable[[Answer], None]) -> bool:  # noqa: ARG002 - as declared
        self.do(answered)
        return True


@pytest.fixture
def service() -> Service:
    return Service(
        deployments={},
        settings=ServeSettings(),
        access=Access(()),
        metrics=Metrics(waiting=lambda: 0),
        clock=lambda: NOW,
    )


def test_a_failure_after_the_answer_is_no_second_answer(service: Service) -> None:
    def do(answered: Callable[[Answer], None]) -> None:
        answered(Answer(200, b"{}"))
        raise RuntimeError("too late")

    found: list[Answer] = []
    assert Taking(service, do).offer(SCOPE, b"{}", found.append)
    assert [answer.status for answer in found] == [200]


def test_a_failure_before_the_answer_is_a_refusal(service: Service) -> None:
    def do(_answered: Callable[[Answer], None]) -> None:
        raise RuntimeError("too early")

    found: list[Answer] = []
    assert Taking(service, do).offer(SCOPE, b"{}", found.append)
    assert [answer.status for answer in found] == [500]


def test_an_answer_that_cannot_be_delivered_is_tried_once(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def deliver(answer: Answer) -> None:
        tried.append(answer.status)
        raise RuntimeError("the transport is closed")

    with caplog.at_level(logging.ERROR, logger="trunkline.serve.service"):
        assert Taking(service, lambda answered: answered(Answer(200, b"{}"))).offer(SCOPE, b"{}", deliver)
    assert tried == [200]
    assert [record.message for record in caplog.records] == ["an answer could not be delivered"]


class Unwritable:
    """An application whose short way answers with a status that HTTP does not know."""

    def __init__(self) -> None:
        self.hot = {"/predict": self}

    def offer(self, scope: Scope, body: bytes, deliver: Callable[[Answer], None]) -> bool:  # noqa: ARG002 - as declared
        with contextlib.suppress(KeyError):
            deliver(Answer(999, b"{}"))
        return True


def test_a_connection_whose_answer_cannot_be_written_is_ended() -> None:
    async def scene() -> bytes:
        config = Config(cast("Any", Unwritable()), proxy_headers=False, lifespan="off", log_config=None)
        config.load()
        config.loaded_app = Unwritable()
        made = partial(OneWriteProtocol, config=config, server_state=ServerState(), app_state={})
        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
            try:
                return await asyncio.wait_for(reader.read(), 10)
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

    assert asyncio.run(scene()) == b""


class Quick:
    """A log that takes everything at once."""

    is_quick = True

    def append_now(self, topic: str, messages: Sequence[Message]) -> None:
        """Take them."""

    async def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Take them."""


class OneModel:
    """What is asked of a model and its deployment here."""

    threshold = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - usecase, live, name, version
        return self if name in ("usecase", "live") else name

    def scores(self, rows: Sequence[object]) -> list[float]:
        return [0.5] * len(rows)


def test_an_answer_that_cannot_be_written_becomes_a_refusal(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.serve.together.prediction_lines", lambda *_args, **_named: b"{}")
    service.log = cast("GroupCommit", Quick())
    model = OneModel()
    statuses: list[int] = []

    async def scene() -> None:
        done = asyncio.Event()

        def answered(found: Predicted | Exception) -> None:
            if isinstance(found, Predicted):
                raise TypeError("no JSON")
            statuses.append(refused(found).status)
            if len(statuses) == 2:
                done.set()

        for _ in range(2):  # the first at once, the second in the next turn
            assert service.predict_soon(cast("Deployment", model), cast("Loaded", model), {}, answered)
        await asyncio.wait_for(done.wait(), 30)

    asyncio.run(scene())
    assert statuses == [500, 500]

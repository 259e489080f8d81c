"""Every broker, in one fixture; the tests of ``test_conformance.py`` know none by name."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.brokers import Broker, EmbeddedLog
from trunkline.settings.brokers import BrokerSettings

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


OpenBroker = Callable[[], Broker]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "log.db"


@pytest.fixture(params=["embedded", "embedded-full"])
def open_broker(request: pytest.FixtureRequest, log_path: Path, clock: Clock) -> Iterator[OpenBroker]:
    """Opens the same broker again and again, as several processes would."""
    opened: list[Broker] = []
    settings = BrokerSettings(synchronous="FULL" if request.param == "embedded-full" else "NORMAL")

    def make() -> Broker:
        opened.append(EmbeddedLog(log_path, settings=settings, clock=clock))
        return opened[-1]

    yield make
    for broker in opened:
        broker.close()


@pytest.fixture
def broker(open_broker: OpenBroker) -> Broker:
    return open_broker()

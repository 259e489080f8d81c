"""A lake in a temporary folder, over every engine, with a clock that tests move."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.engine import Engine, open_engine
from trunkline.lake import Lake
from trunkline.settings.lake import LakeSettings


@dataclass
class Clock:
    """The current instant, until a test moves it. It starts at the real one: files carry real times."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture(scope="session", params=["duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with open_engine(request.param, threads=1) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def forward(clock: Clock) -> Callable[[timedelta], None]:
    """Move the lake's clock."""
    return clock.forward


@pytest.fixture
def make_lake(tmp_path: Path, engine: Engine, clock: Clock) -> Callable[..., Lake]:
    """Open a lake on the test's folder with some settings changed."""

    def make(**changes: object) -> Lake:
        settings = LakeSettings.model_validate({"lock_timeout_s": 10.0, **changes})
        return Lake(tmp_path / "lake", engine=engine, settings=settings, clock=clock)

    return make


@pytest.fixture
def lake(make_lake: Callable[..., Lake]) -> Lake:
    return make_lake()

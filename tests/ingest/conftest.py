"""A lake in a temporary folder, and files to hand in."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.engine import Engine, open_engine
from trunkline.lake import Lake
from trunkline.settings.lake import LakeSettings


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with open_engine("duckdb", threads=1) as opened:
        yield opened


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Lake:
    return Lake(tmp_path / "lake", engine=engine, settings=LakeSettings(), clock=now)


@pytest.fixture
def make_lake(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Callable[[], Lake]:
    """Make a new, empty lake at each call."""

    def made() -> Lake:
        return Lake(tmp_path_factory.mktemp("lake"), engine=engine, settings=LakeSettings(), clock=now)

    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes | str], Path]:
    """Write a file and give its path."""

    def made(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return made

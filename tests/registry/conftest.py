"""A workspace, a clock that ticks by itself, and model folders that look like real ones."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.registry import NoTracker, Registry
from trunkline.settings.registry import RegistrySettings

MakeFolder = Callable[..., Path]


class TickingClock:
    """Gives an instant one second later at each call."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture
def registry(tmp_path: Path, clock: TickingClock) -> Registry:
    return Registry(
        tmp_path / "workspace", settings=RegistrySettings(lock_timeout_s=0.1), clock=clock, follower=NoTracker()
    )


@pytest.fixture
def model_folder(tmp_path: Path) -> MakeFolder:
    def make(name: str = "m") -> Path:
        folder = tmp_path / "trained" / name
        (folder / "views").mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"name": name}))
        (folder / "model.onnx").write_bytes(f"graph of {name}".encode() * 100)
        (folder / "views" / "logistic.view.onnx").write_bytes(b"view")
        return folder

    return make

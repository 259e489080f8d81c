"""Which champion answers: what a deployment refuses to load, and when it tries again."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.registry import NoTracker, Registry
from trunkline.serve.deployments import Deployment
from trunkline.settings.registry import RegistrySettings
from trunkline.spec import UseCase


@pytest.fixture
def registry(tmp_path: Path, trained_folders: tuple[Path, Path]) -> Registry:
    made = Registry(tmp_path, settings=RegistrySettings(), clock=lambda: datetime.now(UTC), follower=NoTracker())
    version = made.register("lines", trained_folders[0], run_id="run", metrics={}, tags={}, evidence=[]).version
    made.promote("lines", version, approver="test", evidence=None)
    return made


def test_a_champion_that_was_out_of_reach_is_tried_again_after_a_while(
    registry: Registry, usecase: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [100.0]
    monkeypatch.setattr("trunkline.serve.deployments.time.monotonic", lambda: at[0])
    folder = registry.folder("lines")
    folder.rename(tmp_path / "elsewhere")
    deployment = Deployment(usecase, workspace=tmp_path)
    assert not deployment.refresh()
    assert deployment.problem
    assert not is_news(deployment), "not every second"
    at[0] = 160
    assert is_news(deployment)
    (tmp_path / "elsewhere").rename(folder)
    assert deployment.refresh()
    assert (deployment.problem, deployment.loaded().live.version) == ("", "1")
    at[0] = 220
    assert not is_news(deployment)


def is_news(deployment: Deployment) -> bool:
    return deployment.has_news


class Slim(Contract):
    """The lines without what the model reads."""

    table: ClassVar[Table] = Table(key=("line_id",))

    line_id: Text = field()
    age_months: Integer = field()


def test_a_model_that_reads_what_the_contract_has_no_more_does_not_answer(
    registry: Registry, usecase: UseCase, tmp_path: Path
) -> None:
    assert registry.versions("lines")
    slim = object.__new__(UseCase)  # a use case refuses such a task when it is made: its code has changed since
    for name in UseCase.__dataclass_fields__:
        object.__setattr__(slim, name, getattr(usecase, name))
    object.__setattr__(slim, "datasets", {usecase.main: Slim})
    deployment = Deployment(slim, workspace=tmp_path)
    assert not deployment.refresh()
    assert "sold_mbps" in deployment.problem
    assert deployment.current is None


def test_the_same_contract_answers(registry: Registry, usecase: UseCase, tmp_path: Path) -> None:
    deployment = Deployment(replace(usecase), workspace=tmp_path)
    assert registry.versions("lines")
    assert deployment.refresh()

"""The watcher of champions: what goes wrong with one use case stops neither the others nor the shutdown."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI

from trunkline.brokers import EmbeddedLog, GroupCommit
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.registry import NoTracker, Registry
from trunkline.serve import app as app_module
from trunkline.serve import create_app, deployments
from trunkline.serve.deployments import Deployment
from trunkline.serve.flusher import Flusher
from trunkline.settings.lake import LakeSettings
from trunkline.settings.registry import RegistrySettings
from trunkline.settings.serve import ServeSettings
from trunkline.spec import UseCase

PATIENCE_S = 60.0


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path, settings=RegistrySettings(), clock=now, follower=NoTracker())


@pytest.fixture
def promote(registry: Registry, trained_folders: tuple[Path, Path]) -> Callable[[str], None]:
    """Makes a new version of a use case champion."""

    def promoted(name: str) -> None:
        count = len(registry.versions(name))
        found = registry.register(
            name, trained_folders[count % 2], run_id=f"{name}-{count}", metrics={}, tags={}, evidence=[]
        )
        registry.promote(name, found.version, approver="test", evidence=None)

    return promoted


@pytest.fixture
def made(tmp_path: Path, usecase: UseCase) -> FastAPI:
    """A server of two use cases of the same rows; each looks for news all the time."""
    return create_app(
        tmp_path,
        usecases={name: replace(usecase, name=name) for name in ("broken", "lines")},
        lake=lambda: Lake(tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now),
        clock=now,
        settings=ServeSettings(reload_every_s=0.01),
        warm_reasons=True,
    )


def now() -> datetime:
    return datetime.now(UTC)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in threads
            await asyncio.sleep(0.01)


def test_a_champion_that_fails_in_an_unforeseen_way_is_a_problem_of_its_use_case(
    promote: Callable[[str], None], usecase: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote("lines")
    deployment = Deployment(usecase, workspace=tmp_path)
    assert deployment.refresh()
    promote("lines")

    def fails(*_: object) -> None:
        raise RuntimeError("what a library says")

    with monkeypatch.context() as patch:
        patch.setattr(deployments, "_load", fails)
        assert not deployment.refresh()
    assert (deployment.problem, deployment.loaded().live.version) == ("RuntimeError", "1")
    monkeypatch.setattr(deployments, "_PAUSE_S", 0.0)
    assert deployment.refresh(), "it is tried again"
    assert (deployment.problem, deployment.loaded().live.version) == ("", "2")


@pytest.mark.slow
def test_the_watcher_goes_on_whatever_one_use_case_does(
    made: FastAPI, promote: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[str] = []

    def warm(deployment: Deployment) -> None:
        warmed.append(deployment.usecase.name)
        raise RuntimeError("no reasons")

    def refresh(deployment: Deployment) -> bool:
        if deployment.usecase.name == "broken" and deployment.current is not None:
            raise RuntimeError("unforeseen")
        return real(deployment)

    real = Deployment.refresh
    monkeypatch.setattr(Deployment, "refresh", refresh)
    monkeypatch.setattr(Deployment, "warm_reasons", warm)
    for name in ("broken", "lines"):
        promote(name)

    async def served() -> None:
        async with made.router.lifespan_context(made):
            await until(lambda: sorted(warmed) == ["broken", "lines"])
            for name in ("broken", "lines"):
                promote(name)
            await until(lambda: warmed.count("lines") == 2)

    asyncio.run(served())


def test_a_server_whose_watcher_or_log_failed_closes_all_the_rest(
    made: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def watch(*_: object) -> None:
        raise RuntimeError("the watcher ended")

    async def close(_: GroupCommit) -> None:
        closed.append("appends")
        raise OSError("the disk is full")

    def noting(name: str, real: Callable[[object], None]) -> Callable[[object], None]:
        def noted(one: object) -> None:
            closed.append(name)
            real(one)

        return noted

    monkeypatch.setattr(app_module._Running, "_watch", watch)
    monkeypatch.setattr(GroupCommit, "close", close)
    monkeypatch.setattr(Flusher, "stop", noting("flusher", Flusher.stop))  # type: ignore[arg-type]  # called with one
    monkeypatch.setattr(EmbeddedLog, "close", noting("log", EmbeddedLog.close))  # type: ignore[arg-type]  # the same

    async def served() -> None:
        async with made.router.lifespan_context(made):
            await asyncio.sleep(0)

    with pytest.raises(OSError, match="the disk is full"):
        asyncio.run(served())
    assert closed == ["appends", "flusher", "log"]

"""The only door to MLflow: runs, registered versions and aliases, for people and tools that look there.

MLflow follows: the ledger and the live manifest are written whether or not anybody reads MLflow, and nothing on the way
to an answer asks it. Every call here can be repeated: what is there already is found by the tag ``trunkline.run_id``
and kept.

``import mlflow`` takes about four seconds and the first SQLite migration three, so both happen at the first call and
never at import.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trunkline.errors import MissingExtraError, UnavailableError
from trunkline.files import sync
from trunkline.settings import drills

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.tracking import MlflowClient

__all__ = ["MlflowTracker", "NoTracker", "Registered", "Tracker", "Training", "tracker"]

RUN_TAG = "trunkline.run_id"
VERSION_TAG = "trunkline.version"
_MOST_IN_A_BATCH = 100
_LONGEST_TEXT = 500


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training, as a tracker is told; the gates may still refuse what it made.

    Attributes:
        run_id: The run that learned.
        metrics: Figures by name.
        params: Parameters by name.
        tags: Further facts by name.
    """

    run_id: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Registered(Training):
    """A version that is registered, as a tracker is told.

    Attributes:
        version: Its number in the registry.
        folder: Its files.
    """

    version: str
    folder: Path


class Tracker(Protocol):
    """What follows trainings, registrations and promotions."""

    def record(self, usecase: str, training: Training) -> None:
        """Record a training as a run; a repeat changes nothing."""
        ...

    def track(self, usecase: str, registered: Registered) -> None:
        """Record a version with its run; a repeat changes nothing."""
        ...

    def point(self, usecase: str, *, aliases: Mapping[str, str]) -> None:
        """Make the aliases of a use case (alias to run id of the version) exactly these; a repeat changes nothing."""
        ...


class NoTracker:
    """Tracks nothing."""

    def record(self, usecase: str, training: Training) -> None:
        """Do nothing."""

    def track(self, usecase: str, registered: Registered) -> None:
        """Do nothing."""

    def point(self, usecase: str, *, aliases: Mapping[str, str]) -> None:
        """Do nothing."""


class MlflowTracker:
    """Tracks in MLflow: one experiment and one registered model per use case, one run per training."""

    def __init__(self, workspace: Path, *, tracking_uri: str) -> None:
        """Point at the store; MLflow is not imported yet.

        Args:
            workspace: The workspace; holds ``mlflow.db`` and ``mlartifacts/`` when there is no server.
            tracking_uri: Address of a server; empty for SQLite in the workspace.
        """
        self._workspace = workspace.resolve()
        self._remote = bool(tracking_uri)
        self._database = self._workspace / "mlflow.db"
        self._uri = tracking_uri or f"sqlite:///{self._database}"
        self._opened: MlflowClient | None = None

    def record(self, usecase: str, training: Training) -> None:
        """Record a training: a run with metrics and tags.

        Raises:
            UnavailableError: The store cannot be reached or refuses.
            MissingExtraError: MLflow is not installed.
        """
        with self._logged(usecase, training):
            pass

    def track(self, usecase: str, registered: Registered) -> None:
        """Record a version: its run with metrics and tags, its registered version pointing at the model folder.

        Raises:
            UnavailableError: The store cannot be reached or refuses.
            MissingExtraError: MLflow is not installed.
        """
        with self._logged(usecase, registered) as run:
            client = self._client()
            if not client.search_registered_models(f"name = '{usecase}'"):
                client.create_registered_model(usecase)
            if self._version(usecase, run_id=registered.run_id) is None:
                source = registered.folder.resolve().as_uri()
                if self._remote:
                    client.log_artifacts(run.info.run_id, str(registered.folder), "model")
                    source = f"{run.info.artifact_uri}/model"
                client.create_model_version(
                    usecase,
                    source=source,
                    run_id=run.info.run_id,
                    tags={VERSION_TAG: registered.version, RUN_TAG: registered.run_id},
                )

    def point(self, usecase: str, *, aliases: Mapping[str, str]) -> None:
        """Make the aliases of a use case exactly these.

        Raises:
            UnavailableError: The store cannot be reached or refuses.
            MissingExtraError: MLflow is not installed.
        """
        with _Reached(self._uri):
            client = self._client()
            there = dict(client.get_registered_model(usecase).aliases)
            for alias, run_id in aliases.items():
                version = self._version(usecase, run_id=run_id)
                if version is not None and str(there.pop(alias, "")) != str(version.version):
                    client.set_registered_model_alias(usecase, alias, version.version)
            for alias in there:
                if alias not in aliases:
                    client.delete_registered_model_alias(usecase, alias)

    def _client(self) -> "MlflowClient":
        if self._opened is None:
            # Read at import of mlflow: no usage statistics, no progress bars, no network but the store itself.
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
            # Read at each call: a server that is down delays an act by seconds, not by minutes under its lock.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
            try:
                from mlflow.tracking import MlflowClient
            except ImportError as error:
                raise MissingExtraError("mlflow", extra="all") from error
            if not self._remote and not self._database.exists():
                _build_database(self._database)
            self._opened = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._opened

    def _experiment(self, usecase: str) -> str:
        client = self._client()
        known = client.get_experiment_by_name(usecase)
        if known is not None:
            return str(known.experiment_id)
        location = None if self._remote else (self._workspace / "mlartifacts" / usecase).as_uri()
        return str(client.create_experiment(usecase, artifact_location=location))

    def _run(self, usecase: str, *, run_id: str) -> "Run":
        client, experiment = self._client(), self._experiment(usecase)
        found = client.search_runs([experiment], filter_string=f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1)
        return found[0] if found else client.create_run(experiment, run_name=run_id, tags={RUN_TAG: run_id})

    @contextmanager
    def _logged(self, usecase: str, training: Training) -> "Iterator[Run]":
        """Give the run of a training, with its metrics and tags; it ends with the block."""
        with _Reached(self._uri):
            run = self._run(usecase, run_id=training.run_id)
            self._log(run, training)
            yield run
            self._client().set_terminated(run.info.run_id)

    def _log(self, run: "Run", training: Training) -> None:
        from mlflow.entities import Metric, Param, RunTag

        at_ms = run.info.start_time
        values = [Metric(name, value, at_ms, 0) for name, value in training.metrics.items()]
        settings = [Param(name, value[:_LONGEST_TEXT]) for name, value in training.params.items()]
        texts = [RunTag(name, value[:_LONGEST_TEXT]) for name, value in training.tags.items()]
        for first in range(0, max(len(values), len(settings), len(texts)), _MOST_IN_A_BATCH):
            batch = slice(first, first + _MOST_IN_A_BATCH)
            self._client().log_batch(run.info.run_id, metrics=values[batch], params=settings[batch], tags=texts[batch])

    def _version(self, usecase: str, *, run_id: str) -> "MlflowVersion | None":
        found = self._client().search_model_versions(f"name = '{usecase}' and tags.`{RUN_TAG}` = '{run_id}'")
        return found[0] if found else None


def _build_database(path: Path) -> None:
    """Make MLflow's SQLite file under another name and rename it.

    MLflow runs 470 schema statements, each a commit with its fsync: six seconds on a busy disk, and a process killed
    among them leaves a file that MLflow can neither use nor mend. Under another name both are harmless, so the
    statements run without fsync (0.8 s) and the finished file is brought to the disk once.
    """
    from mlflow.tracking import MlflowClient
    from sqlalchemy import Engine, event

    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)

    def hurry(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            files = {str(row[2]) for row in connection.execute("PRAGMA database_list")}
            if str(temporary) in files:
                connection.execute("PRAGMA synchronous=OFF")
                connection.execute("PRAGMA journal_mode=MEMORY")

    event.listen(Engine, "connect", hurry)
    try:
        uri = f"sqlite:///{temporary}"
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    finally:
        event.remove(Engine, "connect", hurry)
    drills.point("registry.before_database")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


class _Reached:
    """Turns MLflow's errors into ours: the store is part of the world, and trying again may help."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None and kind.__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "requests"):
            raise UnavailableError(
                f"MLflow did not take the record ({kind.__name__})",
                where=self._uri.split("@")[-1],
                next_step="check the tracking_uri setting and the server, then repeat the command: it completes",
            ) from error


def tracker(workspace: Path, *, tracking_uri: str) -> Tracker:
    """Choose the tracker that a setting names: nothing for ``none``, MLflow otherwise."""
    return NoTracker() if tracking_uri == "none" else MlflowTracker(workspace, tracking_uri=tracking_uri)

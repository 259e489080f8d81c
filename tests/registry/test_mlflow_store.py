"""MLflow follows: what the registry does shows there, once, and costs nothing before it is used."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.errors import UnavailableError
from trunkline.lake import held
from trunkline.registry import Registry
from trunkline.settings.registry import RegistrySettings


def test_importing_the_registry_does_not_import_mlflow() -> None:
    code = "import sys, trunkline.registry; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("mlflow", "sklearn", "pandas", "numpy", "sqlalchemy"):
        assert f"'{heavy}'" not in loaded


def test_a_registry_that_others_hold_costs_no_training(
    tmp_path: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with held(tmp_path / "workspace" / "locks" / "registry.lock", what="the registry"):
        registry.record_training("churn", run_id="run-a", metrics={"roc_auc": 0.8}, tags={})
    assert "has not taken the training run-a" in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what MLflow's own imports warn of is not ours to mend
def test_runs_versions_and_aliases_show_in_mlflow_once(
    tmp_path: Path, model_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    workspace = tmp_path / "workspace"
    registry = Registry(workspace, settings=RegistrySettings(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    folders = {name: model_folder(name) for name in ("a", "b")}
    for name, figure in (("a", 0.85), ("refused", 0.5), ("refused", 0.5)):
        figures = {"roc_auc": figure, "ece": float("nan")}
        registry.record_training("churn", run_id=f"run-{name}", metrics=figures, tags={"commit": "abc"})
    for name in ("a", "b", "a"):  # the third call repeats the first
        registry.register(
            "churn",
            folders[name],
            run_id=f"run-{name}",
            metrics={"roc_auc": 0.85, "ece": float("nan")},
            params={"trials": "3"},
            tags={"commit": "abc"},
            evidence=[],
        )
    registry.promote("churn", "1", approver="gates", evidence=None)
    registry.promote("churn", "2", alias="challenger", approver="gates", evidence=None)

    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{workspace / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    by_run = {run.data.tags["trunkline.run_id"]: run for run in runs}
    assert set(by_run) == {"run-a", "run-b", "run-refused"}
    assert len(runs) == 3
    refused = by_run.pop("run-refused")
    assert (refused.data.metrics, refused.info.status) == ({"roc_auc": 0.5}, "FINISHED"), "it is no version"
    for run in by_run.values():
        assert run.data.metrics == {"roc_auc": 0.85}
        assert run.data.params == {"trials": "3"}
        assert run.data.tags["commit"] == "abc"
        assert run.info.status == "FINISHED"
    versions = client.search_model_versions("name = 'churn'")
    assert {v.tags["trunkline.version"]: v.source for v in versions} == {
        number: (workspace / "models" / "churn" / number).resolve().as_uri() for number in ("1", "2")
    }

    def aliases() -> dict[str, str]:
        by_number = {str(v.version): v.tags["trunkline.version"] for v in versions}
        return {alias: by_number[str(number)] for alias, number in client.get_registered_model("churn").aliases.items()}

    assert aliases() == {"champion": "1", "challenger": "2"}
    registry.promote("churn", "2", approver="gates", evidence=None)
    assert aliases() == {"champion": "2"}
    registry.rollback("churn", approver="ann")
    assert aliases() == {"champion": "1"}

    # A store that refuses: the promotion takes effect, the next act tells the store.
    (workspace / "mlflow.db").rename(workspace / "away.db")
    (workspace / "mlflow.db").mkdir()
    broken = Registry(workspace, settings=RegistrySettings(), clock=lambda: datetime(2026, 1, 2, tzinfo=UTC))
    broken.record_training("churn", run_id="run-r", metrics={"roc_auc": 0.5}, tags={})
    assert "MLflow has not taken the training run-r" in caplog.text, "a store that is away stops no training"
    broken.promote("churn", "2", approver="gates", evidence=None)
    champion = registry.live("churn").champion
    assert champion is not None
    assert champion.version == "2"
    assert "MLflow has not followed" in caplog.text
    with pytest.raises(UnavailableError, match="MLflow"):
        broken.register("churn", model_folder("c"), run_id="run-c", metrics={}, tags={}, evidence=[])
    (workspace / "mlflow.db").rmdir()
    (workspace / "away.db").rename(workspace / "mlflow.db")
    assert aliases() == {"champion": "1"}
    registry.promote("churn", "2", approver="gates", evidence=None)
    assert aliases() == {"champion": "2"}
    assert [entry.event for entry in registry.ledger.entries()].count("promoted") == 4

"""A real Airflow reads what is rendered."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

_BAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({"errors": bag.import_errors, "dags": {
    dag.dag_id: {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks} for dag in bag.dags.values()}}))
"""


def test_a_dag_bag_takes_the_dags_of_all_use_cases(
    rendered: Callable[..., str], ask_airflow: Callable[..., Mapping[str, object]], tmp_path: Path
) -> None:
    file = tmp_path / "trunkline_dags.py"
    file.write_text(rendered(), encoding="utf-8")
    found = ask_airflow(_BAG, str(file))
    assert found["errors"] == {}
    dags = found["dags"]
    assert isinstance(dags, dict)
    pipelines = ("ingest", "train", "evaluate", "predict", "report")
    assert {f"{usecase}_{name}" for usecase in ("churn", "house_prices") for name in pipelines} <= set(dags)
    assert dags["churn_evaluate"]["promote.rollout"] == ["promote.register"]

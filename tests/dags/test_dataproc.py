"""Steps of Spark as batches of Dataproc Serverless: with Google's own operator and types, but without Google."""

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import InputError

Asked = Callable[..., Mapping[str, Any]]

SETTINGS = {
    "project": "telco-ml",
    "region": "europe-west8",
    "main": "gs://telco-ml/step.py",
    "image": "europe-west8-docker.pkg.dev/telco-ml/trunkline/trunkline:1",
    "service_account": "steps@telco-ml.iam.gserviceaccount.com",
    "subnetwork": "spark",
    "properties": {"spark.executor.instances": "4"},
}

_EXECUTE = """
import datetime, json, os, sys, types
os.environ["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"] = "google-cloud-platform://"
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.google.cloud.hooks.dataproc import DataprocHook
from airflow.providers.google.cloud.operators import dataproc
from google.cloud.dataproc_v1 import Batch, CreateBatchRequest

class Sent(Exception): pass

def send(self, **request):
    raise Sent(request)

DataprocHook.create_batch = send
dataproc.DataprocBatchLink.persist = lambda **facts: None
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
found = {}
for task in bag.dags["towers_ingest"].tasks:
    if not isinstance(task, dataproc.DataprocCreateBatchOperator):
        continue
    context = {
        "params": {"run_id": "", "sources": json.loads(sys.argv[2])}, "triggering_asset_events": {},
        "dag_run": types.SimpleNamespace(
            dag_id="towers_ingest", run_id="manual__1", run_after=datetime.datetime(2026, 11, 22, 10, 15)
        ),
        "ti": types.SimpleNamespace(try_number=2),
    }
    try:
        task.execute(context)
    except Sent as sent:
        request = sent.args[0]
    batch = Batch(request["batch"])
    CreateBatchRequest(parent="projects/p/locations/l", batch=batch, batch_id=request["batch_id"])
    found[task.task_id] = {"id": request["batch_id"], "batch": Batch.to_dict(batch), "region": request["region"]}
print(json.dumps(found))
"""


@pytest.fixture
def towers(rendered: Callable[..., str], tmp_path: Path) -> Path:
    file = tmp_path / "towers_dags.py"
    file.write_text(rendered("towers", dags={"dataproc": SETTINGS, "workspace": "/mnt/w", "longest": "PT2H"}))
    return file


def test_google_is_imported_only_where_batches_are_asked_for(towers: Path, rendered: Callable[..., str]) -> None:
    def modules(text: str) -> set[str]:
        return {str(node.module) for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)}

    assert modules(rendered("towers")) == {"airflow.sdk"}
    assert modules(towers.read_text()) == {"airflow.sdk", "airflow.providers.google.cloud.operators.dataproc"}


def test_a_workspace_is_a_folder_there_too(rendered: Callable[..., str]) -> None:
    with pytest.raises(InputError, match="a workspace is a folder"):
        rendered("towers", dags={"dataproc": SETTINGS, "workspace": "gs://telco-ml/w"})


@pytest.mark.airflow
def test_a_batch_is_what_googles_api_takes(towers: Path, ask_airflow: Asked, tmp_path: Path) -> None:
    found = ask_airflow(_EXECUTE, towers, '["gs://telco-ml/in/cells.csv"]', home=tmp_path)
    assert list(found) == [
        "validate.ingest",
        *(f"transform.{one}" for one in ("customers_thresholds", "customers_services", "customer_service_metrics")),
        "transform.cell_tower_performance",
        "watch.alarms",
    ]
    one = found["validate.ingest"]
    assert one["region"] == "europe-west8"
    assert len(one["id"]) <= 63
    assert one["id"].replace("-", "").isalnum()
    assert one["id"] == one["id"].lower()
    assert one["id"].startswith("trunkline-20261122t101500-")
    assert "-2-validate" in one["id"], "another try is another batch"
    spark = one["batch"]["pyspark_batch"]
    assert spark["main_python_file_uri"] == "gs://telco-ml/step.py"
    *arguments, flag, run_id, as_json = spark["args"]
    assert arguments == [
        *("ingest", "towers", "gs://telco-ml/in/cells.csv", "--refresh", "none", "--workspace", "/mnt/w")
    ]
    assert (flag, as_json) == ("--run-id", "--json")
    assert {other["batch"]["pyspark_batch"]["args"][-2] for other in found.values()} == {run_id}
    assert one["batch"]["runtime_config"]["properties"] == {
        "spark.dataproc.driverEnv.TRUNKLINE_ENGINE__NAME": "spark",
        "spark.dataproc.driverEnv.TRUNKLINE_RUN_STEPWISE": "true",
        "spark.executor.instances": "4",
    }
    execution = one["batch"]["environment_config"]["execution_config"]
    assert (execution["service_account"], execution["ttl"]) == (SETTINGS["service_account"], "7200s")
    derived = found["transform.cell_tower_performance"]["batch"]["pyspark_batch"]["args"]
    assert derived[:4] == ["ingest", "towers", "--refresh", "cell_tower_performance"], "sources are not taken in twice"

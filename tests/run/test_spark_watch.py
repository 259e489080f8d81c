"""What Spark's workers are sent of the settings."""

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.errors import InputError
from trunkline.run.spark_watch import SentSettings, SparkTask
from trunkline.settings import load_settings

KEY = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlYzE="
LEASES = "postgresql://me:hidden@leases/trunkline"

METERS = """
from typing import ClassVar
from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import UseCase

class Read(Contract):
    table: ClassVar[Table] = Table(key=("meter",))
    meter: Text = field(max_length=20)
    watts: Integer = field()

usecase = UseCase(
    name="meters", title="Meters", question="?", datasets={"reads": Read}, main="reads", task=None, metric=""
)
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SparkTask:
    monkeypatch.setenv("TRUNKLINE_PRIVACY__MASTER_KEY", KEY)
    monkeypatch.setenv("TRUNKLINE_LAKE__LEASE_URL", LEASES)
    sent = SentSettings.of(load_settings(workspace=tmp_path))
    return SparkTask(sent, "sensors", "readings", "phones", "kafka:one:two:", {}, {0: 0})


def test_no_secret_travels_to_the_workers(task: SparkTask) -> None:
    sent = pickle.dumps(task)
    assert KEY.encode() not in sent
    assert b"hidden" not in sent


def test_workers_have_secrets_from_their_own_environment(task: SparkTask, tmp_path: Path) -> None:
    settings = pickle.loads(pickle.dumps(task)).settings.completed()
    assert settings.privacy.master_key.get_secret_value() == KEY
    assert settings.lake.lease_url.get_secret_value() == LEASES
    assert settings.workspace == tmp_path


def test_a_worker_without_the_master_key_makes_none(
    task: SparkTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRUNKLINE_PRIVACY__MASTER_KEY")
    rows = pa.RecordBatch.from_pydict({"partition": [0], "offset": [0], "value": [b"{}"]})
    with pytest.raises(InputError, match=r"privacy\.master_key is not set"):
        list(task([rows]))
    assert not list(tmp_path.rglob("*.key"))


def test_a_worker_knows_the_users_own_use_cases_wherever_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = tmp_path / "mine" / "usecases" / "meters"
    plugins.mkdir(parents=True)
    (plugins / "__init__.py").write_text(METERS)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", "usecases")
    monkeypatch.chdir(plugins.parent.parent)
    sent = SentSettings.of(load_settings(workspace=tmp_path / "w"))
    task = SparkTask(sent, "meters", "reads", "meters", "kafka:one:two:", {}, {0: 0})
    monkeypatch.chdir(tmp_path)
    rows = pa.RecordBatch.from_pydict({"partition": [0], "offset": [0], "value": [b'{"meter": "m1", "watts": 5}']})
    (taken,) = list(pickle.loads(pickle.dumps(task))([rows]))
    assert json.loads(taken["receipt"][0].as_py())["accepted"] == 1

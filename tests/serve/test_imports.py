"""What the way to an answer may load: the server starts and answers without MLflow or a training library."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typing import Any

from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.registry import NoTracker, Registry
from trunkline.serve import create_app
from trunkline.settings.lake import LakeSettings
from trunkline.settings.registry import RegistrySettings

sys.path.insert(0, sys.argv[1])
from conftest import CLASSIFICATION

def now():
    return datetime.now(UTC)

workspace = Path(sys.argv[2])
registry = Registry(workspace, settings=RegistrySettings(), clock=now, follower=NoTracker())
registry.register("lines", Path(sys.argv[3]), run_id="r", metrics={}, tags={}, evidence=[])
registry.promote("lines", "1", approver="test", evidence=None)
app = create_app(
    workspace,
    usecases={"lines": CLASSIFICATION},
    lake=lambda: Lake(workspace / "lake", engine=open_engine(), settings=LakeSettings(), clock=now),
    clock=now,
)
body = json.dumps({"line_id": "L1", "sold_mbps": 50, "medium": "fibre"}).encode()
sent = []

async def main():
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/lines/predict", "query_string": b"", "headers": []}
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)

asyncio.run(main())
assert sent[0]["status"] == 200, sent
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
def test_a_server_answers_without_mlflow_or_a_training_library(
    tmp_path: Path, trained_folders: tuple[Path, Path]
) -> None:
    arguments = [str(Path(__file__).parent), str(tmp_path / "workspace"), str(trained_folders[0])]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    unwanted = {"mlflow", "sklearn", "lightgbm", "xgboost", "pandas", "optuna", "onnx", "skl2onnx", "shap"}
    assert unwanted & set(loaded) == set()

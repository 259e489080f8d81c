"""Importing is cheap: no module pulls in a heavy library, and `--help` needs next to nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src"

# fmt: off
HEAVY = frozenset({
    "airflow", "altair", "apprise", "boto3", "confluent_kafka", "deltalake", "duckdb", "evidently", "google",
    "ibis", "imblearn", "lightgbm", "matplotlib", "mlflow", "mlforecast", "onnx", "onnxmltools", "onnxruntime",
    "optuna", "pandas", "pyspark", "scipy", "shap", "skl2onnx", "sklearn", "sqlalchemy", "torch", "vl_convert",
    "xgboost",
})
# fmt: on
NOT_FOR_HELP = HEAVY | {"fastapi", "httpx", "jinja2", "numpy", "pyarrow", "pydantic_settings", "starlette", "uvicorn"}


def modules() -> list[str]:
    """Every module of the package but tests and the entry that runs on import."""
    names = []
    for file in sorted((SOURCES / "trunkline").rglob("*.py")):
        if file.name == "__main__.py" or file.name.startswith("test_"):
            continue
        parts = file.relative_to(SOURCES).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_imports_a_heavy_library() -> None:
    program = """
import importlib, json, sys
heavy, names = set(json.loads(sys.argv[1])), json.loads(sys.argv[2])
blame = {}
for name in names:
    importlib.import_module(name)
    new = heavy & set(sys.modules)
    if new:
        blame[name] = sorted(new)
        heavy -= new
print(json.dumps(blame))
"""
    names = modules()
    assert "trunkline.errors" in names
    blame = json.loads(python(program, json.dumps(sorted(HEAVY)), json.dumps(names)))
    assert blame == {}, "first importer of each; import inside the function that needs it"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]], ids=" ".join)
def test_asking_for_help_imports_little(arguments: list[str]) -> None:
    program = """
import json, sys
from trunkline.cli import main
sys.argv = ["trunkline", *json.loads(sys.argv[1])]
assert main() == 0
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    loaded = json.loads(python(program, json.dumps(arguments)).splitlines()[-1])
    assert NOT_FOR_HELP & set(loaded) == set()

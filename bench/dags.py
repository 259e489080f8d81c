"""What the rendered file costs Airflow each time it is parsed, beside the import that every file of DAGs needs.

Renders the DAGs of all installed use cases and reads the file in fresh processes of ``.venv-airflow`` (made by
``scripts/airflow.sh``): first ``import airflow.sdk``, then the file. Prints one JSON line with the medians of five
processes; ``ratio`` is the processor time of the file over that of the import. The limit of 0.3 s is for the file
alone, in processor time: other work of the machine does not change it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from trunkline.dags import render
from trunkline.run import Workspace
from trunkline.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
PROCESSES = 5
LIMIT_S = 0.3
SCRIPT = """
import json, sys, time
began = time.process_time()
import airflow.sdk
imported, seen = time.process_time(), time.perf_counter()
with open(sys.argv[1], encoding="utf-8") as file:
    known = {"__name__": "parsed"}
    exec(compile(file.read(), sys.argv[1], "exec"), known)
ended, shown = time.process_time(), time.perf_counter()
dags = [one for one in known.values() if isinstance(one, airflow.sdk.DAG)]
print(json.dumps({"import": imported - began, "file": ended - imported, "wall": shown - seen, "dags": len(dags)}))
"""


def main() -> int:
    """Print the line; the exit code is 1 where the file takes longer than the limit."""
    subprocess.run(["sh", "scripts/airflow.sh"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        with Workspace(load_settings(workspace=Path(folder) / "workspace")) as workspace:
            usecases = tuple(workspace.installed().usecases)
            text = render(workspace, usecases)
        file = Path(folder) / "trunkline_dags.py"
        file.write_text(text, encoding="utf-8")
        found = []
        for _ in range(PROCESSES):
            done = subprocess.run([PYTHON, "-c", SCRIPT, file], capture_output=True, text=True, check=True, cwd=folder)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    parsed, wall, imported = (statistics.median(one[name] for one in found) for name in ("file", "wall", "import"))
    document = {
        "bench": "dags",
        "case": f"parse {found[0]['dags']} DAGs of {len(usecases)} use cases, beyond import airflow.sdk",
        "seconds": round(wall, 3),
        "processor_seconds": round(parsed, 3),
        "limit_s": LIMIT_S,
        "bytes": len(text.encode()),
        "ratio": {"import airflow.sdk": round(parsed / imported, 3)},
    }
    print(json.dumps(document))
    return 0 if parsed <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())

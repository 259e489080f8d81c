"""How long `trunkline --help` takes, beside a bare interpreter and the help of MLflow's command line.

Each case is a fresh process with warm file caches, the median of nine. The bar for `trunkline --help` is 0.3 s.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
REPEATS = 9
COMMANDS = {
    "trunkline --help": [str(BIN / "trunkline"), "--help"],
    "trunkline run --help": [str(BIN / "trunkline"), "run", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
    "mlflow --help": [str(BIN / "mlflow"), "--help"],
}


def seconds(command: list[str]) -> float:
    """Measure one start; a command that fails is no measurement."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print one JSON line per case; peers take turns with ours, so that a busy moment hits all."""
    taken: dict[str, list[float]] = {case: [] for case in COMMANDS}
    for command in COMMANDS.values():
        seconds(command)
    for _ in range(REPEATS):
        for case, command in COMMANDS.items():
            taken[case].append(seconds(command))
    medians = {case: statistics.median(times) for case, times in taken.items()}
    for case in COMMANDS:
        line: dict[str, object] = {"bench": "cli_start", "case": case, "seconds": round(medians[case], 4)}
        if case.startswith("trunkline"):
            peers = [peer for peer in COMMANDS if not peer.startswith("trunkline")]
            line["ratio"] = {peer: round(medians[case] / medians[peer], 3) for peer in peers}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

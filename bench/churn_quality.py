"""How well churn ranks and how honest its probabilities are, on both public tables, by the protocol of the field.

``RepeatedStratifiedKFold(5, 5, random_state=0)`` over all labelled rows; everything that is fitted (target encoding,
limits, scaling, learners, blend weights, calibration) is fitted outside the rows it is judged on; only the list of
category names is taken from all rows, without their labels; parameters were settled beforehand on other splits. Prints
one JSON line per table: mean ROC AUC over the 25 folds with the corrected 95 % interval, the expected calibration error
of the pooled out-of-fold probabilities (10 equal-mass bins, mean over repeats, with its noise floor), and each learner
alone beside it. ``ratio`` is the AUC of the champion over that of each learner.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from trunkline.ingest import checked_rows
from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.settings import load_settings
from trunkline.stats.calibration import calibrate, ece, ece_noise_floor, fit_logistic
from trunkline.stats.intervals import corrected_resampled_test
from trunkline.stats.metrics import evaluate
from trunkline.tasks import Classification
from trunkline.tasks.choice import choose
from trunkline.tasks.classification_training import classification_trials
from trunkline.tasks.folds import Fold
from trunkline.tasks.rows import prepare_rows
from trunkline.tasks.validation import sigmoid

DATA = Path(os.environ.get("TRUNKLINE_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"))
TABLES = {
    "ibm_telco": "ibm_telco/WA_Fn-UseC_-Telco-Customer-Churn.csv",
    "cell2cell": "cell2cell/train.csv.gz",
}
TARGETS = {"ibm_telco": 0.850, "cell2cell": 0.686}
"""ROC AUC to be reached."""
MOST_ECE = 0.02
RETENTION = ("retention_calls", "retention_offers_accepted", "called_retention")
FOLDS, REPEATS, SEED = 5, 5, 0


def rows_of(path: Path) -> pa.Table:
    """Take a file through the contract, as a run does."""
    usecase = load_usecase("churn")
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace(load_settings(workspace=Path(folder) / "workspace")) as workspace,
    ):
        return checked_rows(path, usecase.contract, lake=workspace.lake)[0]


def measure(case: str, rows: pa.Table, task: Classification) -> dict[str, object]:
    """Judge the use case's task on one table.

    Args:
        case: Name of the table in the output.
        rows: Typed rows.
        task: The declaration.
    """
    began = time.perf_counter()
    told = task.model_copy(
        update={
            "folds": FOLDS,
            "repeats": REPEATS,
            "test_share": 0.0,
            "tune": "none",
            "learners": tuple(learner for learner in task.learners if learner.eligible),
        }
    ).present_in(rows)
    prepared = prepare_rows(told, rows, classification=True, seed=SEED)
    threads = len(os.sched_getaffinity(0))
    trials = classification_trials(told, prepared, seed=SEED, threads=threads, clock=time.perf_counter)
    choice = choose(told, trials=trials, progress=lambda _phase, _share: None)
    folds, target = trials.folds, trials.target
    areas = [evaluate(target[f.judge], sigmoid(choice.margins[f.repeat, f.judge]), metric="roc_auc") for f in folds]
    found = corrected_resampled_test(areas, train_rows=FOLDS - 1, test_rows=1).mean
    pooled = [calibrated(choice.margins[repeat], target, folds, repeat) for repeat in range(REPEATS)]
    errors = [ece(target, scores) for scores in pooled]
    noise = ece_noise_floor(pooled[0], seed=SEED)
    alone = {report.name: report.scores["roc_auc"].value for report in choice.learners}
    return {
        "bench": "churn_quality",
        "case": case,
        "rows": len(target),
        "roc_auc": round(found.value, 5),
        "low": round(found.low, 5),
        "high": round(found.high, 5),
        "ece": round(float(np.mean(errors)), 5),
        "ece_worst_repeat": round(max(errors), 5),
        "ece_noise_floor": round(noise.mean, 5),
        "champion": choice.champion.name,
        "weights": {name: round(weight, 3) for name, weight in choice.champion.weights.items()},
        "learners": {name: round(value, 5) for name, value in alone.items()},
        "seconds": round(time.perf_counter() - began, 1),
        "ratio": {name: round(found.value / value, 4) for name, value in alone.items()},
    }


def calibrated(margins: np.ndarray, target: np.ndarray, folds: Sequence[Fold], repeat: int) -> np.ndarray:
    """Calibrate each fold's margins by a map fitted on the other folds of the same repetition."""
    scores = np.empty(len(target))
    for fold in folds:
        if fold.repeat == repeat:
            others = np.setdiff1d(np.arange(len(target)), fold.judge)
            fitted = fit_logistic(target[others], sigmoid(margins[others]))
            scores[fold.judge] = calibrate(sigmoid(margins[fold.judge]), calibration=fitted)
    return scores


def main() -> int:
    """Measure the tables that are here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*TABLES, "cell2cell_without_retention"])
    only = parser.parse_args().only
    task = load_usecase("churn").task
    if not isinstance(task, Classification):
        raise TypeError("churn is a classification")
    cases = {name: (path, task) for name, path in TABLES.items()}
    without = tuple(feature for feature in task.features if feature.name not in RETENTION)
    cases["cell2cell_without_retention"] = (TABLES["cell2cell"], task.model_copy(update={"features": without}))
    missed = 0
    for case, (path, declared) in cases.items():
        if only not in (None, case):
            continue
        if not (DATA / path).exists():
            print(f"{case}: {DATA / path} is not here, left out", file=sys.stderr)
            continue
        found = measure(case, rows_of(DATA / path), declared)
        bar = TARGETS.get(case)
        reached = float(str(found["roc_auc"])) >= (bar or 0) and float(str(found["ece"])) <= MOST_ECE
        print(json.dumps({**found, "targets": {"roc_auc": bar, "ece": MOST_ECE}, "reached": reached}), flush=True)
        missed += not reached
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

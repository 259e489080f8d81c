"""Device upgrade: what each group of columns is worth on Cell2Cell, and a million subscribers scored from lake to lake.

``ablation``: the use case's XGBoost alone, with its parameters, judged out of fold on the training rows of the proxy (3
folds, seed 0; the test set is not looked at), with groups of columns left out and put back. ROC AUC with DeLong's 95 %
interval, one JSON line per set of columns. Sets whose name begins with ``+`` are read although they may, or must, be
later than the upgrade; what the leakage gate of the use case says of them stands beside.

``batch_score``: a run's own predict step on one million subscribers that lie in the lake: read, score by the use case's
champion (trained here on the real table with the use case's boosters), log every answer with its features into the
lake. Beside it, in the same run, what people write by hand: pandas reads the same Parquet files, prepares the columns as
the model wants them, calls the boosters' own scikit-learn wrappers, and writes keys and scores to Parquet. It logs no
features. Medians of three rounds in turn. Needs the real table.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.run.looking import fitting_rows
from trunkline.settings import load_settings
from trunkline.spec import NoLeakage, UseCase
from trunkline.stats.delong import delong_interval
from trunkline.tasks import Classification
from trunkline.tasks.choice import choose
from trunkline.tasks.classification_training import classification_trials
from trunkline.tasks.evidence import leakage
from trunkline.tasks.rows import prepare_rows

DATA = Path(os.environ.get("TRUNKLINE_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"))
SOURCE = DATA / "cell2cell" / "train.csv.gz"
TARGET, FOLDS, SEED = 0.74, 3, 0

USAGE = (
    "monthly_minutes",
    "overage_minutes",
    "director_assisted_calls",
    "roaming_calls",
    "dropped_calls",
    "blocked_calls",
    "dropped_blocked_calls",
    "unanswered_calls",
    "customer_care_calls",
    "threeway_calls",
    "received_calls",
    "outbound_calls",
    "inbound_calls",
    "peak_calls",
    "off_peak_calls",
    "call_forwarding_calls",
    "call_waiting_calls",
)
BILL = ("monthly_charges", "recurring_charge")
PERSON = ("age_first_years", "age_second_years", "income_group", "credit_rating", "credit_adjustments")
SETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "as declared (+changes)": (("changes",), ()),
    "nothing that may be later": ((), ()),
    "nothing later, without usage": ((), USAGE),
    "nothing later, without bill": ((), BILL),
    "nothing later, without tenure": ((), ("tenure_months",)),
    "nothing later, without service area": ((), ("service_area",)),
    "nothing later, without age, income, credit": ((), PERSON),
    "+changes +retention": (("changes", "retention"), ()),
    "+changes +churn": (("changes", "churn"), ()),
    "+changes +retention +churn": (("changes", "retention", "churn"), ()),
    "+handset": (("changes", "handset"), ()),
    "+age of the handset": (("changes", "handset_age"), ()),
}
"""Name to groups that are read although they may be later, and columns that are left out beside."""


def rows_of(usecase: UseCase) -> pa.Table:
    """Take the real table through the contract, with the label derived, as a run does."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace(load_settings(workspace=Path(folder) / "workspace")) as workspace,
    ):
        return fitting_rows(workspace, usecase, files=[SOURCE], mapping={}, protected=False).rows


def narrowed(task: Classification, without: Sequence[str]) -> Classification:
    """Leave columns out of a task, with the row features that read them, and keep its XGBoost alone."""
    return task.model_copy(
        update={
            "features": tuple(one for one in task.features if one.name not in without),
            "row_features": {
                name: expr for name, expr in task.row_features.items() if not expr.columns() & set(without)
            },
            "learners": tuple(one for one in task.learners if one.name == "xgboost"),
            "folds": FOLDS,
            "watched": (),
        }
    )


def ablation(only: str | None) -> int:
    """Judge each set of columns; 1 where the declared one misses the target."""
    missed = 0
    table: pa.Table | None = None
    for name, (also, without) in SETS.items():
        if only is not None and name != only:
            continue
        usecase = load_usecase("upgrade").with_choices({"also": also})
        table = rows_of(usecase) if table is None else table
        assert isinstance(usecase.task, Classification)
        task = narrowed(usecase.task, without)
        began = time.perf_counter()
        rows = prepare_rows(task, table, classification=True, seed=SEED)
        threads = len(os.sched_getaffinity(0))
        trials = classification_trials(task, rows, seed=SEED, threads=threads, clock=time.perf_counter)
        margins = choose(task, trials=trials, progress=lambda _phase, _share: None).margins[0]
        area = delong_interval(trials.target, margins)
        alone = leakage(rows, columns=rows.train, limit=task.leakage_limit, classification=True, seed=SEED)
        gate = next(gate for gate in usecase.gates if isinstance(gate, NoLeakage))
        refused = alone.score > gate.max_single_feature or (gate.too_good is not None and area.value > gate.too_good)
        if name.startswith("as declared") and area.value < TARGET:
            missed = 1
        said = {
            "bench": "upgrade",
            "case": f"ablation: {name}",
            "rows": len(trials.target),
            "inputs": len(rows.base.names),
            "roc_auc": round(area.value, 4),
            "low": round(area.low, 4),
            "high": round(area.high, 4),
            "strongest_alone": f"{alone.strongest} {alone.score:.3f}",
            "leakage_gate": "refuses" if refused else "passes",
            "seconds": round(time.perf_counter() - began, 1),
        }
        print(json.dumps(said), flush=True)
    return missed


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=["ablation", "batch_score"])
    parser.add_argument("--set", help="one set of the ablation")
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    if not SOURCE.is_file():
        print(f"the table is not here: {SOURCE}", file=sys.stderr)
        return 2
    missed = 0
    if asked.case in (None, "ablation"):
        missed |= ablation(asked.set)
    return missed


if __name__ == "__main__":
    sys.exit(main())

"""Device upgrade: what each group of columns is worth on Cell2Cell, and a million subscribers scored from lake to lake.

``ablation``: the use case's XGBoost alone, with its parameters, judged out of fold on the training rows of the proxy (3
folds, seed 0; the test set is not looked at), with groups of columns left out and put back. ROC AUC with DeLong's 95 %
interval, one JSON line per set of columns. Sets whose name begins with ``+`` are read although they may, or must, be
later than the upgrade; what the leakage gate of the use case says of them stands beside.

``batch_score``: a run's own predict step on one million subscribers that lie in the lake: read the newest row of
each, score by the use case's champion (trained here on the real table with the use case's XGBoost), log every answer
with its features into the lake. Beside it, in the same run, what people write by hand: pandas reads the same Parquet
files, keeps the newest row of each subscriber, prepares the columns as the model wants them, calls XGBoost's own
scikit-learn wrapper on all cores, and writes one Parquet file; ``by_hand`` with the columns that the model reads, as
the log has them, and ``by_hand_scores_only`` without them. Medians of three rounds in turn. Needs the real table.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from trunkline.contracts.expressions import vector
from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.run.looking import fitting_rows
from trunkline.settings import load_settings
from trunkline.spec import NoLeakage, UseCase
from trunkline.stats.delong import delong_interval
from trunkline.tasks import Classification, Model
from trunkline.tasks.choice import choose
from trunkline.tasks.classification_training import classification_trials
from trunkline.tasks.evidence import leakage
from trunkline.tasks.members import Boosted
from trunkline.tasks.rows import prepare_rows

DATA = Path(os.environ.get("TRUNKLINE_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"))
SOURCE = DATA / "cell2cell" / "train.csv.gz"
TARGET, FOLDS, SEED = 0.74, 3, 0
ROUNDS, MOST_SECONDS = 3, 60.0
LEAST_RANK_CORRELATION = 0.9999

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


def champion_in(workspace: Workspace, usecase: UseCase) -> Model:
    """Train the use case's XGBoost on the real table, and make it the champion of a workspace."""
    assert isinstance(usecase.task, Classification)
    task = usecase.task.model_copy(
        update={"learners": tuple(one for one in usecase.task.learners if one.name == "xgboost"), "folds": 2}
    )
    rows = fitting_rows(workspace, usecase, files=[SOURCE], mapping={}, protected=False).rows
    trained = task.present_in(rows).train(rows, seed=SEED, threads=workspace.threads).model
    assert isinstance(trained, Model)
    folder = Path(workspace.root) / "made"
    trained.save(folder)
    version = workspace.registry.register(usecase.name, folder, run_id="bench", metrics={}, tags={}, evidence=[])
    workspace.registry.promote(usecase.name, version.version, approver="bench", evidence=[], expecting=None)
    return trained


def fill(workspace: Workspace, usecase: UseCase, rows: int) -> None:
    """Put so many subscribers into the lake: the real ones again and again, under names of their own."""
    import pyarrow.compute as pc

    from trunkline.checks import arrow_schema

    real = fitting_rows(workspace, usecase, files=[SOURCE], mapping={}, protected=False).rows
    real = real.select(arrow_schema(usecase.contract).names)
    made = 0
    while made < rows:
        part = real.slice(0, min(real.num_rows, rows - made))
        numbers = pa.array(range(made, made + part.num_rows), pa.int64())
        names = pc.binary_join_element_wise("B", pc.utf8_lpad(numbers.cast(pa.string()), 8, "0"), "")
        place = part.schema.get_field_index("subscriber_id")
        part = part.set_column(place, "subscriber_id", names)
        now = workspace.clock()
        for name, values in (
            ("_batch_id", pa.repeat("bench", part.num_rows)),
            ("_row", numbers),
            ("_ingested_at", pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), part.num_rows)),
        ):
            part = part.append_column(name, values)
        workspace.lake.append(usecase.table_name(), part)
        made += part.num_rows


def by_hand(files: Sequence[str], model: Model, out: Path, *, threads: int, keeps: bool) -> int:
    """Score as one does without a platform: pandas, numpy, and XGBoost's own scikit-learn wrapper.

    Args:
        files: The table's.
        model: Lends its booster and vocabularies.
        out: Parquet file to write.
        threads: Of the booster.
        keeps: Write what the model read beside the scores, so that an answer can be explained and learned from.

    Returns:
        Rows scored.
    """
    import pandas as pd
    import xgboost

    (part,) = model.parts
    (member,) = part.members
    assert isinstance(member, Boosted)
    booster = xgboost.XGBClassifier(n_jobs=threads)
    booster.load_model(bytearray(member.text.encode()))
    read = ["subscriber_id", "_ingested_at", *model.base.columns]
    frame = pd.concat([pd.read_parquet(path, columns=read) for path in files], ignore_index=True)
    frame = frame.sort_values("_ingested_at", kind="stable").drop_duplicates("subscriber_id", keep="last")
    frame = frame.reset_index(drop=True)
    columns: dict[str, np.ndarray] = {}
    for feature in model.base.features:
        column = frame[feature.name]
        if feature.kind == "category":
            codes = pd.Categorical(column, categories=model.base.vocabularies[feature.name]).codes.astype(np.float32)
            columns[feature.name] = np.where(column.isna(), np.nan, codes)
        else:
            columns[feature.name] = column.astype("float32").to_numpy(dtype=np.float32, na_value=np.nan)
    wide = {name: values.astype(np.float64) for name, values in columns.items()}
    for name, expr in model.base.row_features.items():  # numpy over whole columns, as one would write them
        columns[name] = vector(expr, wide, rows=len(frame)).astype(np.float32)
    scores = booster.predict_proba(part.view.apply(np.column_stack(list(columns.values()))))[:, 1]
    answers = pd.DataFrame({"subscriber_id": frame["subscriber_id"], "score": scores})
    if keeps:
        answers = pd.concat([answers, frame[list(model.base.columns)]], axis=1)
    answers.to_parquet(out)
    return len(scores)


def batch_score(rows: int) -> int:
    """Score so many subscribers from lake to lake, beside pandas; 1 where it takes too long, or longer."""
    from trunkline.contracts.records import PREDICTIONS
    from trunkline.run.predicting import predict
    from trunkline.run.steps import StepContext

    usecase = load_usecase("upgrade")
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace(load_settings(workspace=Path(folder) / "workspace")) as workspace,
    ):
        model = champion_in(workspace, usecase)
        fill(workspace, usecase, rows)
        lake = workspace.lake
        out = Path(folder) / "by_hand.parquet"
        files = sorted(str(path) for path in Path(workspace.root, "lake", "upgrade", "subscribers").glob("*.parquet"))
        took: dict[str, list[tuple[float, float]]] = {"ours": [], "by_hand": [], "by_hand_scores_only": []}
        for number in range(ROUNDS):
            context = StepContext(
                workspace=workspace, usecase=usecase, run_id=f"bench-{number}", progress=lambda _phase, _share: None
            )
            ways: dict[str, Callable[[], int]] = {
                "ours": lambda: predict(context).rows,  # noqa: B023 - called in this round
                "by_hand": lambda: by_hand(files, model, out, threads=workspace.threads, keeps=True),
                "by_hand_scores_only": lambda: by_hand(files, model, out, threads=workspace.threads, keeps=False),
            }
            for name, way in ways.items():
                began, busy = time.perf_counter(), time.process_time()
                assert way() == rows
                took[name].append((time.perf_counter() - began, time.process_time() - busy))
                print(f"round {number + 1}: {name} {took[name][-1][0]:.1f} s", file=sys.stderr)
        logged = lake.arrow(PREDICTIONS, columns=["entity_key", "score"], where=lambda t: t["request_id"] == "bench-0")
        assert _same_order(logged, out)
    seconds = {name: median(wall for wall, _ in found) for name, found in took.items()}
    processor = {name: median(busy for _, busy in found) for name, found in took.items()}
    peers = [name for name in took if name != "ours"]
    said = {
        "bench": "upgrade",
        "case": "batch_score",
        "rows": rows,
        "seconds": round(seconds["ours"], 2),
        "processor_seconds": round(processor["ours"], 2),
        **{f"{name}_seconds": round(seconds[name], 2) for name in peers},
        **{f"{name}_processor_seconds": round(processor[name], 2) for name in peers},
        "per_second": round(rows / seconds["ours"]),
        "ratio": {name: round(seconds["ours"] / seconds[name], 3) for name in peers},
        "processor_ratio": {name: round(processor["ours"] / processor[name], 3) for name in peers},
    }
    print(json.dumps(said), flush=True)
    return int(seconds["ours"] > MOST_SECONDS or seconds["ours"] > seconds["by_hand"])


def _same_order(logged: pa.Table, out: Path) -> bool:
    """Whether both ways ranked all subscribers alike.

    The wrapper's scores lack the calibration, and its quotients were made from single precision: a few subscribers fall
    on the other side of a threshold.
    """
    import pyarrow.parquet as pq

    ours = logged.sort_by("entity_key")
    theirs = pq.read_table(out, columns=["subscriber_id", "score"]).sort_by("subscriber_id")
    same_rows = ours["entity_key"].to_pylist() == theirs["subscriber_id"].to_pylist()
    ranks = [
        np.argsort(np.argsort(scores["score"].to_numpy(), kind="stable")).astype(float) for scores in (ours, theirs)
    ]
    centred = [found - found.mean() for found in ranks]
    alike = float(centred[0] @ centred[1]) / float(np.linalg.norm(centred[0]) * np.linalg.norm(centred[1]))
    return same_rows and alike > LEAST_RANK_CORRELATION


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
    if asked.case in (None, "batch_score"):
        missed |= batch_score(asked.rows)
    return missed


if __name__ == "__main__":
    sys.exit(main())

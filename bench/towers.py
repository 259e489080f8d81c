"""Towers: the performance tables against the usual four PySpark jobs, scores of a large fleet, and how good they are.

Cases: ``tables, duckdb`` and ``tables, spark`` (whole processes, from the files to both tables as Parquet; the peer is
the four jobs of ``peers/towers_spark.py`` one after the other), ``fleet`` (9.6 million rows of counters to indicators,
scores and alerts; made beforehand; on a cluster with ``TRUNKLINE_ENGINE__NAME=spark`` and its
``TRUNKLINE_ENGINE__URL``), ``faults`` (precision and recall of alerts by kind of fault), ``unusual`` (F1 on the real
file with whole cells held out, by kind of split and without the decimals that tell labels apart), ``nab``.
``--only`` takes one of them, ``--cells`` makes the fleet smaller; data is looked for in ``TRUNKLINE_DATA``.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from clients.memory import own_peak_mb  # type: ignore[import-not-found]  # a script of a folder beside this one

from trunkline.cli import process

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.engine import Engine
    from trunkline.spec import UseCase
    from trunkline.tasks.anomaly import AnomalyModel

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TRUNKLINE_DATA", HERE.parents[1] / "shared" / "data"))
REPEATS = 3
BUDGET = 1.75
COMPILED = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
"""Environment of processes that are timed: Python keeps what it compiled, as after any usual installation."""


def say(case: str, **facts: object) -> None:
    """Print one line."""
    print(json.dumps({"bench": "towers", "case": case, **facts}), flush=True)


def stored(path: Path) -> pa.Table:
    """The rows of a CSV file, a Parquet file, or a folder of them in the order of their names."""
    if path.suffix == ".csv":
        import pyarrow.csv as pa_csv

        return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types={"Time": pa.string()}))
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files])


def usual_tables(folder: Path, usecase: "UseCase", engine: "Engine") -> "dict[str, ir.Table]":
    """The files under the names and types of the contracts, with the order in which rows came."""
    from trunkline.checks import arrow_schema

    files = {
        "thresholds": stored(folder / "service_threshold_data.csv"),
        "customers": stored(folder / "cust_raw_data").drop_columns(["customerID"]),
        "usage": stored(folder / "telecom_surrogate_from_cell2cell.parquet"),
    }
    found = {}
    for dataset, rows in files.items():
        contract = usecase.datasets[dataset]
        given = {name.lower(): name for name in rows.column_names}
        sources = {
            one.name: next((given[name.lower()] for name in (one.name, *one.aliases) if name.lower() in given), "")
            for one in contract.columns
        }
        table = engine.table(rows.append_column("_row", pa.arange(0, rows.num_rows)))
        typed = {field.name: of_type(table, sources[field.name], field.type) for field in arrow_schema(contract)}
        found[dataset] = table.select(_ingested_at=table["_row"] * 0, _row="_row", **typed)
    return found


def of_type(table: "ir.Table", source: str, wanted: pa.DataType) -> "ir.Value":
    """A column in the type of its contract: null where the file has none, true for Yes."""
    import ibis

    dtype = ibis.dtype(wanted)
    if not source:
        return ibis.null(dtype)
    column = table[source]
    return column == "Yes" if dtype.is_boolean() and column.type().is_string() else column.cast(dtype)


def make_tables(engine_name: str, out: Path) -> None:
    """Both tables, from the files to Parquet."""
    from trunkline.engine import open_engine
    from trunkline.plugins import load_usecase

    usecase = load_usecase("towers")
    with open_engine(engine_name, threads=2) as engine:
        known = usual_tables(DATA / "towers", usecase, engine)
        customers, cells = "customer_service_metrics", "cell_tower_performance"
        # what both begin with is computed once, as in a refresh
        known["customers_services"] = engine.kept(usecase.derived[customers].stepwise(known)["customers_services"])
        for name in (customers, cells):
            pq.write_table(engine.arrow(usecase.derived[name].rows(known)), out / f"{name}.parquet")


def timed(*commands: list[str]) -> tuple[float, float]:
    """Seconds of processes one after the other, and of the processors in them."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        subprocess.run(command, check=True, capture_output=True, env=COMPILED)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peers(out: Path) -> tuple[float, float]:
    """Seconds of the four jobs, and of the processors."""
    script = str(HERE / "peers" / "towers_spark.py")
    return timed(*([sys.executable, script, step, str(DATA / "towers"), str(out)] for step in "1234"))


def tables() -> None:
    """Time both sides as whole processes, and see that they say the same of every cell."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "ours").mkdir()
        theirs = [peers(out / "peer") for _ in range(REPEATS)]
        for engine in ("duckdb", "spark"):
            command = [sys.executable, __file__, "--tables", engine, str(out / "ours")]
            runs = [timed(command) for _ in range(REPEATS)]
            ours = pq.read_table(out / "ours" / "cell_tower_performance.parquet").to_pandas().set_index("CellName")
            peer = pq.read_table(out / "peer" / "4").to_pandas().set_index("CellName").loc[ours.index]
            for name in ("PRBUsageUL", "drop_vce_Mean", "peak_vce_Mean"):
                assert np.allclose(ours[f"avg_{name}"], peer[f"avg_{name}"])
            for name in ("defected_count", "maintenance_required"):
                assert (ours[name] == peer[name]).all(), name
            (seconds, spent), (usual, peer_spent) = middle(runs), middle(theirs)
            say(f"tables, {engine}", seconds=round(seconds, 2), ratio={"four PySpark jobs": round(seconds / usual, 4)},
                peer_seconds=round(usual, 1), times_faster=round(usual / seconds, 1), processor=round(spent, 2),
                peer_processor=round(peer_spent, 1), times_less_processor=round(peer_spent / spent, 1))  # fmt: skip
        in_process(middle(theirs)[0])


def middle(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """The medians of runs."""
    return statistics.median(one for one, _ in runs), statistics.median(one for _, one in runs)


def in_process(usual: float) -> None:
    """The same on DuckDB in a process that is there already, as a server or a scheduler is."""
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for _ in range(REPEATS + 1):
            began = time.perf_counter()
            make_tables("duckdb", Path(folder))
            runs.append(time.perf_counter() - began)
    seconds = statistics.median(runs[1:])
    say("tables, duckdb, running process", seconds=round(seconds, 2), peer_seconds=round(usual, 1),
        ratio={"four PySpark jobs": round(seconds / usual, 4)}, times_faster=round(usual / seconds, 1))  # fmt: skip


def simulated(folder: Path, cells: int, seed: int = 0) -> Mapping[str, Path]:
    """Files of a simulated fleet."""
    from trunkline.plugins import load_usecase
    from trunkline.run import simulate_files

    return simulate_files(load_usecase("towers"), rows=cells, seed=seed, out=folder)[0]


def scored(counters: Path, out: Path | None, *, per_week: float = BUDGET) -> "tuple[AnomalyModel, pa.Table, int]":
    """Indicators, scores of every row into a file, and the alerts; on DuckDB, or on the engine of the settings."""
    from trunkline.engine import open_engine
    from trunkline.settings import load_settings
    from trunkline.tasks.anomaly import Budget, gathered, learn
    from trunkline.usecases.towers.anomalies import OF_COUNTERS, indicator_rows

    asked = load_settings().engine
    with open_engine(asked.name, threads=2, memory_limit_mb=2_000, settings=asked) as engine:
        rows = engine.parquet([str(counters)], pq.read_schema(counters))
        things = gathered(indicator_rows(rows), OF_COUNTERS)
        names = engine.arrow(rows.select("cell_name").distinct().order_by("cell_name")).column(0)
        chosen = np.sort(np.random.default_rng(0).choice(len(names), min(2_000, len(names)), replace=False))
        sample = rows.filter(rows["cell_name"].isin(names.take(pa.array(chosen)).to_pylist()))
        budget = Budget(per_week=per_week)
        model = learn(engine.arrow(gathered(indicator_rows(sample), OF_COUNTERS)), OF_COUNTERS, budget=budget, seed=0)
        schema, count, alerts = things.schema().to_pyarrow(), 0, []
        writer = pq.ParquetWriter(out, model.scored_schema(schema)) if out else None

        def taken(batches: Iterable[pa.RecordBatch]) -> None:
            nonlocal count
            for found in batches:
                count += found.num_rows
                if writer:
                    writer.write_batch(found)

        if engine.capabilities.distributed:  # both are computed by the workers
            taken(engine.batches(engine.mapped(things, model.scored, model.scored_schema(schema)), rows=50_000))
            alerts += engine.arrow(engine.mapped(things, model.alerted, model.alerted_schema(schema))).to_batches()
        else:
            for batch in engine.batches(things, rows=4_096):
                taken(model.scored([batch]))
                alerts += list(model.alerted([batch]))
        if writer:
            writer.close()
    return model, pa.Table.from_batches(alerts, model.alerted_schema(schema)), count


def fleet(cells: int) -> None:
    """Time the large fleet in a process of its own, whose largest memory is told."""
    with tempfile.TemporaryDirectory() as folder:
        files = simulated(Path(folder), cells)
        command = [sys.executable, __file__, "--fleet", str(files["counters"]), str(Path(folder) / "scored.parquet")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(said, end="", flush=True)


def faults(cells: int = 3_000) -> None:
    """Precision of alerts and recall by kind of fault, with a budget below the number of faults and one above."""
    for per_week in (BUDGET, 2.5):
        judge_faults(cells, per_week)


def judge_faults(cells: int, per_week: float) -> None:
    """Hold the alerts of one budget against what was injected."""
    from trunkline.plugins import load_usecase
    from trunkline.tasks.anomaly.alarms import Found
    from trunkline.tasks.anomaly.faults import KnownFault, judged_alerts

    watched = load_usecase("towers").watched
    assert watched is not None
    assert watched.faults is not None
    with tempfile.TemporaryDirectory() as folder:
        files = simulated(Path(folder), cells, seed=7)
        _, alerts, _ = scored(files["counters"], None, per_week=per_week)
        known = [
            KnownFault(row["cell_name"], row["kind"], row["begin_at"], row["end_at"])
            for row in pq.read_table(files["faults"]).to_pylist()
        ]
    found = []
    for row in alerts.to_pylist():
        meaning = watched.meaning(row["deviations"], row["rows"])
        found.append(
            Found(row["cell_name"], meaning.problem, meaning.alarm_type, meaning.probable_cause, "minor", "",
                  row["score"], row["first_at"], row["last_at"], row["is_open"])
        )  # fmt: skip
    judged = judged_alerts(found, known, problems=watched.faults.problems, late=watched.clear_after)

    def shares(kind: str) -> dict[str, float]:
        intervals = {name: getattr(one, kind) for name, one in judged.kinds.items()}
        return {name: round(one.value, 3) for name, one in intervals.items() if one}

    say("faults", cells=cells, budget_per_cell_and_week=per_week, alerts=judged.alerts, faults=len(known),
        precision=round(judged.hits / max(judged.alerts, 1), 3), recall=shares("recall"),
        precision_by_kind=shares("precision"))  # fmt: skip


def unusual() -> None:
    """F1 for Unusual by what the model sees and how rows are split; the threshold of a fold comes from the others."""
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import average_precision_score, f1_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    from trunkline.engine import open_engine
    from trunkline.plugins import load_usecase
    from trunkline.tasks.anomaly import Budget, gathered, learn
    from trunkline.tasks.classification_training import best_f1_threshold
    from trunkline.usecases.towers.anomalies import OF_THRESHOLDS, threshold_rows
    from trunkline.usecases.towers.features import FEATURES, MEASURED, cell_periods
    from trunkline.usecases.towers.learners import LEARNERS

    steps = dict(zip(MEASURED, (0.5, 0.5, 0.05, 0.005, 0.5, 0.1, 0.05, 0.05, 1, 1, 1), strict=True))
    with open_engine("duckdb", threads=2) as engine:
        given = engine.arrow(usual_tables(DATA / "towers", load_usecase("towers"), engine)["thresholds"])
        coarse = given
        for name, step in steps.items():
            values = np.round(given[name].to_numpy() / step) * step
            coarse = coarse.set_column(coarse.schema.get_field_index(name), name, pa.array(values))
        rows, coarse_rows = (
            engine.arrow(cell_periods({"thresholds": engine.table(one)}).order_by("_row")) for one in (given, coarse)
        )
        things = engine.arrow(gathered(threshold_rows(engine.table(given)), OF_THRESHOLDS))
        model = learn(things, OF_THRESHOLDS, budget=Budget(persistence=1), seed=0)
        (batch,) = things.combine_chunks().to_batches()
        without = pa.Table.from_batches(list(model.scored([batch]))).to_pandas()
    target = rows["is_unusual"].to_numpy(zero_copy_only=False).astype(int)
    cells = rows["cell_name"].to_pandas().to_numpy()

    def judged(table: pa.Table, *, names: list[str], grouped: bool) -> float:
        from lightgbm import LGBMClassifier

        matrix = np.column_stack([table[name].to_numpy().astype(np.float32) for name in names])
        parameters: dict[str, Any] = next(dict(one.parameters) for one in LEARNERS if one.kind == "lightgbm")
        kind = StratifiedGroupKFold if grouped else StratifiedKFold
        scores, fold = np.zeros(len(target)), np.zeros(len(target), int)
        parts = kind(5, shuffle=True, random_state=0).split(matrix, target, cells if grouped else None)
        for number, (train, judge) in enumerate(parts):
            learner = LGBMClassifier(**parameters, random_state=0, n_jobs=2, verbose=-1).fit(
                matrix[train], target[train]
            )
            scores[judge], fold[judge] = np.asarray(learner.predict_proba(matrix[judge]))[:, 1], number
        cuts = [best_f1_threshold(target[fold != one].astype(float), scores[fold != one]) for one in range(5)]
        return float(f1_score(target, scores >= np.array(cuts)[fold]))

    every = [feature.name for feature in FEATURES]
    say("unusual, whole cells held out", f1=round(judged(rows, names=every, grouped=True), 4))
    say("unusual, random split (optimistic)", f1=round(judged(rows, names=every, grouped=False), 4))
    deviations = [name for name in every if name.endswith(("_off_cell", "_off_hour", "minute_of_day"))]
    say("unusual, whole cells, deviations alone", f1=round(judged(rows, names=deviations, grouped=True), 4))
    say("unusual, whole cells, values rounded coarsely", f1=round(judged(coarse_rows, names=every, grouped=True), 4))
    place = rows["minute_of_day"].to_numpy() * 1_000_000_000 + rows["_row"].to_numpy()
    labels = dict(zip(zip(cells, place, strict=True), target, strict=True))
    known = np.array([labels[key] for key in zip(without["cell_name"], without["place"], strict=True)])
    raw = np.column_stack([rows[name].to_numpy() for name in MEASURED])
    plain = -IsolationForest(random_state=0).fit(raw).score_samples(raw)
    say("unusual, without labels", average_precision=round(float(average_precision_score(known, without["score"])), 3),
        plain_isolation_forest=round(float(average_precision_score(target, plain)), 3),
        share_unusual=round(float(target.mean()), 3))  # fmt: skip


def nab() -> None:
    """VUS-PR and NAB score over the NAB series there are."""
    import pandas as pd

    from trunkline.tasks.anomaly.judging import Ranged, nab_score, vus_pr
    from trunkline.tasks.anomaly.series import first_told, series_scores

    folder = DATA / "anomaly" / "NAB"
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    rng = np.random.default_rng(0)
    volumes: dict[str, list[float]] = {"ours": [], "random": []}
    series: dict[str, list[Ranged]] = {"ours": [], "random": []}
    began, seconds = time.perf_counter(), 0.0
    for path in sorted(folder.glob("data/*/*.csv")):
        rows = pd.read_csv(path, parse_dates=["timestamp"])
        at = rows["timestamp"].to_numpy()
        places = [
            (
                int(np.searchsorted(at, np.datetime64(one))),
                int(np.searchsorted(at, np.datetime64(two), side="right")) - 1,
            )
            for one, two in windows[str(path.relative_to(folder / "data"))]
        ]
        labels = np.zeros(len(rows), bool)
        for first, last in places:
            labels[first : last + 1] = True
        began = time.perf_counter()
        scores = series_scores(rows["value"].to_numpy(np.float64))
        seconds += time.perf_counter() - began
        chance = rng.random(len(rows))
        series["ours"].append(Ranged(first_told(scores), places))
        series["random"].append(Ranged(chance, places))
        if labels.any():
            volumes["ours"].append(vus_pr(labels, scores))
            volumes["random"].append(vus_pr(labels, chance))
    for name, ranged in series.items():
        score = nab_score(ranged)
        say(f"nab, {name}", series=len(ranged), vus_pr=round(float(np.mean(volumes[name])), 3),
            nab_score=round(score.score, 1), found=score.found, windows=score.windows, false=score.false,
            seconds=round(seconds, 2) if name == "ours" else None)  # fmt: skip


def one_fleet(counters: Path, out: Path) -> None:
    """Score the fleet in this process, and say what it took."""
    from trunkline.settings import load_settings

    began = time.perf_counter()
    _, alerts, rows = scored(counters, out)
    seconds, most = time.perf_counter() - began, own_peak_mb() / 1024
    say("fleet", engine=load_settings().engine.name, rows=rows, alerts=alerts.num_rows,
        seconds=round(seconds, 1), per_second=round(rows / seconds),
        processor_seconds=round(time.process_time(), 1), most_memory_gb=round(most, 2))  # fmt: skip


def main() -> None:
    """Run all cases, or the one that is named; or, in a process of its own, what is timed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["nab", "faults", "unusual", "tables", "fleet"])
    parser.add_argument("--cells", type=int, default=100_000, help="of the fleet")
    parser.add_argument("--tables", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--fleet", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tables:
        process.begin()  # begins and ends as the process of any command does
        make_tables(given.tables[0], Path(given.tables[1]))
        process.end(0)
    if given.fleet:
        one_fleet(*given.fleet)
        return
    cases: Mapping[str, Callable[[], None]] = {
        "nab": nab,
        "faults": faults,
        "unusual": unusual,
        "tables": tables,
        "fleet": lambda: fleet(given.cells),
    }
    for name, measured in cases.items():
        if given.only in (None, name):
            measured()


if __name__ == "__main__":
    main()

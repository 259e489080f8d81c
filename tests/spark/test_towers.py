"""Towers on Spark: features, performance tables and scores are what DuckDB gives, on the same simulated fleet."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from trunkline.checks import arrow_schema
from trunkline.engine import Engine, open_engine
from trunkline.plugins import load_usecase
from trunkline.spec import UseCase
from trunkline.tasks.anomaly import Budget, gathered, learn

if TYPE_CHECKING:
    import ibis.expr.types as ir

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

CELLS = 12


@pytest.fixture(scope="module")
def towers() -> UseCase:
    return load_usecase("towers")


@pytest.fixture(scope="module")
def duckdb() -> Iterator[Engine]:
    with open_engine("duckdb", threads=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def rows(towers: UseCase) -> dict[str, pa.Table]:
    """What the simulator makes, as the lake would hand it to derived tables."""
    assert towers.simulate is not None
    found = {}
    for dataset, table in towers.simulate(rows=CELLS, seed=4).tables.items():
        schema = arrow_schema(towers.datasets[dataset])
        columns = {
            one.name: table[one.name].cast(one.type)
            if one.name in table.column_names
            else pa.nulls(table.num_rows, one.type)
            for one in schema
        }
        at = pa.array(np.zeros(table.num_rows, "datetime64[us]"), pa.timestamp("us", tz="UTC"))
        found[dataset] = pa.table({**columns, "_ingested_at": at, "_row": pa.array(np.arange(table.num_rows))})
    return found


def given(engine: Engine, rows: Mapping[str, pa.Table]) -> "dict[str, ir.Table]":
    return {name: engine.table(table) for name, table in rows.items()}


def test_performance_tables_and_features(
    towers: UseCase, rows: dict[str, pa.Table], spark: Engine, duckdb: Engine
) -> None:
    found = []
    for engine in (spark, duckdb):
        known = given(engine, rows)
        derived = towers.derived["customer_service_metrics"]
        step = engine.kept(derived.stepwise(known)["customers_services"])
        kept = known | {"customers_services": step}
        metrics = engine.arrow(derived.rows(kept))
        cells = engine.arrow(towers.derived["cell_tower_performance"].rows(kept))
        assert towers.table_features is not None
        periods = engine.arrow(towers.table_features(known))
        found.append(
            (
                metrics.sort_by([("customerID", "ascending"), ("CellName", "ascending")]),
                cells.sort_by("CellName"),
                periods.sort_by("_row"),
            )
        )
    for ours, theirs in zip(*found, strict=True):
        same(ours, theirs)
    assert found[0][2].num_rows == CELLS * 96


def in_sets(counters: pa.Table) -> pa.Table:
    """The same counters in two sets, with some in both, and a third set of another length that has none of its own."""
    names = [name for name in counters.column_names if counters[name].type == pa.float64()][1:]
    parts = []
    for place, (own, seconds) in enumerate(((names[:12], 900.0), (names[8:], 900.0), (names[:3], 3600.0))):
        part = counters
        for name in counters.column_names:
            column = {
                "counter_set": pa.repeat(pa.scalar(f"set{place}"), part.num_rows),
                "granularity_s": pa.repeat(pa.scalar(seconds), part.num_rows),
                "_row": pa.array(np.arange(part.num_rows) + place * part.num_rows),
            }.get(name, part[name] if name in own or name not in names else pa.nulls(part.num_rows, pa.float64()))
            part = part.set_column(part.column_names.index(name), name, column)
        parts.append(part)
    return pa.concat_tables(parts)


def test_counter_sets_are_joined(towers: UseCase, rows: dict[str, pa.Table], spark: Engine, duckdb: Engine) -> None:
    watched = towers.watched
    assert watched is not None
    some = in_sets(rows["counters"].slice(0, 5 * 96))  # the other cells have one set
    both = pa.concat_tables([some, rows["counters"].slice(5 * 96)])
    keys = [("cell_name", "ascending"), ("begin_at", "ascending")]
    here, there, wanted = (
        engine.arrow(watched.rows(engine.table(table))).sort_by(keys)
        for engine, table in ((duckdb, both), (spark, both), (duckdb, rows["counters"]))
    )
    same(here, wanted)
    same(there, wanted)
    assert wanted.num_rows == CELLS * 96


def test_scores_and_alerts_by_map_in_arrow(
    towers: UseCase, rows: dict[str, pa.Table], spark: Engine, duckdb: Engine
) -> None:
    watched = towers.watched
    assert watched is not None
    here = gathered(watched.rows(given(duckdb, rows)["counters"]), watched.declared)
    model = learn(duckdb.arrow(here), watched.declared, budget=Budget(per_week=2.5), seed=0)
    found = []
    for engine in (spark, duckdb):
        things = gathered(watched.rows(given(engine, rows)["counters"]), watched.declared)
        schema = things.schema().to_pyarrow()
        scored = engine.arrow(engine.mapped(things, model.scored, model.scored_schema(schema)))
        alerts = engine.arrow(engine.mapped(things, model.alerted, model.alerted_schema(schema)))
        keys = [("cell_name", "ascending"), ("begin_at", "ascending")]
        found.append((scored.sort_by(keys), alerts.sort_by([("cell_name", "ascending"), ("first_at", "ascending")])))
    same(found[0][0], found[1][0])
    assert found[0][0].num_rows == CELLS * 96
    same(found[0][1].drop_columns(["deviations"]), found[1][1].drop_columns(["deviations"]))
    assert found[0][1].num_rows >= 1
    for one, other in zip(*(both[1]["deviations"].to_pylist() for both in found), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


def same(found: pa.Table, expected: pa.Table) -> None:
    assert found.schema.names == expected.schema.names
    assert found.num_rows == expected.num_rows
    for name in found.schema.names:
        one, other = found.column(name).to_pylist(), expected.column(name).to_pylist()
        if pa.types.is_floating(found.schema.field(name).type):
            wanted = [value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9) for value in other]
            assert one == wanted, name
        else:
            assert one == other, name

"""Counter sets of one object and period become one row, against a plain reading of the rule."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.engine import Engine, open_engine
from trunkline.features.kpi import joined_sets

Row = Mapping[str, object]

SCHEMA = pa.schema(
    [
        ("cell_name", pa.string()),
        ("begin_at", pa.int64()),
        ("counter_set", pa.string()),
        ("granularity_s", pa.float64()),
        ("one", pa.float64()),
        ("two", pa.float64()),
        ("_ingested_at", pa.int64()),
        ("_row", pa.int64()),
    ]
)
number = st.one_of(st.none(), st.integers(0, 3).map(float))
parts = st.lists(
    st.tuples(
        st.sampled_from(["x", "y"]),
        st.integers(0, 1),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([900.0, 900.0, 3600.0]),
        number,
        number,
        st.integers(0, 1),
    ),
    max_size=12,
    unique_by=lambda row: row[:3],
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("duckdb", threads=1) as opened:
        yield opened


def oracle(rows: Sequence[Row], order: Sequence[str]) -> list[Row]:
    """Of each cell and begin: the shortest period that counted, and of each counter the row that came last."""
    found: list[Row] = []
    for cell, begin in sorted({(str(row["cell_name"]), int(str(row["begin_at"]))) for row in rows}):
        own = [row for row in rows if (row["cell_name"], row["begin_at"]) == (cell, begin)]
        counted = [row for row in own if row["one"] is not None or row["two"] is not None] or own
        shortest = min(float(str(row["granularity_s"])) for row in counted)
        kept = [row for row in own if row["granularity_s"] == shortest or counted is own]
        kept.sort(key=lambda row: str(row["counter_set"]))
        for name in reversed(order):
            kept.sort(key=lambda row, name=name: -int(str(row[name])))  # type: ignore[misc]  # a bound default
        told = {name: next((row[name] for row in kept if row[name] is not None), None) for name in ("one", "two")}
        found.append({"cell_name": cell, "begin_at": begin, "granularity_s": shortest, **told})
    return found


@given(values=parts, has_lineage=st.booleans())
def test_each_counter_is_of_the_set_that_has_it(
    engine: Engine, values: list[tuple[object, ...]], *, has_lineage: bool
) -> None:
    rows = [dict(zip(SCHEMA.names, (*value, place), strict=True)) for place, value in enumerate(values)]
    order = ("_ingested_at", "_row") if has_lineage else ()
    table = pa.Table.from_pylist(rows, schema=SCHEMA).select([*SCHEMA.names[:6], *order])
    found = engine.arrow(joined_sets(engine.table(table)).order_by("cell_name", "begin_at"))
    assert found.to_pylist() == oracle(rows, order)


def test_rows_that_name_no_set_are_handed_on(engine: Engine) -> None:
    table = pa.table({"cell_name": ["x"], "begin_at": [0], "granularity_s": [900.0], "one": [1.0], "_row": [7]})
    assert engine.arrow(joined_sets(engine.table(table))).to_pylist() == [
        {"cell_name": "x", "begin_at": 0, "granularity_s": 900.0, "one": 1.0}
    ]

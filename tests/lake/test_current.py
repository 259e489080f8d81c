"""The newest row per key, against a plain reading of the rule."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts import Contract, Flag, Integer, Table, Text, field
from trunkline.engine import Engine
from trunkline.errors import SchemaError
from trunkline.lake import Lake
from trunkline.lake.versions import current_rows, newest

Row = Mapping[str, object]

SCHEMA = pa.schema(
    [("a", pa.string()), ("b", pa.int64()), ("at", pa.int64()), ("seq", pa.int64()), ("_row", pa.int64())]
)

rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(["x", "y", "", None]),
        st.sampled_from([0, 1, None]),
        st.one_of(st.none(), st.integers(-2, 2)),
        st.one_of(st.none(), st.integers(0, 1)),
    ),
    max_size=30,
)


def oracle(rows: Iterable[Row]) -> list[Row]:
    """Keep, per key, the row with the greatest order; NULL is below everything; the later row wins a tie."""
    best: dict[tuple[object, object], tuple[tuple[tuple[bool, int], ...], Row]] = {}
    for row in rows:
        order = tuple((row[name] is not None, int(str(row[name] or 0))) for name in ("at", "seq", "_row"))
        key = (row["a"], row["b"])
        if key not in best or order > best[key][0]:
            best[key] = (order, row)
    return sorted((row for _, row in best.values()), key=lambda row: int(str(row["_row"])))


@given(values=rows_strategy, data=st.data())
def test_current_keeps_the_newest_row_of_each_key(
    engine: Engine, values: list[tuple[object, ...]], data: st.DataObject
) -> None:
    rows = [
        dict(zip(("a", "b", "at", "seq", "_row"), (*value, number), strict=True)) for number, value in enumerate(values)
    ]
    shuffled = data.draw(st.permutations(rows))
    table = engine.table(pa.Table.from_pylist(shuffled, schema=SCHEMA))
    found = engine.arrow(newest(table, key=["a", "b"], newest_by=["at", "seq"], table="t"))
    assert found.schema.names == SCHEMA.names
    assert sorted(found.to_pylist(), key=lambda row: int(row["_row"])) == oracle(rows)


def test_current_reads_a_table_at_a_version(lake: Lake, engine: Engine) -> None:
    lake.append("a.b", pa.table({"id": ["x", "y"], "at": [1, 1]}))
    lake.append("a.b", pa.table({"id": ["x"], "at": [2], "new": [True]}))
    now = engine.arrow(lake.current("a.b", key=["id"], newest_by=["at"]))
    assert sorted((row["id"], row["at"]) for row in now.to_pylist()) == [("x", 2), ("y", 1)]
    then = engine.arrow(lake.current("a.b", key=["id"], newest_by=["at"], version=0))
    assert sorted((row["id"], row["at"]) for row in then.to_pylist()) == [("x", 1), ("y", 1)]
    with pytest.raises(SchemaError, match="lacks the column nope"):
        lake.current("a.b", key=["nope"], newest_by=["at"])


class Keyless(Contract):
    """One row per anything."""

    id: Text
    seq: Text | None
    at: Integer
    gone: Flag | None


class Change(Keyless):
    """One row per change of a thing."""

    table: ClassVar[Table] = Table(key=("id",), ordered_by="seq", deleted="gone")


class Counted(Contract):
    """One row per thing and part, which older tables do not tell."""

    table: ClassVar[Table] = Table(key=("id", "part"))

    id: Text
    part: Text = field(impute="all")


def test_rows_that_are_older_than_a_field_of_their_key_have_what_is_imputed(lake: Lake, engine: Engine) -> None:
    lake.append("a.old", pa.table({"id": ["x", "y"], "_row": [0, 1]}))
    before = engine.arrow(current_rows(lake.read("a.old"), Counted, table="a.old")).to_pylist()
    assert sorted((row["id"], row["part"]) for row in before) == [("x", "all"), ("y", "all")]
    lake.append("a.old", pa.table({"id": ["x", "x"], "_row": [2, 3], "part": ["all", "more"]}))
    rows = engine.arrow(current_rows(lake.read("a.old"), Counted, table="a.old")).to_pylist()
    assert sorted((row["id"], row["part"], row["_row"]) for row in rows) == [
        ("x", "all", 2),
        ("x", "more", 3),
        ("y", "all", 1),
    ]


def test_a_key_is_gone_while_its_newest_row_says_so(engine: Engine) -> None:
    changes = [
        {"id": "a", "seq": "0/1", "at": 9, "gone": False},
        {"id": "a", "seq": "0/2", "at": 1, "gone": True},  # the order says, not the event time
        {"id": "b", "seq": "0/3", "at": 1, "gone": True},
        {"id": "b", "seq": "0/4", "at": 1, "gone": None},
        {"id": "c", "seq": None, "at": 5, "gone": True},
        {"id": "c", "seq": "0/1", "at": 1, "gone": False},
        {"id": "d", "seq": "0/9", "at": 1, "gone": True},
        {"id": "d", "seq": "0/8", "at": 2, "gone": False},  # came late
    ]
    rows = engine.table(pa.Table.from_pylist(changes))
    left = engine.arrow(current_rows(rows, Change, table="t")).to_pylist()
    assert sorted((row["id"], row["seq"]) for row in left) == [("b", "0/4"), ("c", "0/1")]
    assert engine.arrow(current_rows(rows, Keyless, table="t")).num_rows == len(changes), "rows without a key"

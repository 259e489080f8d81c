"""Lines that are read in columns have the rows, reasons and numbers that they have record by record."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Table, Text, field
from trunkline.engine import open_engine
from trunkline.ingest.formats.flat_lines import FlatLines
from trunkline.ingest.judged import judge
from trunkline.ingest.records import Records, read_records
from trunkline.ingest.unfolding import Unfold


class Told(Contract):
    """All kinds of fields."""

    table: ClassVar[Table] = Table(key=("name",), null_tokens=("-",), on_two_columns="coalesce", reject_budget=None)

    name: Text = field(max_length=8)
    kind: Literal["a", "b"] | None = field(aliases=("Art",))
    at: Instant | None = field(written="epoch_ms")
    seen_at: Instant | None = field()
    day: Day | None = field()
    size: Integer | None = field(minimum=-5)
    level: Number | None = field(aliases=("Level dB",))
    share: Number | None = field(null_tokens=("-1",))
    is_on: Flag | None = field()


NAMES = [*Told.model_fields, "Art", "Level dB", "level DB", "other", "more"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-6, 6),
    st.sampled_from([2**53 + 1, -(2**63), 2**63, 2**64, 10**25, 1_752_154_349_420]),
    st.floats(),
    st.sampled_from([1.0, -0.0, 1e22, 1e-5, 0.1, -1.0]),
    st.sampled_from(
        ["a", "b", "-", "-1", "", " a ", "5", "1.5", "true", "2026-01-01", "2026-01-01T00:00:00Z", "\0", "ä"]
    ),
    st.text(max_size=9),
)
VALUES = st.one_of(SCALARS, SCALARS, SCALARS, SCALARS, st.lists(SCALARS, max_size=2), st.just({"a": 1}))
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)
TYPES = st.sampled_from(
    [
        st.integers(-6, 6) | st.none(),
        st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), 2.0**60]) | st.none(),
        st.sampled_from([1.5, 12345678901234567890, 2**53 + 1]),
        st.booleans() | st.none(),
        st.text(max_size=9) | st.sampled_from(["a", "-", "5", "2026-01-01T00:00:00Z"]) | st.none(),
    ]
)
ALIKE = st.dictionaries(st.sampled_from(NAMES), TYPES, max_size=9).flatmap(
    lambda types: st.lists(st.fixed_dictionaries({}, optional=types), max_size=6)
)
LINES = st.one_of(ALIKE, st.lists(OBJECTS, max_size=6))
ODD = [
    b"",
    b"7",
    b"[]",
    b"{}",
    b'{"a":',
    b"1}",
    b'{"name":"a"}{"name":"b"}',
    b'{"name":"a"} ',
    b'{"name":"a"}\r',
    b'{"name":"a","name":"b"}',
    b'{"size":01}',
    b'{"level":1.}',
    b'{"level":NaN}',
    b'{"level":-Infinity}',
    b'{"other":NaN}',
    b'{"name":"c","level":1.5,"other":12345678901234567890}',
    b'{"level":1e999}',
    b'{"name":"\xff"}',
    b'{"name":"\\ud800"}',
    b'{"name":"\\ud83d\\ude00"}',
    b'{"name":"\t"}',
    b'{"other":{"a":1}',
    b'{"b":2}}',
    b'\xef\xbb\xbf{"name":"a"}',
]


def verdicts(lines: bytes, *, mapping: Mapping[str, str] | None = None) -> tuple[Any, ...]:
    """Good rows, and number, reasons and fields' texts of the refused ones."""
    said = read_records([lines], Told, where="a topic", most_columns=100, mapping=mapping)
    good: list[dict[str, Any]] = []
    with open_engine("duckdb") as engine:
        judged = judge(
            said.open(), Told, engine=engine, mapping=mapping, sink=lambda rows: good.extend(rows.to_pylist())
        )
    refused = [row for part in judged.refusals.batches() for row in part.to_pylist()]
    judged.refusals.close()
    return (
        judged.read,
        good,
        judged.reasons,
        sorted((row["number"], row["reasons"]) for row in refused),
        unclaimed(said),
    )


def unclaimed(said: Records) -> dict[str, list[object]]:
    """Values of the columns that no field claims, those of numbers by their value alone."""
    own = {*Told.model_fields, "Art", "Level dB", "level DB"}
    found: dict[str, list[object]] = {}
    for batch in said.open().batches:
        for name in set(batch.schema.names) - own:
            found.setdefault(name, []).extend(map(_value, batch.column(name).to_pylist()))
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def _value(text: str | None) -> object:
    try:
        value = float(text or "-")
    except ValueError:
        return text
    return int(text or "") if (text or "").lstrip("-").isdecimal() else value if isfinite(value) else text


def both(
    lines: bytes, patch: pytest.MonkeyPatch, *, mapping: Mapping[str, str] | None = None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The verdicts as they come, and those of the way record by record."""
    found = verdicts(lines, mapping=mapping)
    with patch.context() as only:
        only.setattr(FlatLines, "read", lambda *_: None)
        return found, verdicts(lines, mapping=mapping)


def encoded(objects: Sequence[object]) -> bytes:
    """Lines of JSON, with and without escapes."""
    return b"\n".join(
        json.dumps(one, ensure_ascii=number % 2 == 0).encode("utf-8", "surrogatepass")
        for number, one in enumerate(objects)
    )


@given(LINES)
def test_any_objects_have_the_same_verdicts_in_columns(objects: Sequence[object]) -> None:
    if not objects:
        return
    with pytest.MonkeyPatch.context() as patch:
        found, wanted = both(encoded(objects), patch)
    assert found == wanted


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_flat_object_has_the_verdict_of_records(odd: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"\n".join([b'{"name":"a"}', odd, b'{"name":"b","size":3}'])
    found, wanted = both(lines, monkeypatch)
    assert found == wanted


@pytest.mark.parametrize("odd", [b'{"name":"b","level":NaN}', b'{"name":"b","other":NaN}'])
def test_a_number_that_json_does_not_have_is_malformed_beside_any_neighbour(odd: bytes) -> None:
    assert verdicts(b'{"name":"a","level":1.5,"other":1.5}\n' + odd)[2] == {"line.malformed": 1}


def test_a_flat_envelope_is_taken_apart() -> None:
    def apart(message: object) -> list[object] | None:
        return [{"name": message["told"]}] if isinstance(message, dict) and "told" in message else None

    values = [b'{"told":"a"}', b'{"name":"b"}']
    said = read_records(values, Told, where="a topic", most_columns=100, unfold=Unfold(apart))
    assert said.lines == b'{"name":"a"}\n{"name":"b"}'


def test_records_of_one_form_are_read_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [
        {"name": f"n{n}", "Art": "ab"[n % 2], "at": 1_752_154_349_420 + n, "level": n / 8, "more": n} for n in range(9)
    ]
    assert FlatLines(Told).read(encoded(objects)) is not None
    found, wanted = both(encoded([*objects, {"name": "last", "size": -9}]), monkeypatch)
    assert found == wanted
    assert found[2] == {"size.minimum": 1}


def test_names_of_the_mapping_win_and_columns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [{"id": "a", "level": 1.5, "gain": 2.5}, {"id": "b", "gain": 3.5, "far": 1}]
    found, wanted = both(encoded(objects), monkeypatch, mapping={"id": "name", "gain": "level"})
    assert found == wanted
    bounded = read_records([encoded(objects)], Told, where="a topic", most_columns=10).open()
    assert len(bounded.header) == 10

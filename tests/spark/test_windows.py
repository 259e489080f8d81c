"""Windows, ways and what was known: the same numbers as plain Python gives, on DuckDB and on Spark."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from trunkline.engine import Engine, open_engine
from trunkline.features.windows import END, START, as_of, gap_s, great_circle_m, in_windows

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Py4j leaves the sockets between Python and Java to the garbage collector."""

AT = datetime(2025, 7, 10, 13, 27, 59, 999_999, tzinfo=UTC)
INSTANTS = [
    AT,
    AT + timedelta(microseconds=1),
    datetime(1969, 12, 31, 23, 59, 58, 1, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    None,
]


@pytest.fixture(scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "spark":
        yield request.getfixturevalue("spark")
        return
    with open_engine("duckdb", threads=1) as opened:
        yield opened


def rows(engine: Engine, instants: list[datetime | None]) -> pa.Table:
    return engine.table(
        pa.table(
            {
                "number": pa.array(range(len(instants)), pa.int64()),
                "at": pa.array(instants, pa.timestamp("us", "UTC")),
            }
        )
    )


@pytest.mark.parametrize(("length", "every"), [(60, 60), (60, 20), (7, 7)])
def test_a_row_is_in_every_window_that_spans_its_instant(engine: Engine, length: int, every: int) -> None:
    placed = in_windows(
        rows(engine, INSTANTS), at="at", length=timedelta(seconds=length), every=timedelta(seconds=every)
    )
    found = {(row["number"], row[START], row[END]) for row in engine.arrow(placed).to_pylist()}
    wanted = set()
    for number, at in enumerate(INSTANTS):
        if at is None:
            continue
        newest = math.floor(math.floor(at.timestamp()) / every) * every
        for start in range(newest, newest - length, -every):
            begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
            assert begin <= at < begin + timedelta(seconds=length)
            wanted.add((number, begin, begin + timedelta(seconds=length)))
    assert found == wanted


def test_gaps_are_seconds_to_the_microsecond(engine: Engine) -> None:
    table = rows(engine, [AT, AT + timedelta(seconds=2, microseconds=1), AT + timedelta(minutes=1)])
    table = table.mutate(one=1)
    found = engine.arrow(table.mutate(gap=gap_s(table, at="at", by=["one"]))).sort_by("number")
    assert found.column("gap").to_pylist() == [None, 2.000001, 57.999999]


def test_a_way_is_that_of_the_haversine_formula_and_null_without_a_place(engine: Engine) -> None:
    table = engine.table(
        pa.table(
            {
                "number": [0, 1, 2],
                "lat": [52.5200, 0.0, None],
                "lon": [13.4050, 0.0, 1.0],
                "lat2": [48.8566, 0.0, 1.0],
                "lon2": [2.3522, 180.0, 1.0],
            }
        )
    )
    found = table.mutate(way=great_circle_m(table["lat"], table["lon"], table["lat2"], table["lon2"]))
    berlin_paris, half_round, nowhere = engine.arrow(found).sort_by("number").column("way").to_pylist()
    assert berlin_paris == pytest.approx(877_465, rel=1e-4)  # geographiclib says 879.7 km on the ellipsoid
    assert half_round == pytest.approx(math.pi * 6_371_008.8)
    assert nowhere is None


def test_what_was_known_at_the_instant_is_told(engine: Engine) -> None:
    instant = pa.timestamp("us", "UTC")
    asked = engine.table(
        pa.table({"device": ["a", "a", "b", None], "at": pa.array([AT] * 4, instant), "n": [1, 2, 3, 4]})
    )
    since = [AT - timedelta(days=2), AT, AT + timedelta(seconds=1)]
    told = engine.table(
        pa.table({"device": ["a"] * 3, "since": pa.array(since, instant), "site": ["before", "now", "later"]})
    )
    found = as_of(
        asked, told, on=("device",), columns={"site": "site"}, at="at", valid_from="since", key=("device", "n")
    )
    sites = {row["n"]: row["site"] for row in engine.arrow(found).to_pylist()}
    assert sites == {1: "now", 2: "now", 3: None, 4: None}

"""Any bytes under any name: a table read to its end, or one clean refusal; and no row is lost on the way."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.damage import damaged

from trunkline.errors import SourceError
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings
from trunkline.simulate.measurement_files import MeasurementFile, measurement_file

Taken = tuple[tuple[str, ...], dict[int, dict[str, str | None]], list[MalformedLine]]
Read = Callable[..., Taken]

TIGHT = IngestSettings(max_record_mb=1, max_columns=200, max_block_mb=1, max_refused_mb=1)
fuzzed = settings(
    max_examples=150,
    derandomize=True,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def avro_seed() -> bytes:
    fastavro = pytest.importorskip("fastavro")
    fields: list[dict[str, object]] = [
        {"name": "a", "type": "long"},
        {"name": "b", "type": ["null", "string"]},
        {"name": "c", "type": {"type": "record", "name": "C", "fields": [{"name": "d", "type": "double"}]}},
        {"name": "e", "type": {"type": "array", "items": "int"}},
    ]
    sink = io.BytesIO()
    rows = [{"a": n, "b": None if n % 2 else "x", "c": {"d": n / 3}, "e": [n, n]} for n in range(20)]
    fastavro.writer(sink, {"type": "record", "name": "R", "fields": fields}, rows, codec="deflate")
    return sink.getvalue()


def parquet_seed() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(50)), "b": [None, "x"] * 25}), sink)
    return sink.getvalue()


def zip_seed() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", "a,b\n" + "1,2\n" * 30)
    return sink.getvalue()


TEXT = "a,b\n" + "".join(f'{n},"x ""{n}"""\n' for n in range(20))
PM = "".join(measurement_file(MeasurementFile(suspect_share=0.2, nil_share=0.1)))
SEEDS: dict[str, Callable[[], bytes]] = {
    ".csv": TEXT.encode,
    ".txt": lambda: TEXT.encode("utf-16"),
    ".csv.gz": lambda: gzip.compress(TEXT.encode(), mtime=0),
    ".csv.bz2": lambda: bz2.compress(TEXT.encode()),
    ".csv.xz": lambda: lzma.compress(TEXT.encode()),
    ".csv.zst": lambda: bytes(pa.Codec("zstd").compress(TEXT.encode(), asbytes=True)),
    ".zip": zip_seed,
    ".json": lambda: json.dumps({"n": 1, "rows": [{"a": {"b": n, "c": [n]}, "d": "é"} for n in range(20)]}).encode(),
    ".ndjson": lambda: b"".join(json.dumps({"a": n, "b": {"c": n}}).encode() + b"\n" for n in range(20)),
    ".parquet": parquet_seed,
    ".avro": avro_seed,
    ".xml": PM.encode,
    ".xml.gz": lambda: gzip.compress(PM.encode(), mtime=0),
}


def kept(read: Read, path: Path, data: bytes) -> Taken | None:
    """Read a file; None where it is refused."""
    path.write_bytes(data)
    try:
        return read(path, TIGHT)
    except SourceError as error:
        said = error
    assert said.what
    assert len(str(said)) < 1500
    return None


@pytest.mark.parametrize("suffix", SEEDS)
@pytest.mark.slow
def test_damaged_files_are_read_or_refused(suffix: str, read: Read, tmp_path: Path) -> None:
    seed = SEEDS[suffix]()
    assert kept(read, tmp_path / f"good{suffix}", seed) is not None

    @fuzzed
    @given(data=damaged(seed, most_taken=9, most_repeated=40))
    def holds(data: bytes) -> None:
        kept(read, tmp_path / f"f{suffix}", data)

    holds()


@pytest.mark.parametrize("suffix", [*SEEDS, ".xlsx", ".ods", ".unknown"])
@pytest.mark.slow
def test_any_bytes_are_read_or_refused(suffix: str, read: Read, tmp_path: Path) -> None:
    @fuzzed
    @given(data=st.binary(max_size=300) | st.text(alphabet='a1,;"\n\r\t {}[]<>:\x00é', max_size=120).map(str.encode))
    def holds(data: bytes) -> None:
        kept(read, tmp_path / f"f{suffix}", data)

    holds()


@pytest.mark.slow
@fuzzed
@given(
    cells=st.lists(st.lists(st.text(alphabet='ab1,;" \n\ré', max_size=6), min_size=1, max_size=4), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@example(cells=[["a"], ["a", "b", "c"]], delimiter=",", end="\n")
def test_no_row_of_csv_is_lost(cells: list[list[str]], delimiter: str, end: str, read: Read, tmp_path: Path) -> None:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=end)
    writer.writerow(["name", "other"])
    writer.writerows(cells)
    text = sink.getvalue()
    found = kept(read, tmp_path / "f.csv", text.encode())
    # an empty line is no row, for both
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row][1:]
    assert found is not None
    _, rows, malformed = found
    assert len(rows) + len(malformed) == len(expected)
    for number, row in rows.items():
        assert list(row.values()) == expected[number - 1]
    for line in malformed:
        assert line.fields == len(expected[line.row_number - 1]) != 2


@pytest.mark.slow
@fuzzed
@given(
    lines=st.lists(
        st.text(alphabet='ab1,;" é', max_size=12).filter(lambda line: line.count('"') % 2 == 0), min_size=1, max_size=8
    )
)
def test_no_line_of_odd_csv_is_lost(lines: list[str], read: Read, tmp_path: Path) -> None:
    text = "\n".join(["name,other", *lines]) + "\n"
    found = kept(read, tmp_path / "f.csv", text.encode())
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    assert found is not None
    _, rows, malformed = found
    assert len(rows) + len(malformed) == len(expected)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(st.sampled_from(["a", "b", "c.d", "c"]), values, max_size=4)


def named(element: dict[str, object]) -> bool:
    """Whether an object holds anything that would be a column."""
    return any(named(value) if isinstance(value, dict) else True for value in element.values())


@pytest.mark.slow
@fuzzed
@given(elements=st.lists(records | values, max_size=8), indent=st.sampled_from([None, 1]), form=st.integers(0, 2))
def test_no_element_of_json_is_lost(
    elements: list[object], indent: int | None, form: int, read: Read, tmp_path: Path
) -> None:
    document: object = elements if form < 2 else {"before": 1, "rows": elements, "after": [1]}
    if form == 1:
        name, text = "f.ndjson", "".join(json.dumps(element) + "\n" for element in elements)
    else:
        name, text = "f.json", json.dumps(document, indent=indent)
    found = kept(read, tmp_path / name, text.encode())
    objects = [number for number, element in enumerate(elements, 1) if isinstance(element, dict)]
    if found is None:
        assert not any(named(element) for element in elements if isinstance(element, dict)) or form == 2
        return
    header, rows, malformed = found
    if form == 2 and (not elements or not isinstance(elements[0], dict)) and "rows" in header:
        assert len(rows) == 1  # one object: its member holds no rows
        return
    assert len(rows) + len(malformed) == len(elements)
    assert set(rows) <= set(objects)
    for number, row in rows.items():
        element = elements[number - 1]
        assert isinstance(element, dict)
        for key, value in element.items():
            if isinstance(value, str) and row[key] is not None and not str(row[key]).startswith("\x00"):
                assert row[key] == value

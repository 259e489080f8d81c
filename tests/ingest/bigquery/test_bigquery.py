"""Tables and queries of BigQuery: an emulator where one is installed, real clients without a server elsewhere."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest.sources import Position, open_source
from trunkline.ingest.sources.bigquery import BigQueryReader, declared_from_url
from trunkline.ingest.sources.bigquery.faults import told
from trunkline.ingest.sources.bigquery.reading import _Query
from trunkline.ingest.sources.bigquery.texts import columns_of, text_of, text_rows
from trunkline.ingest.sources.following import Digest
from trunkline.spec.sources import BigQuerySource

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

bigquery = pytest.importorskip("google.cloud.bigquery", reason="the extra bigquery is not installed")


class Emulator(Protocol):
    endpoint: str
    storage: str


def declare(**said: object) -> BigQuerySource:
    return BigQuerySource.model_validate({"kind": "bigquery", "usecase": "shop", "timeout_s": 20, **said})


# -- without a server


def test_types_as_texts() -> None:
    fields = [
        bigquery.SchemaField("id", "INTEGER"),
        bigquery.SchemaField(
            "cell",
            "RECORD",
            fields=[
                bigquery.SchemaField("id", "STRING"),
                bigquery.SchemaField("geo", "RECORD", fields=[bigquery.SchemaField("lat", "FLOAT")]),
            ],
        ),
        bigquery.SchemaField("parts", "RECORD", "REPEATED", fields=[bigquery.SchemaField("n", "NUMERIC")]),
        bigquery.SchemaField("big", "BIGNUMERIC"),
        bigquery.SchemaField("valid", "RANGE", range_element_type="DATE"),
    ]
    day = date(2026, 1, 1)
    batch = pa.RecordBatch.from_pydict({
        "id": [1, 2],
        "cell": pa.array([{"id": "a", "geo": {"lat": 1.5}}, None]),
        "parts": pa.array([[{"n": Decimal("0.500000000")}], []]),
        "big": pa.array([Decimal("1.5"), Decimal("-0.10")], pa.decimal256(76, 38)),
        "valid": pa.array([{"start": day, "end": None}, None]),
    })  # fmt: skip
    assert columns_of(fields) == ("id", "cell.id", "cell.geo.lat", "parts", "big", "valid.start", "valid.end")
    assert [list(row) for row in text_rows(batch)] == [
        ["1", "a", "1.5", '[{"n":0.5}]', "1.5", "2026-01-01", None],
        ["2", None, None, "[]", "-0.1", None, None],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (9_007_199_254_740_993, "9007199254740993"),
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (Decimal("100.000000000"), "100"),
        (datetime(2026, 1, 1, 12, tzinfo=UTC), "2026-01-01T12:00:00Z"),
        (datetime.fromisoformat("2026-01-01T12:00:00.000005"), "2026-01-01T12:00:00.000005"),
        (time(10, 30), "10:30:00"),
        (b"\x00\xff", "00ff"),
        (pa.MonthDayNano([1, 2, 500_000_000]), "P1M2DT0.5S"),
        ([b"\xff", float("inf"), None], '["ff","inf",null]'),
        (None, None),
    ],
)
def test_text_of_a_value(value: object, text: str | None) -> None:
    assert text_of(value) == text


def test_columns_have_the_texts_of_their_values() -> None:
    values: dict[str, list[object]] = {
        "n": [-(2**63), 0, 2**63 - 1, None],
        "flag": [True, False, None, True],
        "day": [date(1, 1, 1), date(9999, 12, 31), None, date(2026, 2, 28)],
        "text": ["", "ä", None, "a\nb"],
        "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 4,
    }
    rows = list(text_rows(pa.RecordBatch.from_pydict(values)))
    assert [list(row) for row in rows] == [
        [text_of(value) for value in row] for row in zip(*values.values(), strict=True)
    ]


def fault(name: str, *said: object, **more: object) -> Exception:
    """Make an error of Google's libraries, which have no types."""
    module, _, kind = name.rpartition(".")
    made: Exception = getattr(import_module(f"google.{module}.exceptions"), kind)(*said, **more)
    return made


BILLED = "Query exceeded limit for bytes billed: 1"
FAULTS = [
    (fault("api_core.NotFound", "POST https://host/x: Not found: Table p:d.t"), SourceError, "that: Not found: Table"),
    (fault("api_core.Forbidden", "no"), SourceError, "may not read"),
    (fault("api_core.Forbidden", "no", errors=[{"reason": "quotaExceeded"}]), UnavailableError, "quota"),
    (fault("api_core.BadRequest", "Syntax error near '+43664'"), SourceError, "does not understand"),
    (fault("api_core.BadRequest", BILLED), SourceError, "more than it may"),
    (fault("api_core.Unauthorized", "no"), SourceError, "refuses the credentials"),
    (fault("api_core.ServiceUnavailable", "no"), UnavailableError, "did not answer"),
    (fault("api_core.RetryError", "timeout", cause=None), UnavailableError, "did not answer"),
    (fault("auth.DefaultCredentialsError", "path /home/x"), SourceError, "credentials cannot be used"),
    (fault("auth.TransportError", "no"), UnavailableError, "did not answer"),
]


@pytest.mark.parametrize(("error", "kind", "words"), FAULTS)
def test_errors_in_our_own_words(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as refused, told("bigquery shop.calls"):
        raise error
    assert "+43664" not in str(refused.value)
    assert "host/x" not in str(refused.value)


def test_by_url() -> None:
    said = declared_from_url(
        "bigquery://pays/data-proj.shop.calls?cursor=updated_at&overlap_s=600&location=EU", usecase="shop", dataset=None
    )
    assert (said.project, said.table, said.mode, said.location) == (
        "pays",
        "data-proj.shop.calls",
        "incremental",
        "EU",
    )
    assert said.overlap == timedelta(minutes=10)
    query = declared_from_url("bigquery://pays?query=SELECT%201", usecase="shop", dataset=None)
    assert (query.table, query.query) == (None, "SELECT 1")
    for wrong in (
        "bigquery://p",
        "bigquery://p/shop.calls?tabel=x",
        "bigquery://u:p@p/shop.calls",
        "bigquery://p/calls",
    ):
        with pytest.raises(InputError, match="does not say what to read"):
            declared_from_url(wrong, usecase="shop", dataset=None)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"table": "shop.calls", "query": "SELECT 1"},
        {"table": "shop.calls` --"},
        {"table": "shop.calls", "mode": "incremental"},
        {"table": "shop.calls", "cursor": "at"},
        {"table": "shop.calls", "storage_endpoint": "127.0.0.1:1"},
    ],
)
def test_contradictions_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        declare(**wrong)


@pytest.mark.slow
def test_nobody_answers(tmp_path: Path) -> None:
    source = open_source("calls", declare(project="p", table="shop.calls", endpoint="http://127.0.0.1:9", timeout_s=1))
    with pytest.raises(UnavailableError, match="did not answer"):
        list(source.pull(None, folder=tmp_path))


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    source = open_source("calls", declare(project="p", table="shop.calls", credentials_file=tmp_path / "key.json"))
    with pytest.raises(SourceError, match="key file cannot be read"):
        list(source.pull(None, folder=tmp_path))


# -- an emulator


class Puller:
    """Pulls again and again, each time from the position of the last piece that was taken."""

    def __init__(self, declared: BigQuerySource, folder: Path) -> None:
        self.source = open_source("calls", declared)
        self.folder = folder
        self.position: Position | None = None
        self.origins: list[str] = []

    def pieces(self, most: int | None = None) -> list[list[dict[str, str | None]]]:
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        found = []
        stream = self.source.pull(self.position, folder=folder)
        for pulled in stream:
            self.position = json.loads(json.dumps(pulled.position))
            self.origins.append(pulled.origin)
            found.append(pq.read_table(pulled.path).to_pylist())
            if len(found) == most:
                break
        stream.close()  # type: ignore[attr-defined]  # sources are generators
        return found

    def ids(self) -> list[str]:
        return sorted(str(row["id"]) for piece in self.pieces() for row in piece)


Add = Callable[..., None]


@pytest.fixture
def table(emulator: Emulator) -> Iterator[str]:
    """A table of calls, by ``dataset.table``."""
    with _client(emulator) as client:
        name = f"t{uuid.uuid4().hex[:12]}"
        client.create_dataset("shop", exists_ok=True, timeout=10)
        fields = {"id": "INTEGER", "seq": "INTEGER", "price": "NUMERIC", "at": "TIMESTAMP", "cell": "STRING"}
        schema = [bigquery.SchemaField(one, kind) for one, kind in fields.items()]
        schema.append(bigquery.SchemaField("tags", "STRING", "REPEATED"))
        client.create_table(bigquery.Table(f"local.shop.{name}", schema=schema), timeout=10)
        yield f"shop.{name}"
        client.delete_table(f"local.shop.{name}", timeout=10)


def _client(emulator: Emulator) -> "Client":
    from google.auth.credentials import AnonymousCredentials

    client: Client = bigquery.Client(
        "local",
        AnonymousCredentials(),  # type: ignore[no-untyped-call]  # it has no types
        client_options={"api_endpoint": emulator.endpoint},
    )
    return client


@pytest.fixture
def add(emulator: Emulator, table: str) -> Add:
    """Add calls by their ids; ``seq`` is the id, or what is said."""

    def added(*ids: int, seq: int | None = None, minute: int = 0) -> None:
        rows = [
            {
                "id": one,
                "seq": one if seq is None else seq,
                "price": "1.50",
                "at": f"2026-03-01T10:{minute:02d}:00.25Z",
                "cell": "a",
                "tags": ["x", "y"],
            }
            for one in ids
        ]
        with _client(emulator) as client:
            assert client.insert_rows_json(client.get_table(f"local.{table}"), rows, timeout=20) == []

    return added


@pytest.fixture
def puller(emulator: Emulator, table: str, tmp_path: Path) -> Callable[..., Puller]:
    def made(**said: object) -> Puller:
        given = {"project": "local", "table": table, "endpoint": emulator.endpoint}
        return Puller(declare(**{**given, **said}), tmp_path)

    return made


@pytest.mark.servers
@pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")  # of Google's library, about itself
def test_a_table_by_the_storage_api(add: Add, puller: Callable[..., Puller], emulator: Emulator) -> None:
    add(1, 2, 3)
    full = puller(storage_endpoint=emulator.storage)
    ((first, *others),) = full.pieces()
    assert len(others) == 2
    assert first == {
        "id": "1",
        "seq": "1",
        "price": "1.5",
        "at": "2026-03-01T10:00:00.250000Z",
        "cell": "a",
        "tags": '["x","y"]',
    }
    assert full.origins[0].endswith(" bytes")
    assert full.pieces() == [], "unchanged content is nothing new"
    add(4)
    assert full.ids() == ["1", "2", "3", "4"]


@pytest.mark.servers
def test_pieces_and_a_snapshot(add: Add, puller: Callable[..., Puller]) -> None:
    add(1, 2, 3, 4, 5)
    assert [len(piece) for piece in puller(piece_rows=2).pieces()] == [2, 2, 1]
    assert [len(piece) for piece in puller(piece_rows=2, mode="snapshot").pieces()] == [5]


@pytest.mark.servers
def test_incremental_goes_on_after_a_cut_and_finds_ties_once(add: Add, puller: Callable[..., Puller]) -> None:
    add(1, 2)
    add(3, 4, 5, seq=9)
    newer = puller(mode="incremental", cursor="seq", piece_rows=1)
    found = [str(row["id"]) for _ in range(2) for piece in newer.pieces(most=1) for row in piece]
    assert found == ["1", "2"]
    assert newer.ids() == ["3", "4", "5"]
    assert newer.pieces() == []
    add(6, seq=9)
    add(7, seq=3)
    assert newer.ids() == ["6"], "a tie is found, a late row only with `overlap`"


@pytest.mark.servers
def test_overlap_of_instants(add: Add, puller: Callable[..., Puller]) -> None:
    add(1, minute=30)
    newer = puller(mode="incremental", cursor="at", overlap="PT10M")
    assert newer.ids() == ["1"]
    add(2, minute=21)
    add(3, minute=10)
    assert newer.ids() == ["2"]


@pytest.mark.servers
def test_more_ties_than_a_position_holds(add: Add, puller: Callable[..., Puller]) -> None:
    add(*range(1_100), seq=1)
    newer = puller(mode="incremental", cursor="seq")
    assert len(newer.ids()) == 1_100
    assert newer.pieces() == [], "a digest tells that nothing is new"


@pytest.mark.servers
def test_a_query_is_looked_at_before(add: Add, puller: Callable[..., Puller], table: str) -> None:
    add(1, 2)
    said = {"table": None, "query": f"SELECT id, cell FROM `local.{table}` WHERE id > 1 -- new ones"}
    assert puller(**said).pieces() == [[{"id": "2", "cell": "a"}]]
    source = puller(**said).source
    assert isinstance(source, BigQueryReader)
    assert source.estimated_bytes(None) >= 0
    with pytest.raises(SourceError, match="does not understand the query"):
        puller(table=None, query=f"SELECT nope FROM `local.{table}`").pieces()
    with pytest.raises(SourceError, match="no column 'nope'") as refused:
        puller(mode="incremental", cursor="nope").pieces()
    assert "seq" in refused.value.allowed
    with pytest.raises(SourceError, match="no order that could be trusted"):
        puller(mode="incremental", cursor="tags").pieces()
    with pytest.raises(SourceError, match="`overlap` is a time"):
        puller(mode="incremental", cursor="seq", overlap="PT1M").pieces()
    with pytest.raises(SourceError, match="does not know that"):
        puller(table="shop.nowhere").pieces()


def test_more_bytes_than_allowed_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    source = open_source("calls", declare(table="shop.calls", project="p", max_billed_gib=2))
    assert isinstance(source, BigQueryReader)
    source._refuse_too_much(2 << 30)
    with pytest.raises(SourceError, match=r"2\.5 GiB would be read, and 2 GiB may be"):
        source._refuse_too_much(5 << 29)
    query = _Query("SELECT 1")
    config = source._config(query, dry_run=False)
    assert config.maximum_bytes_billed == 2 << 30
    assert not config.use_legacy_sql
    assert source._config(query, dry_run=True).dry_run


def test_the_digest_counts_repeats() -> None:
    once, twice = Digest(), Digest()
    once.add("a")
    for _ in range(2):
        twice.add("a")
    assert once.text != twice.text

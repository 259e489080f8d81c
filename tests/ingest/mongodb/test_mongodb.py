"""Collections of MongoDB: documents by BSON without a server; pulls from one of its protocol, or from MONGODB_URL's."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text
from trunkline.contracts import field as described
from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import Position, open_source
from trunkline.ingest.sources.documents import DocumentPieces, line_of, plain_number
from trunkline.ingest.sources.mongodb import declared_from_url
from trunkline.ingest.sources.mongodb.cursors import MongoCursor
from trunkline.ingest.sources.mongodb.faults import told
from trunkline.ingest.sources.mongodb.values import as_json, codec_options
from trunkline.lake import Lake
from trunkline.spec.sources import MongoSource

if TYPE_CHECKING:
    from pymongo.collection import Collection

bson = pytest.importorskip("bson", reason="the extra mongodb is not installed")
pymongo = pytest.importorskip("pymongo", reason="the extra mongodb is not installed")

SECRET = "n0t-shown"
ID = "65f000000000000000000001"


def declare(**said: object) -> MongoSource:
    url = SecretStr(f"mongodb://reader:{SECRET}@127.0.0.1:9/shop")
    return MongoSource.model_validate(
        {"kind": "mongodb", "usecase": "shop", "url": url, "collection": "tickets", "timeout_s": 1, **said}
    )


# -- documents, without a server


def through_bson(document: dict[str, object]) -> object:
    """What a server would send, as it lands."""
    return as_json(bson.decode(bson.encode(document), codec_options()))


def test_types_of_bson() -> None:
    at = datetime(2026, 7, 1, 10, 15, 0, 250_000, tzinfo=UTC)
    given_document = {
        "_id": bson.ObjectId(ID),
        "price": bson.Decimal128("1.50"),
        "digits": bson.Decimal128("1234567890123456789012345678.901234"),
        "big": bson.Int64(2**62),
        "ratio": 0.1,
        "no": float("nan"),
        "all": float("inf"),
        "at": at.astimezone(UTC),
        "far": bson.DatetimeMS(400_000_000_000_000),
        "raw": b"\x00\xff",
        "uuid": uuid.UUID(int=5),
        "flag": True,
        "none": None,
        "cell": {"id": "a", "geo": {"lat": 1.5}},
        "tags": ["x", {"at": at}, bson.ObjectId(ID)],
        "pattern": bson.Regex("^a", "i"),
        "clock": bson.Timestamp(7, 1),
    }
    binary = {**given_document, "uuid": bson.Binary.from_uuid(uuid.UUID(int=5))}
    assert through_bson(binary) == {
        "_id": ID,
        "price": 1.5,
        "digits": "1234567890123456789012345678.901234",
        "big": 2**62,
        "ratio": 0.1,
        "no": "NaN",
        "all": "Infinity",
        "at": "2026-07-01T10:15:00.250Z",
        "far": "Date(400000000000000)",
        "raw": "00ff",
        "uuid": "00000000-0000-0000-0000-000000000005",
        "flag": True,
        "none": None,
        "cell": {"id": "a", "geo": {"lat": 1.5}},
        "tags": ["x", {"at": "2026-07-01T10:15:00.250Z"}, ID],
        "pattern": {"$regularExpression": {"pattern": "^a", "options": "i"}},
        "clock": {"$timestamp": {"t": 7, "i": 1}},
    }


def test_text_that_is_no_utf8_is_shown_and_not_lost() -> None:
    whole = bson.encode({"name": "cafe"})
    broken = bson.decode(whole.replace(b"cafe", b"caf\xe9"), codec_options())
    assert as_json(broken) == {"name": "caf\\xe9"}


class Ticket(Contract):
    table: ClassVar[Table] = Table(key=("ticket_id",))

    ticket_id: Text = described(aliases=("_id",))
    price: Number
    digits: Text
    at: Instant
    cell_id: Text = described(aliases=("cell.id",))
    latitude: Number | None = described(aliases=("cell.geo.lat",))
    tags: Text
    big: Integer


TICKET: dict[str, object] = {
    "price": bson.Decimal128("1.50"),
    "digits": bson.Decimal128("12345678901234567890.5"),
    "at": datetime(2026, 7, 1, tzinfo=UTC),
    "cell": {"id": "a", "geo": {"lat": 1.5}},
    "tags": ["x", {"y": 1}],
    "big": bson.Int64(2**53 + 1),
}


def test_documents_get_the_verdicts_of_the_contract(lake: Lake, tmp_path: Path) -> None:
    pieces = DocumentPieces(tmp_path, "shop.tickets")
    first = {"_id": bson.ObjectId(ID), **TICKET}
    second = {**first, "_id": 7, "cell": {"id": "b"}}
    odd = {**first, "_id": 8, "at": bson.DatetimeMS(400_000_000_000_000)}
    for document in (first, second, odd):
        found = through_bson(document)
        assert isinstance(found, dict)
        pieces.add(line_of(found))
    pulled = pieces.cut({})
    taken = ingest_file(pulled.path, Target("shop", "tickets", Ticket), lake=lake, run_id="r", clock=now)
    assert (taken.receipt.read, taken.receipt.accepted, taken.receipt.quarantined) == (3, 2, 1)
    rows = lake.arrow("shop.tickets", columns=[*Ticket.model_fields]).sort_by("ticket_id").to_pylist()
    assert rows[0] == {
        "ticket_id": ID,
        "price": 1.5,
        "digits": "12345678901234567890.5",
        "at": datetime(2026, 7, 1, tzinfo=UTC),
        "cell_id": "a",
        "latitude": 1.5,
        "tags": '["x",{"y":1}]',
        "big": 2**53 + 1,
    }
    assert (rows[1]["ticket_id"], rows[1]["latitude"]) == ("7", None)


def now() -> datetime:
    return datetime.now(UTC)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_value(number: Decimal) -> None:
    written = json.loads(line_of({"n": plain_number(number)}))["n"]
    assert Decimal(repr(written) if isinstance(written, float) else written) == number


@pytest.mark.parametrize(
    "values",
    [
        [bson.Int64(3), 7.5, bson.Decimal128("8.25"), 2**60],
        [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), bson.DatetimeMS(400_000_000_000_000)],
        [bson.ObjectId(ID), bson.ObjectId("75f000000000000000000001")],
        ["Z", "a", "ä"],
    ],
)
def test_a_cursor_orders_and_comes_back(values: Sequence[object]) -> None:
    cursor = MongoCursor("at", timedelta(0), "where")
    written = [cursor.value(value, beside=None) for value in values]
    for lower, higher in pairwise(written):
        assert cursor.newer(higher, lower)
        assert not cursor.newer(lower, higher)
    for value, text in zip(values, written, strict=True):
        begun = bson.decode(bson.encode({"v": cursor.begin(text)}), codec_options())["v"]
        assert cursor.value(begun, beside=None) == text
        assert cursor.value(value, beside=text) == text


def test_a_cursor_that_cannot_be_followed() -> None:
    cursor = MongoCursor("at", timedelta(0), "where")
    with pytest.raises(SourceError, match="two kinds \\(text and number\\)"):
        cursor.value(5, beside="text:a")
    for value in (True, [1], {"a": 1}, float("nan"), bson.Decimal128("NaN")):
        with pytest.raises(SourceError, match="cannot be followed"):
            cursor.value(value, beside=None)
    with pytest.raises(SourceError, match="`overlap` is a time"):
        MongoCursor("at", timedelta(minutes=1), "where").value(5, beside=None)


def test_the_overlap_goes_back() -> None:
    cursor = MongoCursor("at", timedelta(minutes=10), "where")
    begun = cursor.begin(cursor.value(datetime(2026, 1, 1, 12, tzinfo=UTC), beside=None))
    assert int(begun) == int(datetime(2026, 1, 1, 11, 50, tzinfo=UTC).timestamp() * 1000)  # type: ignore[call-overload]  # a DatetimeMS
    assert cursor.within(600_000, 1_200_000)
    assert not cursor.within(599_999, 1_200_000)


# -- declarations and errors


def test_by_url() -> None:
    said = declared_from_url(
        "mongodb://reader:s@a.example,b.example/shop?replicaSet=r&collection=tickets&cursor=at&overlap_s=60",
        usecase="shop",
        dataset=None,
    )
    assert (said.collection, said.mode, said.cursor) == ("tickets", "incremental", "at")
    assert said.url.get_secret_value() == "mongodb://reader:s@a.example,b.example/shop?replicaSet=r"
    with pytest.raises(InputError, match="does not say what to read"):
        declared_from_url("mongodb://host/shop", usecase="shop", dataset=None)


@pytest.mark.parametrize(
    "url", [f"mongodb://u:{SECRET}@host", f"mongodb://u:{SECRET}@/shop", f"mongo://u:{SECRET}@h/d"]
)
def test_malformed_urls_do_not_show_the_password(url: str) -> None:
    with pytest.raises(InputError) as refused:
        open_source("tickets", declare(url=SecretStr(url)))
    assert SECRET not in str(refused.value)


def test_a_filter_that_is_no_extended_json() -> None:
    with pytest.raises(InputError, match="no Extended JSON"):
        open_source("tickets", declare(filter={"at": {"$date": "yesterday"}}))
    for wrong in ({"mode": "incremental"}, {"cursor": "at"}, {"collection": ""}):
        with pytest.raises(ValidationError):
            declare(**wrong)


def test_nobody_answers(tmp_path: Path) -> None:
    source = open_source("tickets", declare(timeout_s=0.2))
    with pytest.raises(UnavailableError, match="did not answer") as silent:
        list(source.pull(None, folder=tmp_path))
    assert SECRET not in str(silent.value)
    assert "reader" not in str(silent.value)


@pytest.mark.parametrize(
    ("code", "words"), [(18, "refused the login"), (13, "may not read"), (2, "does not understand"), (99, "refused to")]
)
def test_answers_of_the_server(code: int, words: str) -> None:
    from pymongo.errors import AutoReconnect, ExecutionTimeout, OperationFailure

    with pytest.raises(SourceError, match=words) as refused, told("shop"):
        raise OperationFailure("for user +43664", code)
    assert "+43664" not in str(refused.value)
    for passing in (AutoReconnect("cut"), ExecutionTimeout("slow", 50)):
        with pytest.raises(UnavailableError), told("shop"):
            raise passing


# -- a server


@pytest.fixture
def documents(mongodb_url: str) -> Iterator["Collection[dict[str, object]]"]:
    """A collection of its own."""
    with pymongo.MongoClient(mongodb_url, tz_aware=True) as client:
        name = f"trunkline_{uuid.uuid4().hex[:12]}"
        yield client[name]["tickets"]
        client.drop_database(name)


class Puller:
    """Pulls again and again, each time from the position of the last piece that was taken."""

    def __init__(self, declared: MongoSource, folder: Path) -> None:
        self.source, self.folder = open_source("tickets", declared), folder
        self.position: Position | None = None

    def pieces(self, most: int | None = None) -> list[list[object]]:
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        found = []
        stream = self.source.pull(self.position, folder=folder)
        for pulled in stream:
            self.position = json.loads(json.dumps(pulled.position))
            found.append([row["_id"] for row in json.loads(pulled.path.read_bytes())])
            if len(found) == most:
                break
        stream.close()  # type: ignore[attr-defined]  # sources are generators
        return found

    def ids(self) -> list[object]:
        return [one for piece in self.pieces() for one in piece]


@pytest.fixture
def puller(documents: "Collection[dict[str, object]]", mongodb_url: str, tmp_path: Path) -> Callable[..., Puller]:
    parts = urlsplit(mongodb_url)
    url = urlunsplit((parts.scheme, parts.netloc, documents.database.name, parts.query, ""))
    return lambda **said: Puller(declare(**{"url": SecretStr(url), "timeout_s": 10, **said}), tmp_path)


@pytest.mark.servers
def test_everything_and_nothing_new(documents: "Collection[dict[str, object]]", puller: Callable[..., Puller]) -> None:
    documents.insert_many([{"_id": number, "seq": number} for number in range(5)])
    full = puller()
    assert sorted(map(str, full.ids())) == ["0", "1", "2", "3", "4"]
    assert full.pieces() == [], "unchanged content is nothing new"
    assert [len(piece) for piece in puller(piece_rows=2).pieces()] == [2, 2, 1]
    assert puller(filter={"seq": {"$gt": 3}}).ids() == [4]
    with pytest.raises(SourceError, match="no collection 'nowhere'"):
        puller(collection="nowhere").ids()


@pytest.mark.servers
def test_incremental_goes_on_after_a_cut_and_finds_ties_once(
    documents: "Collection[dict[str, object]]", puller: Callable[..., Puller]
) -> None:
    documents.insert_many([{"_id": 1, "seq": 1}, {"_id": 2, "seq": 2}, {"_id": 9}])
    documents.insert_many([{"_id": one, "seq": 9} for one in (3, 4, 5)])
    newer = puller(mode="incremental", cursor="seq", piece_rows=1)
    assert [one for _ in range(2) for piece in newer.pieces(most=1) for one in piece] == [1, 2]
    assert sorted(map(str, newer.ids())) == ["3", "4", "5"]
    assert newer.pieces() == []
    documents.insert_many([{"_id": 6, "seq": 9}, {"_id": 7, "seq": 3}])
    assert newer.ids() == [6], "a tie is found, a late document only with `overlap`"


@pytest.mark.servers
def test_dates_with_overlap_filter_and_projection(
    documents: "Collection[dict[str, object]]", puller: Callable[..., Puller]
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    documents.insert_many(
        [{"_id": 1, "at": noon, "kind": "a", "cell": {"id": "x"}}, {"_id": 2, "at": noon, "kind": "b"}]
    )
    newer = puller(
        mode="incremental", cursor="at", overlap="PT10M", filter={"kind": "a"}, projection=["cell.id", "kind"]
    )
    assert newer.ids() == [1]
    late = [{"_id": 3, "at": noon - timedelta(minutes=9), "kind": "a"}, {"_id": 4, "at": noon, "kind": "b"}]
    documents.insert_many([*late, {"_id": 5, "at": noon - timedelta(minutes=11), "kind": "a"}])
    assert newer.ids() == [3]


@pytest.mark.servers
def test_more_ties_than_a_position_holds(
    documents: "Collection[dict[str, object]]", puller: Callable[..., Puller]
) -> None:
    documents.insert_many([{"_id": number, "seq": 1} for number in range(1_100)])
    newer = puller(mode="incremental", cursor="seq")
    assert len(newer.ids()) == 1_100
    assert newer.pieces() == [], "a digest tells that nothing is new"


@pytest.mark.servers
def test_object_ids_are_a_cursor_and_texts_come_whole(
    documents: "Collection[dict[str, object]]", puller: Callable[..., Puller]
) -> None:
    first = [bson.ObjectId(f"{number:024x}") for number in range(1, 4)]
    documents.insert_many([{"_id": one, "name": "Grüße 👋", "raw": b"\x00\xff"} for one in first])
    newer = puller(mode="incremental", cursor="_id")
    assert newer.ids() == [str(one) for one in first]
    documents.insert_one({"_id": bson.ObjectId(f"{9:024x}")})
    documents.update_one({"_id": first[0]}, {"$set": {"name": "new"}})
    assert newer.ids() == [f"{9:024x}"], "new documents are seen, changed ones are not"


@pytest.mark.servers
def test_a_cursor_of_two_kinds_is_refused_and_what_came_stays(
    documents: "Collection[dict[str, object]]", puller: Callable[..., Puller]
) -> None:
    documents.insert_many([{"_id": number, "seq": number} for number in range(3)])
    newer = puller(mode="incremental", cursor="seq")
    assert len(newer.ids()) == 3
    documents.insert_many([{"_id": 7, "seq": "7"}, {"_id": 8, "seq": 8}])
    assert newer.ids() == [8], "MongoDB compares only values of one kind"
    with pytest.raises(SourceError, match="two kinds"):
        puller(mode="incremental", cursor="seq").ids()


@pytest.mark.servers
def test_documents_enter_the_lake_once(
    documents: "Collection[dict[str, object]]", puller: Callable[..., Puller], lake: Lake, tmp_path: Path
) -> None:
    newer = puller(mode="incremental", cursor="_id", piece_rows=2).source
    landing, target = Landing(tmp_path / "landing", clock=now), Target("shop", "tickets", Ticket)

    def taken() -> int:
        pieces = pull(newer, target, landing=landing, locks=tmp_path / "locks", lake=lake, run_id="r", clock=now)
        return sum(one.receipt.accepted for one in pieces)

    documents.insert_many([{**TICKET, "_id": bson.ObjectId(f"{number:024x}")} for number in range(1, 6)])
    assert (taken(), taken()) == (5, 0)
    documents.insert_one({**TICKET, "_id": bson.ObjectId(f"{6:024x}")})
    assert taken() == 1
    rows = lake.arrow("shop.tickets", columns=[*Ticket.model_fields])
    assert (rows.num_rows, set(rows.column("big").to_pylist())) == (6, {2**53 + 1})

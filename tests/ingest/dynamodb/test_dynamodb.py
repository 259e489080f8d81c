"""Tables of a DynamoDB server (moto's) on loopback: nothing lost, nothing twice, clear words where it is refused."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from trunkline.contracts import Contract, Integer, Number, Table, Text
from trunkline.contracts import field as described
from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest import Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import Position, open_source
from trunkline.ingest.sources.dynamodb import DynamoReader, declared_from_url
from trunkline.ingest.sources.dynamodb.faults import told
from trunkline.lake import Lake
from trunkline.spec.sources import DynamoSource

pytestmark = pytest.mark.servers
moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
boto3 = pytest.importorskip("boto3", reason="the extra dynamodb is not installed")

SECRET = "wJalrXUtnFEMI-n0t-shown"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


Item = dict[str, dict[str, object]]
Put = Callable[[Sequence[Item]], None]


@pytest.fixture
def put(endpoint: str) -> Put:
    """Write items into the table ``tickets``, which is empty at first."""
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request):
        """What it answers says nothing."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key=SECRET,
    )
    client.create_table(
        TableName="tickets",
        KeySchema=[{"AttributeName": "ticket_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "ticket_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def written(items: Sequence[Item]) -> None:
        for item in items:
            client.put_item(TableName="tickets", Item=item)

    return written


def declare(endpoint: str, **said: object) -> DynamoSource:
    given = {"access_key": "AKIAEXAMPLE", "secret_key": SECRET, "region": "eu-central-1", "endpoint": endpoint}
    return DynamoSource.model_validate(
        {"kind": "dynamodb", "usecase": "shop", "table": "tickets", "attempts": 2, **given, **said}
    )


class Puller:
    """Pulls again and again, each time from the position of the last piece that was taken."""

    def __init__(self, declared: DynamoSource, folder: Path) -> None:
        self.source = open_source("tickets", declared)
        self.folder, self.pulls = folder, 0
        self.position: Position | None = None

    def pieces(self, most: int | None = None) -> list[list[str]]:
        """Take the ids of pieces; ``most`` stops after so many, as a process that dies does."""
        self.pulls += 1
        folder = self.folder / f"{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        found = []
        stream = self.source.pull(self.position, folder=folder)
        for pulled in stream:
            self.position = json.loads(json.dumps(pulled.position))
            found.append([row["ticket_id"] for row in json.loads(pulled.path.read_bytes())])
            if len(found) == most:
                break
        stream.close()  # type: ignore[attr-defined]  # sources are generators
        return found

    def ids(self) -> list[str]:
        return sorted(one for piece in self.pieces() for one in piece)


@pytest.fixture
def puller(endpoint: str, put: Put, tmp_path: Path) -> Callable[..., Puller]:
    return lambda **said: Puller(declare(endpoint, **said), tmp_path)


def tickets(numbers: Sequence[int], *, at: Callable[[int], str] = str) -> list[Item]:
    return [{"ticket_id": {"S": f"t{number:03d}"}, "seq": {"N": at(number)}} for number in numbers]


class Ticket(Contract):
    table: ClassVar[Table] = Table(key=("ticket_id",))

    ticket_id: Text
    price: Number
    digits: Text
    cell_id: Text = described(aliases=("cell.id",))
    load: Number = described(aliases=("cell.load.share",))
    tags: Text
    steps: Text
    raw: Text
    count: Integer


def test_types_reach_the_contract(put: Put, endpoint: str, lake: Lake, tmp_path: Path) -> None:
    digits = "12345678901234567890.123456789012345678"
    put([
        {
            "ticket_id": {"S": "a"},
            "price": {"N": "1.50"},
            "digits": {"N": digits},
            "cell": {"M": {"id": {"S": "c7"}, "load": {"M": {"share": {"N": "0.25"}}}}},
            "tags": {"SS": ["y", "x"]},
            "steps": {"L": [{"N": "1"}, {"M": {"done": {"BOOL": True}}}, {"NULL": True}]},
            "raw": {"B": b"\x00\xff"},
            "count": {"N": "9007199254740993"},
        }
    ])  # fmt: skip
    (taken,) = pull(
        open_source("tickets", declare(endpoint)),
        Target("shop", "tickets", Ticket),
        landing=Landing(tmp_path / "landing", clock=now),
        locks=tmp_path / "locks",
        lake=lake,
        run_id="r1",
        clock=now,
    )
    assert (taken.receipt.read, taken.receipt.accepted) == (1, 1)
    (row,) = lake.arrow("shop.tickets", columns=[*Ticket.model_fields]).to_pylist()
    assert row == {
        "ticket_id": "a",
        "price": 1.5,
        "digits": digits,
        "cell_id": "c7",
        "load": 0.25,
        "tags": '["x","y"]',
        "steps": '[1,{"done":true},null]',
        "raw": "00ff",
        "count": 9007199254740993,
    }
    assert Decimal(row["digits"]) == Decimal(digits)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_full_pull_reads_all_segments_and_is_quiet_without_news(put: Put, puller: Callable[..., Puller]) -> None:
    put(tickets(range(40)))
    full = puller(segments=4, page_rows=3)
    assert full.ids() == [f"t{number:03d}" for number in range(40)]
    assert full.pieces() == []
    put(tickets([40]))
    assert len(full.ids()) == 41


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_pull_that_was_cut_goes_on_in_every_segment(mode: str, put: Put, puller: Callable[..., Puller]) -> None:
    put(tickets(range(50)))
    cursor = {"cursor": "seq"} if mode == "incremental" else {}
    cut = puller(mode=mode, segments=3, page_rows=4, piece_rows=5, **cursor)
    found: list[str] = []
    for _ in range(30):
        pieces = cut.pieces(most=1)
        found += [one for piece in pieces for one in piece]
        assert cut.position is not None
        if not cut.position.get("segments"):
            break
    assert sorted(found) == [f"t{number:03d}" for number in range(50)], "each item once"
    if mode == "incremental":
        assert cut.pieces() == []
        put(tickets([50]))
        assert cut.ids() == ["t050"]


def test_a_cut_pull_of_which_nothing_is_left_sees_what_is_new(put: Put, puller: Callable[..., Puller]) -> None:
    put(tickets(range(12)))
    cut = puller(mode="incremental", cursor="seq", segments=1, page_rows=5, piece_rows=5)
    assert len(cut.pieces(most=2)) == 2
    assert cut.position is not None
    cut.position = {**cut.position, "segments": '["done"]', "newest": "N:11"}
    put(tickets([12]))
    assert cut.ids()[-1] == "t012"


def test_incremental_finds_ties_and_late_items_once(put: Put, puller: Callable[..., Puller]) -> None:
    put([*tickets(range(5)), *tickets(range(5, 8), at=lambda _: "4")])
    newer = puller(mode="incremental", cursor="seq", segments=2)
    assert len(newer.ids()) == 8
    assert newer.pieces() == []
    put([*tickets([8], at=lambda _: "4"), *tickets([9], at=lambda _: "3")])
    assert newer.ids() == ["t008"], "a tie is found, a late one only with `overlap`"

    late = puller(mode="incremental", cursor="seq", overlap="PT2S")
    assert len(late.ids()) == 10
    put(tickets([10], at=lambda _: "2.5"))
    assert late.ids() == ["t010"]


def test_overlap_of_texts_that_are_times(put: Put, puller: Callable[..., Puller]) -> None:
    def item(name: str, at: str) -> Item:
        return {"ticket_id": {"S": name}, "at": {"S": at}}

    put([item("a", "2026-03-01T10:00:00Z"), item("b", "2026-03-01T10:00:00.250Z")])
    newer = puller(mode="incremental", cursor="at", overlap="PT10M")
    assert newer.ids() == ["a", "b"]
    put([item("c", "2026-03-01T09:50:01Z"), item("d", "2026-03-01T09:40:00Z")])
    assert newer.ids() == ["c"]


def test_items_without_the_cursor_are_left_out_and_mixed_ones_refused(put: Put, puller: Callable[..., Puller]) -> None:
    put([*tickets([1]), {"ticket_id": {"S": "none"}}, {"ticket_id": {"S": "null"}, "seq": {"NULL": True}}])
    newer = puller(mode="incremental", cursor="seq")
    assert newer.ids() == ["t001"]
    put([{"ticket_id": {"S": "text"}, "seq": {"S": "x"}}])
    with pytest.raises(SourceError, match="both texts and numbers"):
        puller(mode="incremental", cursor="seq", segments=1).ids()


def test_projection_reads_the_cursor_too(put: Put, endpoint: str, tmp_path: Path) -> None:
    put([{"ticket_id": {"S": "a"}, "seq": {"N": "1"}, "cell": {"M": {"id": {"S": "c"}, "n": {"N": "1"}}}}])
    declared = declare(endpoint, mode="incremental", cursor="seq", projection=["ticket_id", "cell.id"])
    (pulled,) = open_source("tickets", declared).pull(None, folder=tmp_path)
    assert json.loads(pulled.path.read_bytes()) == [{"ticket_id": "a", "seq": 1, "cell": {"id": "c"}}]


def test_what_cannot_be_read_is_said_without_secrets(put: Put, endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such table") as absent:
        list(open_source("tickets", declare(endpoint, table="nowhere")).pull(None, folder=tmp_path))
    with pytest.raises(UnavailableError, match="did not answer") as silent:
        list(open_source("t", declare("http://127.0.0.1:9", timeout_s=1)).pull(None, folder=tmp_path))
    for error in (absent, silent):
        assert SECRET not in str(error.value)
        assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("code", "status", "expected", "words"),
    [
        ("ProvisionedThroughputExceededException", 400, UnavailableError, "throttles"),
        ("AccessDeniedException", 400, SourceError, "credentials are refused"),
        ("InternalServerError", 500, UnavailableError, "failed"),
        ("ValidationException", 400, SourceError, "does not understand"),
    ],
)
def test_answers_of_the_server(code: str, status: int, expected: type[Exception], words: str) -> None:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code, "Message": "key +43664"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(expected, match=words) as refused, told("table"):
        raise ClientError(answer, "Scan")
    assert "+43664" not in str(refused.value)


def test_throttled_requests_are_made_again(put: Put, endpoint: str, tmp_path: Path) -> None:
    put(tickets(range(3)))
    source = open_source("tickets", declare(endpoint, segments=1, attempts=4))
    assert isinstance(source, DynamoReader)
    answers = iter([400, 400])

    def throttled(**_: object) -> object:
        from botocore.awsrequest import AWSResponse

        status = next(answers, None)
        if status is None:
            return None
        body = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}).encode()
        response = AWSResponse("http://127.0.0.1", status, {"content-type": "application/x-amz-json-1.0"}, None)
        response._content = body
        return response

    source._client.meta.events.register("before-send.dynamodb.Scan", throttled)
    (pulled,) = source.pull(None, folder=tmp_path)
    assert len(json.loads(pulled.path.read_bytes())) == 3
    assert next(answers, None) is None


def test_by_url() -> None:
    said = declared_from_url(
        "dynamodb://tickets?region=eu-central-1&endpoint=http://127.0.0.1:8000&cursor=seq&overlap_s=60&segments=8",
        usecase="shop",
        dataset="tickets",
    )
    assert (said.table, said.mode, said.cursor, said.segments) == ("tickets", "incremental", "seq", 8)
    assert said.overlap.total_seconds() == 60
    for wrong in ("dynamodb://t?region=x", "dynamodb://tickets?tabel=x", "dynamodb://a:b@tickets", "dynamodb://"):
        with pytest.raises(InputError, match="does not say what to read"):
            declared_from_url(wrong, usecase="shop", dataset=None)


@pytest.mark.parametrize(
    "wrong", [{"mode": "incremental"}, {"cursor": "seq"}, {"secret_key": None}, {"endpoint": "http://u:p@h"}]
)
def test_contradictions_are_refused(wrong: dict[str, object]) -> None:
    said = {"kind": "dynamodb", "usecase": "shop", "table": "tickets", "access_key": "a", "secret_key": "b"}
    with pytest.raises(ValidationError):
        DynamoSource.model_validate({**said, **wrong})

"""The conformance suite over files (a folder, object stores), a webhook, Pub/Sub's and BigQuery's emulators."""

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector, FileType
from pydantic import SecretStr
from tests.publish.conftest import Hook
from tests.servers.stores import Bucket

from trunkline.errors import InputError, UnavailableError
from trunkline.ingest.sources import objects
from trunkline.publish import ROW_ID, Delivery, Latest, Memory, Outbox, Sink, Target, TargetColumn
from trunkline.publish.files import FileSink
from trunkline.testing import SINK_CHECKS, SinkCheck, SinkStage

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

_NUMBERS = itertools.count()
_AT = datetime(2026, 3, 1, tzinfo=UTC)


def _python(value: object, kind: str) -> object:
    if not isinstance(value, str):
        return value.astimezone(UTC) if isinstance(value, datetime) else value
    if kind == "day":
        return date.fromisoformat(value)
    return datetime.fromisoformat(value).astimezone(UTC) if kind == "instant" else value


def _rows(found: Sequence[dict[str, Any]], columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]]:
    kinds = {column.name: column.kind for column in columns}
    return [{name: _python(row[name], kinds[name]) for name in row} for row in found]


@dataclass
class Stage:
    """What all stages have; each says how it reads and where nothing is."""

    opening: Callable[[], Sink]
    away: Callable[[], Sink]
    reading: Callable[[str, Sequence[TargetColumn]], Sequence[dict[str, object]] | None]
    dropping: Callable[[str], None] = lambda _: None
    opened: list[Sink] = field(default_factory=list)
    number: int = field(default_factory=lambda: next(_NUMBERS))

    def open(self) -> Sink:
        self.opened.append(self.opening())
        return self.opened[-1]

    def name(self, name: str) -> str:
        return f"c{self.number}_{name}"

    def rows(self, target: Target) -> Sequence[dict[str, object]] | None:
        return self.reading(target.name, target.columns)

    def shown(self, latest: Latest) -> Sequence[dict[str, object]] | None:
        return self.reading(latest.name, latest.target.columns)

    def drop(self, target: Target) -> None:
        self.dropping(target.name)

    def unavailable(self) -> Sink:
        return self.away()


# -- files


@pytest.fixture
def folder_stage(tmp_path: Path) -> Stage:
    place = tmp_path / "out"

    def read(name: str, columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]] | None:
        files = [place / f"{name}.parquet"] if (place / f"{name}.parquet").exists() else []
        files += sorted((place / name).glob("*.parquet"))
        if not files:
            return None
        return _rows([row for file in files for row in pq.read_table(file).to_pylist()], columns)

    def away() -> Sink:
        (tmp_path / "a file").write_text("")
        return FileSink(f"file://{tmp_path}/a file/below", {})

    return Stage(
        opening=lambda: FileSink(f"file://{place}", {}),
        away=away,
        reading=read,
        dropping=lambda name: (place / f"{name}.parquet").unlink(),
    )


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_folder_holds_every_promise(check: SinkCheck, folder_stage: Stage) -> None:
    stage: SinkStage = folder_stage
    check(stage)


@pytest.fixture
def bucket_stage(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(objects, "_TIMEOUT_S", 2.0)
    place, store = f"{bucket.name}/dwh", bucket.filesystem
    options, away = ({name: SecretStr(one) for name, one in said.items()} for said in (bucket.options, bucket.away))

    def read(name: str, columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]] | None:
        found = store.get_file_info(FileSelector(place, allow_not_found=True, recursive=True))
        wanted = (f"{place}/{name}.parquet", f"{place}/{name}/")
        files = [one.path for one in found if one.type == FileType.File and one.path.startswith(wanted)]
        if not files:
            return None
        rows = [row for path in sorted(files) for row in pq.read_table(path, filesystem=store).to_pylist()]
        return _rows(rows, columns)

    return Stage(
        opening=lambda: FileSink(f"{bucket.address}/dwh", options),
        away=lambda: FileSink(f"{bucket.address}/dwh", away),
        reading=read,
        dropping=lambda name: store.delete_file(f"{place}/{name}.parquet"),
    )


@pytest.mark.servers
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_an_object_store_holds_every_promise(check: SinkCheck, bucket_stage: Stage) -> None:
    stage: SinkStage = bucket_stage
    check(stage)


def _delivery(name: str, *, batch: str = "b1", whole: bool = True) -> Delivery:
    columns = (
        TargetColumn("id", "text", nullable=False, description="Names it"),
        TargetColumn("mb", "number", nullable=True, unit="MB"),
        TargetColumn("at", "instant", nullable=True),
    )
    return Delivery(
        Target(name, "calls", columns, ("id",), "replace" if whole else "append"), batch, whole, "r", {}, _AT
    )


def _batches(*names: str, pieces: int = 1) -> Callable[[], Iterator[pa.RecordBatch]]:
    schema = pa.schema([("id", pa.string()), ("mb", pa.float64()), ("at", pa.timestamp("us", tz="UTC"))])

    def rows() -> Iterator[pa.RecordBatch]:
        size = -(-len(names) // pieces)
        for start in range(0, len(names), size):
            part = names[start : start + size]
            yield pa.RecordBatch.from_pylist([{"id": name, "mb": 0.5, "at": _AT} for name in part], schema=schema)

    return rows


def _named(*names: str, pieces: int = 1) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Give rows as sinks get them that keep none: each with its id."""

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in _batches(*names, pieces=pieces)():
            ids = [hashlib.sha256(name.encode()).hexdigest()[:32] for name in batch.column("id").to_pylist()]
            yield batch.append_column(ROW_ID, pa.array(ids, pa.string()))

    return rows


def test_readers_of_files_learn_what_columns_mean(tmp_path: Path) -> None:
    sink = FileSink(f"file://{tmp_path}", {"format": SecretStr("csv")})
    sink.deliver(_delivery("sizes"), _batches("a", 'b "quoted", ö'))
    lines = (tmp_path / "sizes.csv").read_text().splitlines()
    assert lines == [
        "id,mb,at",
        "a,0.5,2026-03-01T00:00:00.000000Z",
        '"b ""quoted"", ö",0.5,2026-03-01T00:00:00.000000Z',
    ]
    note = json.loads((tmp_path / "_trunkline" / "sizes.json").read_text())
    assert note["columns"][1] == {"name": "mb", "kind": "number", "description": "", "unit": "MB"}
    assert (note["rows"], note["batch_id"]) == (2, "b1")
    with pytest.raises(InputError, match="no such form"):
        FileSink(f"file://{tmp_path}", {"format": SecretStr("xlsx")})


def test_files_of_before_go_also_after_a_process_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = FileSink(f"file://{tmp_path}", {})
    added, anew = _delivery("rows", whole=False), replace(_delivery("rows", batch="b2", whole=False), whole=True)
    sink.deliver(added, _batches("a"))

    def died(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sink, "_remove_others", died)
        with pytest.raises(KeyboardInterrupt):
            sink.deliver(anew, _batches("a", "b"))
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == ["b1.parquet", "b2.parquet"]
    assert FileSink(f"file://{tmp_path}", {}).deliver(anew, _batches("a", "b")) == 0
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["b2.parquet"]


# -- a webhook


def webhook(url: str, folder: Path, **more: Any) -> Sink:  # noqa: ANN401 - options of the sink
    pytest.importorskip("httpx2", reason="the extra rest is not installed")
    from trunkline.publish.webhook import WebhookSink

    return WebhookSink(url, memory=Memory(Outbox(folder / "outbox.db"), "hook"), timeout_s=5, **more)


@pytest.fixture
def webhook_stage(hook: Hook, tmp_path: Path) -> Stage:
    def read(name: str, columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]] | None:
        said = [one for one in hook.kept() if one["target"] == name]
        return _rows([row for one in said for row in one["rows"]], columns) if said else None

    return Stage(
        opening=lambda: webhook(hook.url, tmp_path),
        away=lambda: webhook("http://127.0.0.1:9/hook", tmp_path),
        reading=read,
    )


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_webhook_holds_every_promise(check: SinkCheck, webhook_stage: Stage) -> None:
    stage: SinkStage = webhook_stage
    check(stage)


def test_what_is_posted_is_signed_and_goes_once(hook: Hook, tmp_path: Path) -> None:
    import hmac

    sink = webhook(hook.url, tmp_path, secret="shared", headers={"X-API-Key": "k"}, now=lambda: 1_700_000_000.5)
    hook.statuses = [200, 503]
    with pytest.raises(UnavailableError, match="status 503"):
        sink.deliver(_delivery("calls", whole=False), _named("a", "b", "c", pieces=3))
    again = webhook(hook.url, tmp_path, secret="shared")
    hook.statuses = [599]  # it took the second piece, and we did not learn of it
    with pytest.raises(UnavailableError):
        again.deliver(_delivery("calls", whole=False), _named("a", "b", "c", pieces=3))
    assert again.deliver(_delivery("calls", whole=False), _named("a", "b", "c", pieces=3)) == 2
    keys = [headers["Idempotency-Key"] for headers, _ in hook.taken]
    assert len(keys) == 4
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3
    assert [row["id"] for one in hook.kept() for row in one["rows"]] == ["a", "b", "c"]
    headers, body = hook.taken[0]
    assert headers["X-API-Key"] == "k"
    at = headers["Trunkline-Timestamp"]
    assert at == "1700000000"
    signed = hmac.new(b"shared", f"{at}.{keys[0]}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Trunkline-Signature"] == f"sha256={signed}"


def test_a_receiver_that_refuses_is_not_asked_again(hook: Hook, tmp_path: Path) -> None:
    hook.statuses = [403]
    with pytest.raises(InputError, match="status 403") as refused:
        webhook(hook.url, tmp_path).deliver(_delivery("calls", whole=False), _named("a"))
    assert "n0t-shown" not in str(refused.value)
    with pytest.raises(InputError, match="without TLS"):
        webhook("http://example.org/hook", tmp_path)


# -- Pub/Sub


@dataclass
class Topic:
    """A topic with a subscription, read by hand."""

    emulator: str
    name: str = field(default_factory=lambda: f"topic-{uuid.uuid4().hex[:10]}")
    seen: dict[str, tuple[dict[str, str], dict[str, Any]]] = field(default_factory=dict)
    deliveries: int = 0

    def __post_init__(self) -> None:
        import grpc
        from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        channel = grpc.insecure_channel(self.emulator)
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        path = f"projects/local/topics/{self.name}"
        publisher.create_topic(name=path, timeout=20)
        self.subscription = f"projects/local/subscriptions/{self.name}"
        self.subscriber.create_subscription(name=self.subscription, topic=path, timeout=20)

    def kept(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Pull what is there; a subscriber that looks at ids has each message once."""
        from google.api_core.exceptions import DeadlineExceeded

        while True:
            try:
                found = self.subscriber.pull(subscription=self.subscription, max_messages=100, timeout=1.0)
            except DeadlineExceeded:
                break
            if not found.received_messages:
                break
            for one in found.received_messages:
                self.deliveries += 1
                said = dict(one.message.attributes)
                self.seen.setdefault(said["id"], (said, json.loads(one.message.data)))
            ids = [one.ack_id for one in found.received_messages]
            self.subscriber.acknowledge(subscription=self.subscription, ack_ids=ids, timeout=20)
        return list(self.seen.values())


def pubsub_sink(emulator: str, topic: str, folder: Path) -> Sink:
    from trunkline.publish.pubsub import PubSubSink

    memory = Memory(Outbox(folder / "outbox.db"), "topic")
    return PubSubSink(f"pubsub://local/{topic}", memory=memory, options={"emulator": emulator}, timeout_s=5)


@pytest.fixture
def pubsub_stage(pubsub_emulator: str, tmp_path: Path) -> Stage:
    topic = Topic(pubsub_emulator)

    def read(name: str, columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]] | None:
        found = [row for said, row in topic.kept() if said["target"] == name]
        return _rows(found, columns) if found else None

    return Stage(
        opening=lambda: pubsub_sink(pubsub_emulator, topic.name, tmp_path),
        away=lambda: pubsub_sink("127.0.0.1:9", topic.name, tmp_path),
        reading=read,
    )


@pytest.mark.servers
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_topic_holds_every_promise(check: SinkCheck, pubsub_stage: Stage) -> None:
    stage: SinkStage = pubsub_stage
    check(stage)


@pytest.mark.servers
def test_messages_that_were_acknowledged_are_not_sent_again(pubsub_emulator: str, tmp_path: Path) -> None:
    topic = Topic(pubsub_emulator)
    delivery = _delivery("calls", whole=False)

    def broken() -> Iterator[pa.RecordBatch]:
        yield next(_named("a", "b", pieces=2)())
        raise UnavailableError("the lake went away")

    with pytest.raises(UnavailableError):
        pubsub_sink(pubsub_emulator, topic.name, tmp_path).deliver(delivery, broken)
    assert pubsub_sink(pubsub_emulator, topic.name, tmp_path).deliver(delivery, _named("a", "b", pieces=2)) == 1
    assert sorted(row["id"] for _, row in topic.kept()) == ["a", "b"]
    assert topic.deliveries == 2
    said, _ = topic.kept()[0]
    assert (said["usecase"], said["batch_id"], said["key"]) == ("calls", "b1", "a")
    with pytest.raises(InputError, match="topic is not there"):
        pubsub_sink(pubsub_emulator, "no-such-topic", tmp_path).check()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param("InvalidArgument", "does not take a row", id="an attribute that is too long"),
        pytest.param("MessageTooLargeError", "larger than a message", id="a row that is too large"),
    ],
)
def test_a_row_that_can_never_be_sent_is_told(tmp_path: Path, fault: str, said: str) -> None:
    pytest.importorskip("google.cloud.pubsub_v1", reason="the extra pubsub is not installed")
    from google.api_core import exceptions
    from google.cloud.pubsub_v1.publisher.exceptions import MessageTooLargeError

    class Refusing:
        def publish(self, *_: object, **__: object) -> None:
            raise exceptions.InvalidArgument("no") if fault == "InvalidArgument" else MessageTooLargeError("no")  # type: ignore[no-untyped-call]  # Google's has no types

    sink = pubsub_sink("127.0.0.1:9", "topic", tmp_path)
    sink._opened = Refusing()  # type: ignore[attr-defined]  # in the place of the client
    with pytest.raises(InputError, match=said):
        sink.deliver(_delivery("calls", whole=False), _named("a"))


# -- BigQuery


def _client(endpoint: str) -> "Client":
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    client: Client = bigquery.Client(
        "local",
        AnonymousCredentials(),  # type: ignore[no-untyped-call]  # it has no types
        client_options={"api_endpoint": endpoint},
    )
    return client


def bigquery_sink(endpoint: str) -> Sink:
    from trunkline.publish.bigquery import BigQuerySink

    return BigQuerySink("bigquery://local/dwh", options={"endpoint": endpoint}, timeout_s=5)


@pytest.fixture
def bigquery_stage(bigquery_emulator: Any) -> Stage:  # noqa: ANN401 - of another module
    from google.api_core.exceptions import NotFound

    client = _client(bigquery_emulator.endpoint)
    client.create_dataset("dwh", exists_ok=True, timeout=10)

    def read(name: str, columns: Sequence[TargetColumn]) -> Sequence[dict[str, object]] | None:
        try:
            found = client.query(f"SELECT * FROM `local.dwh.{name}`", job_retry=None).result(timeout=20)
        except NotFound:
            return None
        return _rows([dict(row.items()) for row in found], columns)

    return Stage(
        opening=lambda: bigquery_sink(bigquery_emulator.endpoint),
        away=lambda: bigquery_sink("http://127.0.0.1:9"),
        reading=read,
        dropping=lambda name: client.delete_table(f"local.dwh.{name}", timeout=10),
    )


@pytest.mark.servers
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_bigquery_holds_every_promise(check: SinkCheck, bigquery_stage: Stage) -> None:
    stage: SinkStage = bigquery_stage
    check(stage)


def test_what_bigquery_would_be_told_is_its_sql() -> None:
    pytest.importorskip("google.cloud.bigquery", reason="the extra bigquery is not installed")
    import sqlglot

    sink = bigquery_sink("http://127.0.0.1:9")
    for mode, whole in (("replace", True), ("append", False), ("upsert", False)):
        given = _delivery("calls", whole=whole)
        target = Target("calls", "calls", given.target.columns, ("id",), mode)  # type: ignore[arg-type]  # one of the modes
        said = sink.would(Delivery(target, "b1", whole, "r", {}, _AT))
        statements = [line for line in said if not line.startswith("load job")]
        kinds = [type(sqlglot.parse_one(line, dialect="bigquery")).__name__ for line in statements]
        assert kinds == (["Create", "Merge"] if mode == "upsert" else ["Create"])

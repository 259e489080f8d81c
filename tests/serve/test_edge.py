"""The HTTP edge: a verdict for every record, durable when it is given, and each record once in lake or quarantine."""

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from trunkline.brokers import EmbeddedLog, Message
from trunkline.engine import open_engine
from trunkline.errors import UnavailableError
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake, topic_of
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.serve import create_app
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings

ASKED = "/v1/ingest/sensors/readings"
ENVELOPE = {
    "messageId": 7,
    "sessionId": "s",
    "deviceId": "d",
    "payload": [
        {"name": "accelerometer", "time": 1752154349420643800 + n * 10_000_000, "values": {"x": 0.1, "y": n, "z": 1}}
        for n in range(50)
    ],
}


def now() -> datetime:
    return datetime.now(UTC)


def reading(number: int, **more: object) -> dict[str, object]:
    return {
        "device_id": "d",
        "session_id": "s",
        "sensor": "battery",
        "read_at": f"2026-01-01T00:00:{number:02d}Z",
        "battery_level": 0.5,
        **more,
    }


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)
    yield lake
    lake.engine.close()


def rows(lake: Lake, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.arrow(table).to_pylist() if lake.exists(table) else []
    return found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    def opened() -> Lake:
        return Lake(tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=now)

    app = create_app(
        tmp_path, usecases={"sensors": load_usecase("sensors")}, lake=opened, clock=now, flush_every_s=0.05
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client  # its end flushes what is there


def test_every_form_of_a_body_brings_records(client: TestClient, lake: Lake) -> None:
    bodies = [
        json.dumps(reading(0)),
        json.dumps([reading(1), reading(2)]),
        json.dumps({"rows": [reading(3)]}),
        f"{json.dumps(reading(4))}\n{json.dumps(reading(5))}\n",
        json.dumps(ENVELOPE),
        json.dumps([ENVELOPE, reading(6)]).replace("1752154349", "1752154350"),
    ]
    answers = [client.post(ASKED, content=body) for body in bodies]
    packed = client.post(
        ASKED, content=gzip.compress(json.dumps(reading(7)).encode()), headers={"content-encoding": "gzip"}
    )
    assert [answer.status_code for answer in (*answers, packed)] == [200] * 7
    assert [answer.json()["accepted"] for answer in (*answers, packed)] == [1, 2, 1, 2, 50, 51, 1]
    client.__exit__()
    found = rows(lake, "sensors.readings")
    assert len(found) == 108
    assert len({(row["sensor"], row["read_at"]) for row in found}) == 108
    assert sum(receipt["accepted"] for receipt in rows(lake, "platform.receipts")) == 108


@pytest.mark.slow
def test_records_of_one_request_have_a_verdict_each(client: TestClient, lake: Lake) -> None:
    sent = [
        reading(0),
        reading(1, battery_level=7),
        "no record",
        {"deviceId": "d", "device_id": "e"},
        reading(2, colour="red"),
        {"deviceId": "other", "sessionId": "s", "sensor": "battery", "read_at": "2026-01-01T00:00:00Z"},
    ]
    answer = client.post(ASKED, json=sent).json()
    assert (answer["read"], answer["accepted"], answer["refused"]) == (6, 3, 3)
    reasons = {one["row"]: one["reasons"] for one in answer["errors"]}
    assert set(answer["hints"]) <= {reason for found in reasons.values() for reason in found}
    assert answer["hints"]
    assert reasons[1] == ["battery_level.maximum"]
    assert reasons[2] == ["row.not_an_object"]
    assert "device_id.twice" in reasons[3]
    client.__exit__()
    assert {row["device_id"] for row in rows(lake, "sensors.readings")} == {"d", "other"}
    assert len(rows(lake, "sensors.readings")) == 3
    refused = rows(lake, "platform.quarantine")
    assert sorted(json.loads(row["reasons"])[0] for row in refused) == [
        "battery_level.maximum",
        "device_id.twice",
        "line.malformed",
    ]
    [receipt] = rows(lake, "platform.receipts")
    assert (receipt["read"], receipt["accepted"], receipt["quarantined"]) == (6, 3, 3)
    assert json.loads(receipt["extra_columns"]) == ["colour"]


@pytest.mark.slow
def test_senders_may_spell_fields_differently(client: TestClient, lake: Lake) -> None:
    sent = [
        reading(0),
        {"deviceId": "e", **reading(1, device_id=None)},
        {**reading(2), "deviceId": ""},
        {**reading(3), "deviceId": "f"},
    ]
    answer = client.post(ASKED, json=sent).json()
    assert (answer["accepted"], answer["errors"]) == (3, [{"row": 3, "reasons": ["device_id.twice"]}])
    client.__exit__()
    assert sorted((row["read_at"].second, row["device_id"]) for row in rows(lake, "sensors.readings")) == [
        (0, "d"),
        (1, "e"),
        (2, "d"),
    ]
    [refused] = rows(lake, "platform.quarantine")
    assert json.loads(refused["reasons"]) == ["device_id.twice"]
    assert {json.loads(refused["row"])[name] for name in ("device_id", "deviceId")} == {"d", "f"}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"payload": []}', {}, 400),
        (b"{}", {"content-encoding": "br"}, 415),
        (b"{}", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content-encoding": "gzip"}, 400),
        (gzip.compress(b" " * (9 << 20), mtime=0), {"content-encoding": "gzip"}, 413),
        (b" " * (9 << 20), {}, 413),
        (b"[" + b"5," * 10_000 + b"5]", {}, 413),
    ],
)
def test_what_cannot_be_taken_is_refused_whole(
    client: TestClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post(ASKED, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert client.get("/v2/health/ready").json()["log"]["waiting"] == 0


def test_an_unknown_dataset_is_no_path(client: TestClient) -> None:
    assert client.post("/v1/ingest/sensors/other", json=reading(0)).status_code == 404


class Stopped(Exception):  # noqa: N818 - it ends a consumer, as kill -9 would
    """The consumer is gone."""


class Log(EmbeddedLog):
    """A log whose consumer stops at its n-th commit."""

    left = 1 << 30

    def commit(self, topic: str, *, group: str, offset: int, partition: int = 0) -> None:
        type(self).left -= 1
        if self.left < 0:
            raise Stopped
        super().commit(topic, group=group, offset=offset, partition=partition)


def consume(intake: Callable[[], TopicIntake], lake: Lake) -> None:
    for _ in range(9):
        list(intake().drain(lake))


@pytest.mark.parametrize("commits", [1, 2, 3, 4])
def test_a_consumer_that_stops_anywhere_takes_the_same_chunk_again(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    contract = load_usecase("sensors").contract
    topic = topic_of("sensors", "readings")

    def opened() -> tuple[EmbeddedLog, Callable[[], TopicIntake]]:
        log = Log(tmp_path / "log.db", settings=BrokerSettings(), clock=now)
        target = Target("sensors", "readings", contract)
        return log, lambda: TopicIntake(log, target, clock=now)

    log, intake = opened()
    log.publish({topic: [Message(json.dumps(reading(n)).encode()) for n in range(5)]})
    monkeypatch.setattr(Log, "left", commits)
    with pytest.raises(Stopped):
        consume(intake, lake)
    log.publish({topic: [Message(json.dumps(reading(n)).encode()) for n in range(5, 9)]})
    log.close()
    monkeypatch.setattr(Log, "left", 1 << 30)
    log, intake = opened()
    list(intake().drain(lake))
    assert intake().waiting == 0
    assert sorted(row["read_at"].second for row in rows(lake, "sensors.readings")) == list(range(9))
    receipts = rows(lake, "platform.receipts")
    assert sum(receipt["read"] for receipt in receipts) == 9
    assert [receipt["read"] for receipt in sorted(receipts, key=lambda one: one["finished_at"])] in ([5, 4], [9])
    log.close()


@pytest.mark.slow
def test_a_full_log_refuses_and_nothing_is_half_taken(tmp_path: Path) -> None:
    def unopened() -> Lake:
        raise UnavailableError("the lake is away")

    app = create_app(
        tmp_path,
        usecases={"sensors": load_usecase("sensors")},
        lake=unopened,
        clock=now,
        flush_every_s=0.02,
        log=BrokerSettings(max_mb=8),
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        body = json.dumps([reading(n % 60, battery_state="x" * 40) for n in range(5_000)])
        first = client.post(ASKED, content=body)
        answer = first
        for _ in range(40):
            answer = client.post(ASKED, content=body)
            if answer.status_code != 200:
                break
    assert first.status_code == 200
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"5",
        b'["text", null, [1, 2]]',
        b"{}",
        b"[{}, {}]",
        json.dumps({f"key {n}": n for n in range(12_000)}).encode(),
        json.dumps({"device_id": "x" * (5 << 20)}).encode(),
        b'{"device_id": ' + b"[" * 300 + b"]" * 300 + b"}",
    ],
    ids=["number", "no objects", "empty", "empties", "wide", "long", "deep"],
)
def test_whatever_is_sent_stops_nothing(client: TestClient, lake: Lake, body: bytes) -> None:
    answer = client.post(ASKED, content=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["accepted"], answer.json()["refused"]) == (0, answer.json()["read"])
    assert client.post(ASKED, json=reading(1)).json()["accepted"] == 1
    client.__exit__()
    assert len(rows(lake, "sensors.readings")) == 1
    assert len(rows(lake, "platform.quarantine")) == answer.json()["read"]
    receipts = rows(lake, "platform.receipts")
    assert sum(receipt["read"] for receipt in receipts) == answer.json()["read"] + 1


def test_a_chunk_that_was_taken_stays_one_batch_after_an_erasure(tmp_path: Path, lake: Lake) -> None:
    contract, topic = load_usecase("sensors").contract, topic_of("sensors", "readings")
    log = EmbeddedLog(tmp_path / "log.db", settings=BrokerSettings(), clock=now)
    intake = TopicIntake(log, Target("sensors", "readings", contract), clock=now)
    log.publish({topic: [Message(json.dumps(reading(n)).encode()) for n in range(3)]})
    log.commit(topic, group="lake.next", offset=3)
    assert len(list(intake.drain(lake))) == 1
    with sqlite3.connect(tmp_path / "log.db") as database:  # as if killed before the end of the chunk was noted
        database.execute("UPDATE groups SET committed = 0 WHERE name = 'lake'")
    database.close()
    log.erase(topic, lambda value: b"" if b":01Z" in value else value)
    list(TopicIntake(log, Target("sensors", "readings", contract), clock=now).drain(lake))
    assert len(rows(lake, "sensors.readings")) == 3, "the erasure takes them out of the lake itself"
    assert len(rows(lake, "platform.receipts")) == 1
    log.close()


def test_a_chunk_without_a_mapped_name_stops_nothing(tmp_path: Path, lake: Lake) -> None:
    contract, topic = load_usecase("sensors").contract, topic_of("sensors", "readings")
    log = EmbeddedLog(tmp_path / "log.db", settings=BrokerSettings(), clock=now)
    intake = TopicIntake(log, Target("sensors", "readings", contract), clock=now, mapping={"handset": "device_id"})
    for sent in (reading(0), reading(1, handset="h")):
        log.publish({topic: [Message(json.dumps(sent).encode())]})
        assert len(list(intake.drain(lake))) == 1
    assert [row["device_id"] for row in rows(lake, "sensors.readings")] == ["h"]
    assert [json.loads(row["reasons"]) for row in rows(lake, "platform.quarantine")] == [["device_id.null"]]
    assert {row["contract_fingerprint"] for row in rows(lake, "platform.receipts")} == {contract.fingerprint}
    log.close()

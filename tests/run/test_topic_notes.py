"""Watched topics are noted as attempts: a row for minutes and not for chunks, and what is wrong is told."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.brokers import Message
from trunkline.cli import main
from trunkline.contracts.records import ALERTS, ATTEMPTS, Receipt
from trunkline.errors import BusyError, UnavailableError
from trunkline.monitor.sources.judging import NOTED_EVERY_S
from trunkline.run import Workspace
from trunkline.run.source_health import source_health
from trunkline.run.topic_notes import TopicNotes
from trunkline.run.topic_watch import watch_topic
from trunkline.settings import Settings
from trunkline.settings.brokers import BrokerSettings
from trunkline.spec.sources import TopicSource

BEGIN = datetime(2026, 3, 1, 6, tzinfo=UTC)
URL = "mqtt://127.0.0.1:1/phones/#"


class Watch:
    """A watch whose time goes as the test says."""

    def __init__(self, folder: Path, *, url: str = URL) -> None:
        self.seconds = 0.0
        sources = {"phones": {"kind": "topic", "usecase": "sensors", "url": URL}}
        settings = Settings.model_validate({"workspace": folder, "sources": sources})
        self.workspace = Workspace(settings, clock=lambda: BEGIN + timedelta(seconds=self.seconds))
        self.usecase = self.workspace.usecase("sensors")
        said = {"kind": "topic", "usecase": "sensors", "url": url}
        self.notes = TopicNotes(
            self.workspace,
            self.usecase,
            TopicSource.model_validate(said),
            run_id="r",
            timer=lambda: self.seconds,
        )

    def turn(self, *, read: int = 0, leads: bool = True, after_s: float = 1.0) -> None:
        """One turn, with or without a chunk."""
        self.seconds += after_s
        if read:
            self.notes.took(Receipt.model_construct(usecase="sensors", dataset="readings", read=read, accepted=read))
        self.notes.looked(leads=leads)

    @property
    def attempts(self) -> list[tuple[object, ...]]:
        lake = self.workspace.lake
        if not lake.exists(ATTEMPTS):
            return []
        rows = sorted(lake.arrow(ATTEMPTS).to_pylist(), key=lambda row: row["attempted_at"])
        return [(row["outcome"], row["taken"], row["read"], row["refused"], row["error"]) for row in rows]

    def problems(self) -> list[str]:
        """What is wrong with the topic now."""
        found = source_health(self.workspace, self.usecase, now=self.workspace.clock())
        return [one.problem for source in found if source.key.source == "phones" for one in source.findings]


@contextmanager
def watching(folder: Path, *, url: str = URL) -> Iterator[Watch]:
    watch = Watch(folder, url=url)
    with watch.workspace:
        yield watch


def test_an_hour_of_chunks_is_a_row_for_five_minutes(tmp_path: Path) -> None:
    with watching(tmp_path) as watch, watch.notes:
        for _ in range(3600):
            watch.turn(read=10)
        rows = watch.attempts
        assert len(rows) == 3600 / NOTED_EVERY_S
        assert rows[:2] == [("taken", 1, 10, 0, None), ("taken", 300, 3000, 0, None)]


def test_what_came_since_the_last_note_is_noted_at_the_end(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        with watch.notes:
            watch.turn()
            watch.turn(read=7)
        assert watch.attempts == [("taken", 0, 0, 0, None), ("taken", 1, 7, 0, None)]


def test_one_of_several_processes_that_has_nothing_says_nothing(tmp_path: Path) -> None:
    with watching(tmp_path) as watch, watch.notes:
        watch.turn(leads=False)
        assert watch.attempts == []
        watch.turn(leads=False, read=3)
        assert watch.attempts == [("taken", 1, 3, 0, None)]


def test_a_topic_that_is_not_declared_is_not_noted(tmp_path: Path) -> None:
    with watching(tmp_path, url="mqtt://127.0.0.1:1/other") as watch:
        with watch.notes:
            watch.turn(read=3)
        assert watch.attempts == []


def test_a_watch_that_fails_is_told_until_one_goes_well(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        watch.turn(read=5)
        watch.turn(read=5)
        with pytest.raises(UnavailableError), watch.notes:
            raise UnavailableError("the broker has gone")
        assert watch.attempts[-1] == ("refused", 1, 5, 1, "UnavailableError")
        assert watch.problems() == ["failed"]
        titles = [row["title"] for row in watch.workspace.lake.arrow(ALERTS).to_pylist()]
        assert titles == ["sensors.readings: source phones is failing"]
        watch.turn(read=5, after_s=NOTED_EVERY_S)
        assert watch.problems() == []


def test_a_topic_that_somebody_else_reads_is_no_failure(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        with pytest.raises(BusyError), watch.notes:
            raise BusyError("Spark reads it", holder="1")
        assert watch.attempts == []


def test_a_topic_that_nobody_consumes_any_more_is_late(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        with watch.notes:
            for _ in range(6):
                watch.turn(read=5, after_s=NOTED_EVERY_S)
        watch.seconds += 2 * NOTED_EVERY_S
        assert watch.problems() == []
        watch.seconds += 2 * NOTED_EVERY_S
        assert watch.problems() == ["late"]


def test_a_topic_that_usually_has_records_and_has_none_is_empty(tmp_path: Path) -> None:
    with watching(tmp_path) as watch, watch.notes:
        for _ in range(4):
            watch.turn(read=5, after_s=NOTED_EVERY_S)
        assert watch.problems() == []
        watch.turn(after_s=NOTED_EVERY_S)
        assert watch.problems() == ["empty"]


def test_a_broker_that_is_not_there_is_an_attempt_of_the_declared_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text(
        '[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "kafka://127.0.0.1:1/phones"\ntimeout_s = 0.5\n'
    )
    assert main(["watch", "sensors", "phones", "--once", "--json"]) == 1
    capsys.readouterr()
    assert main(["sources", "check", "sensors", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["sources"]
    assert (found["source"], [one["problem"] for one in found["problems"]]) == ("phones", ["failed"])
    assert "UnavailableError" in found["problems"][0]["text"]


@pytest.mark.servers
@pytest.mark.parametrize(("mine", "notes"), [({0}, 1), ({1, 2}, 0)])
def test_the_process_that_has_the_first_partition_notes_a_quiet_topic(
    mine: set[int], notes: int, kafka_servers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trunkline.brokers.kafka import KafkaBroker, KafkaMembership

    name = f"t{uuid.uuid4().hex[:12]}"
    url = f"kafka://{kafka_servers}/{name}"
    declared = {"kind": "topic", "usecase": "sensors", "url": url}
    settings = Settings.model_validate({"workspace": tmp_path, "sources": {"phones": declared}})
    source = TopicSource.model_validate(declared)
    held = {0, 1, 2}
    monkeypatch.setattr(KafkaMembership, "partitions", lambda _self, **_: frozenset(held))
    record = b'{"device_id": "d", "session_id": "s", "sensor": "battery", "read_at": "2026-01-01T00:00:00Z"}'
    broker = KafkaBroker(BrokerSettings.model_validate({"url": url, "partitions": 3}), any_name=True)
    with closing(broker), Workspace(settings) as workspace:
        broker.publish({name: [Message(record)]})

        def watched(run_id: str) -> int:
            """How many chunks one look takes in."""
            usecase = workspace.usecase("sensors")
            return len(list(watch_topic(workspace, usecase, source, run_id=run_id, stop=threading.Event(), once=True)))

        assert watched("before") == 1
        held = mine
        assert watched("quiet") == 0
        assert workspace.lake.arrow(ATTEMPTS).column("run_id").to_pylist().count("quiet") == notes

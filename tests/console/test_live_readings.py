"""The live page of sensors: last readings on charts, freshness from acceptance, why rows are refused; no names."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from trunkline.brokers import EmbeddedLog, Message
from trunkline.console import WorkspaceReader, mount
from trunkline.console.live import Live
from trunkline.console.live_charts import LastReadings, reading_chart
from trunkline.engine import open_engine
from trunkline.errors import UseCaseError
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake
from trunkline.ingest.unfolding import Unfold
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.registry import NoTracker, Registry
from trunkline.run.topic_lags import TopicLag
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings
from trunkline.settings.registry import RegistrySettings
from trunkline.spec import LiveChart, UseCase

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENSORS = load_usecase("sensors")


class Clock:
    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now


class Lags:
    """What the brokers answered, once and for all."""

    def look(self) -> tuple[TopicLag, ...]:
        return (
            TopicLag("phones", "sensors", "readings", waiting=1_234, asked_at=AT),
            TopicLag("routers", "sensors", "readings", problem="the cluster does not answer"),
        )

    def close(self) -> None:
        pass


def message(device: str, *, count: int, level: float) -> bytes:
    begin = int((AT - timedelta(seconds=10)).timestamp()) * 1_000_000_000
    moves = [
        {"name": "accelerometer", "time": begin + n * 10_000_000, "values": {"x": n / 10, "y": -1.5, "z": 9.5}}
        for n in range(count)
    ]
    battery = {"name": "battery", "time": begin, "values": {"batteryLevel": level}}
    return json.dumps({"deviceId": device, "sessionId": "s", "messageId": 1, "payload": [*moves, battery]}).encode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(tmp_path: Path, clock: Clock) -> Iterator[WorkspaceReader]:
    """A console over a lake into which a log was taken: four devices, one of them refused."""
    settings = LakeSettings(lock_timeout_s=5.0)

    def opened() -> Lake:
        return Lake(tmp_path / "lake", engine=open_engine("duckdb", threads=1), settings=settings, clock=clock)

    log = EmbeddedLog(tmp_path / "log.db", settings=BrokerSettings(), clock=clock)
    intake = TopicIntake(
        log,
        Target("sensors", "readings", SENSORS.datasets["readings"]),
        clock=clock,
        unfold=Unfold(SENSORS.envelopes["readings"]),
    )
    sent = [message("SECRET-A", count=300, level=0.5), message("SECRET-B", count=5, level=0.25)]
    log.publish({intake.topic: [Message(value) for value in (*sent, message("SECRET-C", count=0, level=7.0))]})
    clock.now = AT + timedelta(seconds=2.5)  # so long the records wait
    lake = opened()
    assert [(one.receipt.accepted, one.receipt.quarantined) for one in intake.drain(lake)] == [(307, 1)]
    lake.engine.close()
    log.close()
    found = WorkspaceReader(
        lake=opened,
        registry=Registry(tmp_path, settings=RegistrySettings(), clock=clock, follower=NoTracker()),
        usecases={"sensors": SENSORS},
        reports=tmp_path / "runs",
        is_running=lambda _: False,
        clock=clock,
        lags=Lags(),  # type: ignore[arg-type]  # says what brokers would
    )
    yield found
    found.close()


def test_the_last_readings_are_those_of_the_lake(reader: WorkspaceReader) -> None:
    live: Live = reader.live()
    by = {(one.device, one.kind): one for one in live.readings}
    assert sorted(by) == [(1, "accelerometer"), (1, "battery"), (2, "accelerometer"), (2, "battery")]
    first = by[1, "accelerometer"]
    assert list(first.lines) == ["x", "y", "z"]  # and no battery level, which accelerometers do not have
    assert first.lines["x"] == tuple(n / 10 for n in range(60, 300))  # the last 240 of 300
    begin = AT - timedelta(seconds=10)
    assert first.at == tuple(begin + timedelta(milliseconds=10 * n) for n in range(60, 300))
    assert by[2, "battery"].lines == {"battery_level": (0.25,)}


def test_freshness_is_from_acceptance_to_the_lake(reader: WorkspaceReader, clock: Clock) -> None:
    (stream,) = reader.live().streams
    assert stream.fresh_s == 2.5
    assert (stream.refused, stream.reasons) == (1, (("battery_level.maximum", 1),))
    clock.now += timedelta(seconds=90)
    (later,) = reader.live().streams
    assert (later.fresh_s, later.seconds) == (2.5, 90)
    assert reader.live().readings == ()  # nothing was taken in within the last minute


def test_the_page_shows_charts_lags_and_reasons_and_no_names(reader: WorkspaceReader) -> None:
    app = FastAPI()
    mount(app, reader)
    page = TestClient(app).get("/console/live").text
    assert page.count('class="readings"') == 4
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "2.5 s" in text
    assert "battery_level.maximum (1)" in text
    assert re.search(r"phones sensors\.readings 1,234 \d s ago", text)
    assert re.search(r"routers sensors\.readings \W+ the cluster does not answer", text)
    assert 'aria-label="device 2, battery: last battery_level 0.25"' in page
    assert "SECRET" not in page


def test_a_chart_has_a_line_for_each_field_with_gaps_and_times() -> None:
    at = tuple(AT + timedelta(seconds=n) for n in range(5))
    lines = {"x": (0.0, 1.0, None, 3.0, 4.0), "y<": (2.0,) * 5}
    drawn = str(reading_chart(LastReadings("sensors.readings", 1, "gyroscope", at, lines)))
    assert drawn.count('<polyline class="line-1"') == 2
    assert drawn.count('<polyline class="line-2"') == 1
    assert re.findall(r'class="of-time"[^>]*>([^<]*)<', drawn) == [f"12:00:0{n}" for n in range(5)]
    assert re.findall(r'class="of-value"[^>]*>([^<]*)<', drawn) == ["0", "1", "2", "3", "4"]
    assert "y&lt; 2" in drawn


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "nothing"}, "does not exist"),
        ({"values": ("sensor",)}, "no number"),
        ({"values": ("w",)}, "has no 'w'"),
        ({"kind": "device_id"}, "personal data"),
        ({"by": ()}, "needs a device"),
    ],
)
def test_charts_that_cannot_be_drawn_are_refused(changed: dict[str, object], said: str) -> None:
    chart = {"dataset": "readings", "by": ("device_id",), "values": ("x",), "kind": "sensor", **changed}
    with pytest.raises(UseCaseError, match=said):
        UseCase(
            name="other",
            title="Other",
            question="?",
            datasets=SENSORS.datasets,
            main="readings",
            task=None,
            metric="",
            live=(LiveChart(**chart),),  # type: ignore[arg-type]  # as an author would write them
        )

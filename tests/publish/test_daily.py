"""Tables that grow all day leave by day, only what is new, beside a server: equal to the lake, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
import sqlalchemy as sa

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.settings import load_settings

MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
TABLES = '["sensor_readings", "sensor_movement"]'


def readings(first: int, count: int, *, level: float = 0.5) -> list[dict[str, object]]:
    """Readings around a midnight: number 100 is the first of the second day."""
    return [
        {
            "device_id": "d",
            "session_id": "s",
            "sensor": "battery",
            "read_at": (MIDNIGHT + timedelta(seconds=number - 100)).isoformat(),
            "battery_level": level,
        }
        for number in range(first, first + count)
    ]


def ingested(folder: Path, name: str, rows: Sequence[dict[str, object]]) -> None:
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    assert main(["ingest", "sensors", str(folder / name), "--workspace", str(folder / "w")]) == 0


def published(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, int]]:
    capsys.readouterr()
    assert main(["publish", "sensors", "--json", "--workspace", str(folder / "w")]) == 0
    found = json.loads(capsys.readouterr().out)["publish"]["published"]
    return {one["publication"]: (one["state"], one["rows"]) for one in found}


def settings(folder: Path, url: str, *, every_s: float | None = None) -> None:
    every = "" if every_s is None else f"[publish]\nevery_s = {every_s}\n"
    (folder / "trunkline.toml").write_text(f'{every}[publish.sinks.there]\nurl = "{url}"\ntables = {TABLES}\n')


def in_lake(folder: Path) -> list[tuple[str, float]]:
    with Workspace(load_settings(workspace=folder / "w")) as workspace:
        rows = workspace.lake.current(
            "sensors.readings", key=("device_id", "session_id", "sensor", "read_at"), newest_by=("_ingested_at",)
        )
        found = workspace.lake.engine.arrow(rows.select("read_at", "battery_level")).to_pylist()
    return sorted((row["read_at"].isoformat(), row["battery_level"]) for row in found)


def in_tables(file: Path) -> dict[str, list[tuple[str, float]]]:
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if name.startswith("sensor_readings_")]
        return {
            name: sorted(
                (datetime.fromisoformat(str(at)).replace(tzinfo=UTC).isoformat(), level)
                for at, level in connection.execute(sa.text(f"SELECT read_at, battery_level FROM {name}"))
            )
            for name in names
        }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_day_gets_what_is_new_and_no_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings(folder, f"sqlite:///{folder}/there.db")
    ingested(folder, "one.ndjson", readings(0, 150))
    assert published(folder, capsys)["sensor_readings"] == ("delivered", 150)
    assert {name: len(rows) for name, rows in in_tables(folder / "there.db").items()} == {
        "sensor_readings_20260101": 100,
        "sensor_readings_20260102": 50,
    }
    ingested(folder, "two.ndjson", [*readings(150, 30), *readings(10, 2, level=0.25)])  # two of yesterday once more
    assert published(folder, capsys)["sensor_readings"] == ("delivered", 32)
    days = in_tables(folder / "there.db")
    assert sorted(row for rows in days.values() for row in rows) == in_lake(folder)
    assert sum(level == 0.25 for _, level in days["sensor_readings_20260101"]) == 2
    assert published(folder, capsys)["sensor_readings"] == ("unchanged", 0)
    newest = readings(180 + 86_400, 5)  # the first rows of a day that is not there yet
    ingested(folder, "three.ndjson", newest)
    assert published(folder, capsys)["sensor_readings"] == ("delivered", 5)
    days = in_tables(folder / "there.db")
    assert len(days["sensor_readings_20260103"]) == 5
    assert sorted(row for rows in days.values() for row in rows) == in_lake(folder)


def asked(url: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url.rstrip('/')}/{path}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@pytest.mark.servers
def test_daily_indices_of_a_search_server_have_a_template_and_grow(
    opensearch_url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings(folder, f"opensearch+{opensearch_url}")
    ingested(folder, "one.ndjson", readings(0, 150))
    assert published(folder, capsys)["sensor_readings"] == ("delivered", 150)
    behind = set(asked(opensearch_url, "_alias/sensor_readings_20260102"))
    ingested(folder, "two.ndjson", [*readings(150, 30), *readings(10, 2, level=0.25)])
    assert published(folder, capsys)["sensor_readings"] == ("delivered", 32)
    assert set(asked(opensearch_url, "_alias/sensor_readings_20260102")) == behind  # the index of the day goes on
    counts = {day: asked(opensearch_url, f"sensor_readings_{day}/_count")["count"] for day in ("20260101", "20260102")}
    assert counts == {"20260101": 100, "20260102": 80}
    late = asked(opensearch_url, "sensor_readings_20260101/_count?q=battery_level:0.25")
    assert late["count"] == 2
    assert asked(opensearch_url, "sensor_readings_today/_count")["count"] == 80
    templates = asked(opensearch_url, "_index_template")["index_templates"]
    (template,) = [one for one in templates if "sensor_readings" in one["name"]]  # one for all days
    fields = template["index_template"]["template"]["mappings"]["properties"]
    assert fields["read_at"]["type"].startswith("date")


def serving(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--port", "0", "--workspace", str(folder / "w")],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = next(line for line in process.stderr if line.startswith("trunkline serves http"))
    return process, told.strip().removeprefix("trunkline serves ")


def until(question: Any, *, wanted: object) -> None:  # noqa: ANN401 - any function
    deadline = time.monotonic() + 90
    while (found := question()) != wanted:
        assert time.monotonic() < deadline, found
        threading.Event().wait(0.2)


def send(url: str, rows: Sequence[dict[str, object]]) -> bool:
    body = "\n".join(map(json.dumps, rows)).encode()
    request = urllib.request.Request(
        f"{url}/v1/ingest/sensors/readings", body, {"Content-Type": "application/x-ndjson"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(json.load(answer)["accepted"] == len(rows))
    except OSError:  # it does not listen yet
        return False


@pytest.mark.slow
def test_a_server_publishes_as_rows_come_and_one_that_was_killed_loses_nothing(folder: Path) -> None:
    file = folder / "there.db"
    settings(folder, f"sqlite:///{file}", every_s=0.5)

    def rows() -> int:
        return sum(map(len, in_tables(file).values())) if file.exists() else 0

    process, url = serving(folder)
    try:
        until(lambda: send(url, readings(0, 40)), wanted=True)
        until(rows, wanted=40)
        assert send(url, readings(40, 100))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        process, url = serving(folder)
        until(rows, wanted=140)
        until(lambda: send(url, readings(140, 20)), wanted=True)
        until(rows, wanted=160)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert sorted(row for found in in_tables(file).values() for row in found) == in_lake(folder)

"""Recordings of the Sensor Logger app as files, by the real command: its archive, its JSON export, pushed messages."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.settings import Settings


def ingested(capsys: pytest.CaptureFixture[str], workspace: Path, *sources: Path) -> list[dict[str, Any]]:
    """Take files in; gives the receipts."""
    capsys.readouterr()
    assert main(["ingest", "sensors", *map(str, sources), "--workspace", str(workspace), "--json"]) == 0
    receipts: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["receipts"]
    return receipts


@pytest.fixture
def recording(tmp_path: Path) -> dict[str, str]:
    """The files of an archive."""
    return {
        "Metadata.csv": "version,device name,recording epoch time,device id\n3,Phone,1700810754632,d-1\n",
        "Accelerometer.csv": "time,seconds_elapsed,z,y,x\n"
        "1700810754682863000,0.05,0.1,-0.2,1.3\n1700810754692863200,0.06,0.1,-0.2,1.3\n",
        "Location.csv": "time,seconds_elapsed,speed,longitude,latitude\n1700810755000000000,0.4,0.5,6.1,\n",
        "Annotation.csv": "time,seconds_elapsed,text\n1700810755000000000,0.4,turn\n",
    }


def test_an_archive_and_the_json_export_of_a_recording_bring_the_same_readings(
    recording: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, export = tmp_path / "2023-11-24_07-25-54.zip", tmp_path / "recording.json"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in recording.items():
            packed.writestr(f"2023-11-24_07-25-54/{name}", text)
    values = {"seconds_elapsed": "0.05", "z": "0.1", "y": "-0.2", "x": "1.3"}
    metadata = {"sensor": "Metadata", "device id": "d-1", "recording epoch time": "1700810754632"}
    export.write_text(json.dumps([{"sensor": "Accelerometer", "time": "1700810754682863000", **values}, metadata]))
    (first,) = ingested(capsys, tmp_path / "w", archive)
    assert (first["read"], first["accepted"], first["quarantined"]) == (3, 2, 1)  # half a place is none
    assert json.loads(first["reasons"]) == {"both_coordinates": 1}
    assert first["source"] == str(archive)
    (second,) = ingested(capsys, tmp_path / "other", export)
    assert (second["read"], second["accepted"]) == (1, 1)
    (again,) = ingested(capsys, tmp_path / "w", archive)
    assert again["batch_id"] == first["batch_id"]


def test_recordings_of_one_name_are_all_taken_in(
    recording: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archives = []
    for device in ("d-A", "d-B"):
        archives.append(tmp_path / device / "rec.zip")
        archives[-1].parent.mkdir()
        with zipfile.ZipFile(archives[-1], "w") as packed:
            for name, text in recording.items():
                packed.writestr(name, text.replace("d-1", device))
    receipts = ingested(capsys, tmp_path / "w", *archives)
    assert [one["accepted"] for one in receipts] == [2, 2]
    assert len({one["batch_id"] for one in receipts}) == 2
    with Workspace(Settings.model_validate({"workspace": tmp_path / "w"})) as workspace:
        rows = workspace.lake.arrow("sensors.readings", columns=["device_id"])
    assert set(rows.column("device_id").to_pylist()) == {"d-A", "d-B"}
    assert list((tmp_path / "w" / "tmp").glob("unpacked-*")) == []


def test_a_damaged_recording_stops_none_of_the_others(
    recording: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    locked, cut, good = tmp_path / "a.zip", tmp_path / "b.json", tmp_path / "c.json"
    with zipfile.ZipFile(locked, "w") as packed:
        packed.writestr("Metadata.csv", recording["Metadata.csv"])
    content = bytearray(locked.read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag of encrypted files
        content[content.index(mark) + place] |= 1
    locked.write_bytes(content)
    metadata = {"sensor": "Metadata", "device id": "d-1", "recording epoch time": "1700810754632"}
    cut.write_text(json.dumps([metadata])[:-1])
    told = {"sensor": "Steps", "time": "1700810754682863000", "seconds_elapsed": "0.05", "steps": 10**25}
    good.write_text(json.dumps([metadata, told]))
    sources = [str(locked), str(cut), str(good)]
    assert main(["ingest", "sensors", *sources, "--workspace", str(tmp_path / "w"), "--json"]) == 2
    out = capsys.readouterr()
    with Workspace(Settings.model_validate({"workspace": tmp_path / "w"})) as workspace:
        assert workspace.lake.arrow("sensors.readings", columns=["device_id"]).num_rows == 1
    assert f"{cut} (JSONDecodeError)" in out.err
    assert caplog.messages.count("source refused: SourceError") == 2


def test_only_recordings_are_limited_and_a_dry_run_knows_them(
    recording: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.run.recordings._MOST_BYTES", 100)
    plain, archive = tmp_path / "plain.ndjson", tmp_path / "rec.zip"
    row = {"device_id": "d-1", "session_id": "s", "sensor": "battery", "read_at": "2026-03-01T00:00:00Z"}
    plain.write_text(json.dumps({**row, "battery_level": 0.5}) + "\n")
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in recording.items():
            packed.writestr(name, text)
    (receipt,) = ingested(capsys, tmp_path / "w", plain)
    assert receipt["accepted"] == 1
    command = ["ingest", "sensors", str(archive), "--workspace", str(tmp_path / "w"), "--json"]
    assert main(command) == 2
    assert "larger than" in capsys.readouterr().err
    assert main([*command, "--dry-run"]) == 0
    assert [one["dataset"] for one in json.loads(capsys.readouterr().out)["sources"]] == ["readings"]


def test_a_recording_of_a_real_phone_comes_in_whole(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = data_dir / "sensors" / "sensor_logger_android_clip"
    archive = tmp_path / "clip.zip"
    rows = 0
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(clip.glob("*.csv")):
            packed.write(file, file.name)
            rows += 0 if file.stem == "Metadata" else len(file.read_text().splitlines()) - 1
    (receipt,) = ingested(capsys, tmp_path / "w", archive)
    assert (receipt["read"], receipt["accepted"]) == (rows, rows)


def test_messages_that_a_phone_pushed_come_in_from_a_file(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gzip.open(data_dir / "sensors" / "sensor_logger_drive" / "http_push_payloads.jsonl.gz") as lines:
        some = [next(lines) for _ in range(5)]
    file = tmp_path / "pushed.jsonl.gz"
    file.write_bytes(gzip.compress(b"".join(some)))
    wanted = sum(len(json.loads(line)["payload"]) for line in some)
    (receipt,) = ingested(capsys, tmp_path / "w", file)
    assert (receipt["read"], receipt["accepted"]) == (wanted, wanted)

"""Windows of the real recording of a drive, by the real command, against a count in plain Python."""

import gzip
import itertools
import json
import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli import main
from trunkline.run import Workspace
from trunkline.settings import load_settings


def since(row: dict[str, Any]) -> datetime:
    """When a device became what the row says."""
    found: datetime = row["valid_from_at"]
    return found


@pytest.mark.slow
def test_windows_of_a_real_drive_are_what_plain_python_counts(data_dir: Path, tmp_path: Path) -> None:
    recording = data_dir / "sensors" / "sensor_logger_drive" / "http_push_payloads.jsonl.gz"
    readings = defaultdict(list)
    lines = []
    with gzip.open(recording, "rt") as messages:
        for message in map(json.loads, messages):
            for one in message["payload"]:
                at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=one["time"] // 1_000)
                start = at.replace(microsecond=0) - timedelta(seconds=at.second % 10)
                readings[start].append((one["name"], at, one["values"]))
                if one["name"] in ("accelerometer", "gyroscope", "location", "battery"):
                    keys = {"deviceId": message["deviceId"], "sessionId": message["sessionId"]}
                    row = {**keys, "sensor": one["name"], "read_at": at.isoformat(), **one["values"]}
                    lines.append(json.dumps(row))
    (tmp_path / "drive.ndjson").write_text("\n".join(lines))
    (device,) = {json.loads(line)["deviceId"] for line in lines}
    half = min(readings) + timedelta(seconds=10 * (len(readings) // 2))  # the handset is sold on the way
    begun = min(readings) - timedelta(days=1)
    owners = [f"{device},{begun.isoformat()},handset,,ann", f"{device},{half.isoformat()},handset,,bob"]
    header = "device_id,valid_from_at,kind,site,subscriber_id"
    (tmp_path / "devices.csv").write_text("\n".join([header, *owners]) + "\n")
    into = ["--workspace", str(tmp_path / "w")]
    assert main(["ingest", "sensors", str(tmp_path / "devices.csv"), *into]) == 0
    assert main(["ingest", "sensors", str(tmp_path / "drive.ndjson"), *into]) == 0
    lake = Workspace(load_settings(workspace=tmp_path / "w")).lake
    found = {row["window_start_at"]: row for row in lake.arrow("sensors.movement").to_pylist()}
    wanted = {}
    for start, all_of in readings.items():
        mine = [one for one in all_of if one[0] in ("accelerometer", "gyroscope", "location", "battery")]
        moved = sorted((at, values) for name, at, values in mine if name == "accelerometer")
        squares = [values["x"] ** 2 + values["y"] ** 2 + values["z"] ** 2 for _, values in moved]
        gaps = [(later - at).total_seconds() for (at, _), (later, _) in itertools.pairwise(moved)]
        energy = math.fsum(squares) / len(squares) if squares else None
        if mine:
            wanted[start] = (len(mine), len({name for name, _, _ in mine}), energy, max(gaps, default=None))
    assert found.keys() == wanted.keys()
    for start, (count, sensors, energy, gap) in wanted.items():
        row = found[start]
        assert (row["readings"], row["sensors"]) == (count, sensors)
        assert row["activity_energy"] == (None if energy is None else pytest.approx(energy, rel=1e-9))
        assert row["longest_gap_s"] == (None if gap is None else pytest.approx(gap, abs=1e-6))
    ann, bob = [row["subscriber_id"] for row in sorted(lake.arrow("sensors.devices").to_pylist(), key=since)]
    assert ann != bob
    for row in found.values():
        owner = ann if row["window_end_at"] < half else bob
        assert (row["kind"], row["site"], row["subscriber_id"]) == ("handset", None, owner)
    alerts = lake.arrow("platform.alerts").to_pylist()
    assert [alert["title"] for alert in alerts] == ["sensors: a device moves unlike before"]
    travel = lake.arrow("sensors.travel").to_pylist()
    assert max(row["travelled_m"] for row in travel if row["travelled_m"]) < 60 * 14  # at most 14 m/s in this drive


@pytest.mark.slow
def test_windows_are_told_device_site_and_subscriber_as_of_their_end(tmp_path: Path) -> None:
    assert main(["simulate", "sensors", "--rows", "60", "--out", str(tmp_path / "made")]) == 0
    into = ["--workspace", str(tmp_path / "w")]
    names = ("devices", "sites", "subscribers", "readings")
    for name in names:
        (file,) = (tmp_path / "made").glob(f"sensors-{name}-*")
        assert main(["ingest", "sensors", str(file), *into]) == 0
    lake = Workspace(load_settings(workspace=tmp_path / "w")).lake
    devices, sites, subscribers, _ = (lake.arrow(f"sensors.{name}").to_pylist() for name in names)
    told = {"region": 0, "plan": 0}
    differing = {"site": set[str](), "plan": set[str]()}

    def then(rows: list[dict[str, Any]], name: str, value: object, at: datetime) -> dict[str, Any]:
        """What the newest row of a thing says that was true at an instant; counted in plain Python."""
        mine = [row for row in rows if value is not None and row[name] == value and row["valid_from_at"] <= at]
        return max(mine, key=since, default={})

    for table in ("movement", "travel"):
        seen: dict[tuple[str, str], object] = {}
        for row in sorted(lake.arrow(f"sensors.{table}").to_pylist(), key=lambda one: str(one["window_start_at"])):
            at = row["window_end_at"]
            device = then(devices, "device_id", row["device_id"], at)
            site = then(sites, "site", device.get("site"), at)
            subscriber = then(subscribers, "subscriber_id", device.get("subscriber_id"), at)
            wanted = [device.get(name) for name in ("kind", "site", "subscriber_id")]
            wanted += [site.get("region"), site.get("area"), subscriber.get("plan"), subscriber.get("segment")]
            columns = ("kind", "site", "subscriber_id", "region", "area", "plan", "segment")
            assert [row[name] for name in columns] == wanted
            for name, count in told.items():
                told[name] = count + (row[name] is not None)
            for name, changed in differing.items():
                if seen.setdefault((row["device_id"], name), row[name]) != row[name]:
                    changed.add(row["device_id"])
    assert min(told.values()) > 50
    assert all(differing.values()), differing  # some equipment moved, some tariffs changed, within the minute

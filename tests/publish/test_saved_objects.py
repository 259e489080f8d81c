"""A dashboard of published tables: whole, importable by its references, and its charts find the published rows."""

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli import main
from trunkline.plugins import load_usecase
from trunkline.publish import Shown, planned, saved_objects

AT = datetime(2026, 1, 1, tzinfo=UTC)


def exported(folder: Path) -> list[dict[str, Any]]:
    file = folder / "sensors.ndjson"
    assert main(["publish", "sensors", "--saved-objects", str(file), "--workspace", str(folder / "w")]) == 0
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_reference_is_there_and_every_field_is_published(tmp_path: Path) -> None:
    objects = exported(tmp_path)
    ids = {(one["type"], one["id"]) for one in objects}
    assert len(ids) == len(objects)
    assert all((reference["type"], reference["id"]) in ids for one in objects for reference in one["references"])
    tables = {one.target.name: one.target for one in planned(load_usecase("sensors"))}
    charts = [one for one in objects if one["type"] == "visualization"]
    for chart in charts:
        state = json.loads(chart["attributes"]["visState"])
        columns = {column.name: column.kind for column in tables[state["title"].partition(":")[0]].columns}
        fields = {part["type"]: part["params"].get("field") for part in state["aggs"]}
        assert columns[fields["date_histogram"]] == "instant"
        assert "avg" not in fields or columns[fields["avg"]] in ("number", "integer")
        assert "terms" not in fields or columns[fields["terms"]] == "text"
    (dashboard,) = (one for one in objects if one["type"] == "dashboard")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    assert {one["panelRefName"] for one in panels} == {one["name"] for one in dashboard["references"]}
    assert len(panels) == len(charts)
    assert any("rarity" in chart["attributes"]["title"] for chart in charts)
    assert exported(tmp_path) == objects


def test_tables_without_an_instant_are_left_out() -> None:
    (one, *_) = planned(load_usecase("sensors"))
    kept = [column for column in one.target.columns if column.kind != "instant"]
    bare = Shown(replace(one.target, name="bare", columns=tuple(kept), key=("device_id",)), is_dated=False)
    assert saved_objects("Bare", [bare]) == b""
    both = saved_objects("Both", [bare, Shown(one.target, is_dated=True)])
    assert b"bare" not in both
    assert b"sensor_movement_2*" in both


@pytest.mark.servers
def test_the_charts_find_what_was_published(opensearch_url: str, tmp_path: Path) -> None:
    readings = tmp_path / "readings.ndjson"
    readings.write_text(
        "".join(
            json.dumps(
                {
                    "device_id": f"d{number % 2}",
                    "session_id": "s",
                    "sensor": "accelerometer",
                    "read_at": (AT + timedelta(hours=23, minutes=50, seconds=number)).isoformat(),
                    **dict.fromkeys("xyz", number / 8),
                }
            )
            + "\n"
            for number in range(1_200)
        )
    )
    workspace = ["--workspace", str(tmp_path / "w")]
    assert main(["ingest", "sensors", str(readings), *workspace]) == 0
    sink = f"opensearch+{opensearch_url}"
    assert main(["publish", "sensors", "--to", sink, "--only", "sensor_movement", *workspace]) == 0
    objects = exported(tmp_path)
    patterns = {one["id"]: one["attributes"]["title"] for one in objects if one["type"] == "index-pattern"}
    found = {}
    for chart in (one for one in objects if one["type"] == "visualization"):
        pattern = patterns[chart["references"][0]["id"]]
        parts = json.loads(chart["attributes"]["visState"])["aggs"]
        values = [part["params"]["field"] for part in parts if part["type"] == "avg"]
        by = [part["params"]["field"] for part in parts if part["type"] == "terms"]
        if pattern.startswith("sensor_movement") and by:
            inner = {"value": {"avg": {"field": values[0]}}} if values else {}
            body = {"size": 0, "aggs": {"by": {"terms": {"field": by[0]}, "aggs": inner}}}
            request = urllib.request.Request(
                f"{opensearch_url}/{pattern}/_search",
                data=json.dumps(body).encode(),
                headers={"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                found[(values or ["rows"])[0]] = json.load(answer)["aggregations"]["by"]["buckets"]
    assert {bucket["key"]: bucket["doc_count"] for bucket in found["rows"]} == {"d0": 120, "d1": 120}
    assert all(bucket["value"]["value"] > 0 for bucket in found["activity_energy"])

"""Dashboards of published indices, as saved objects that OpenSearch Dashboards and Kibana import.

Takes published tables with an instant, gives NDJSON: an index pattern, a line of every number over time for the first
column of the key, how many rows there are and a dashboard of them all. Ids are made of names, so importing again takes
the place of what was imported before. Format: the export of Kibana 7.10, which both import.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.publish.protocol import Target, TargetColumn

__all__ = ["Shown", "saved_objects"]

_SOURCE: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
_WIDTH: Final = 24
_HEIGHT: Final = 12
_LINES: Final = 10
"""Things that have a line of their own, the ones with most rows."""


@dataclass(frozen=True)
class Shown:
    """A published table on the dashboard.

    Attributes:
        target: The table.
        is_dated: Whether it is one index a day.
    """

    target: Target
    is_dated: bool

    @property
    def pattern(self) -> str:
        """The names of its indices."""
        return f"{self.target.name}_2*" if self.is_dated else self.target.name

    @property
    def time(self) -> str | None:
        """The instant by which rows are put in order: that of the key, else the first; None where there is none."""
        instants = [column.name for column in self.target.columns if column.kind == "instant" and not column.masked]
        return next((name for name in (*self.target.key, *instants) if name in instants), None)

    @property
    def numbers(self) -> tuple[TargetColumn, ...]:
        """The columns that are drawn."""
        kinds = ("number", "integer")
        return tuple(
            column
            for column in self.target.columns
            if column.kind in kinds and not column.masked and column.name not in self.target.key
        )


def saved_objects(title: str, shown: Sequence[Shown]) -> bytes:
    """Write a dashboard down.

    Args:
        title: Of the dashboard.
        shown: Its tables; those without an instant are left out.

    Returns:
        NDJSON; empty where no table has an instant.
    """
    panels: list[dict[str, object]] = []
    objects: list[dict[str, object]] = []
    for one in shown:
        if one.time is None:
            continue
        objects.append(_pattern(one))
        charts = list(_charts(one))
        objects += charts
        panels += charts
    if not panels:
        return b""
    objects.append(_dashboard(title, panels))
    return b"".join(json.dumps(one, sort_keys=True).encode() + b"\n" for one in objects)


def _pattern(shown: Shown) -> dict[str, object]:
    attributes: dict[str, object] = {"title": shown.pattern, "timeFieldName": shown.time}
    return _object("index-pattern", _id(shown.target.name), attributes, [], version="7.6.0")


def _charts(shown: Shown) -> Iterator[dict[str, object]]:
    yield _chart(shown, "rows", "rows", {"type": "count", "params": {}})
    for column in shown.numbers:
        said = f"{column.name} ({column.unit})" if column.unit else column.name
        yield _chart(shown, column.name, said, {"type": "avg", "params": {"field": column.name}})


def _chart(shown: Shown, name: str, said: str, metric: dict[str, object]) -> dict[str, object]:
    buckets: list[dict[str, object]] = [
        {"type": "date_histogram", "schema": "segment", "params": {"field": shown.time, "interval": "auto"}}
    ]
    thing = next((column.name for column in shown.target.columns if column.name in shown.target.key[:1]), None)
    if thing is not None and thing != shown.time:
        params = {"field": thing, "size": _LINES, "order": "desc", "orderBy": "_count"}
        buckets.append({"type": "terms", "schema": "group", "params": params})
    parts = [{**metric, "schema": "metric"}, *buckets]
    state = {
        "title": f"{shown.target.name}: {said}",
        "type": "line",
        "aggs": [{"id": str(number), "enabled": True, **part} for number, part in enumerate(parts, 1)],
        "params": {"type": "line", "addLegend": True, "addTooltip": True, "legendPosition": "right"},
    }
    attributes = {
        "title": state["title"],
        "description": "",
        "version": 1,
        "uiStateJSON": "{}",
        "visState": json.dumps(state, sort_keys=True),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _search({"indexRefName": _SOURCE})},
    }
    references = [{"name": _SOURCE, "type": "index-pattern", "id": _id(shown.target.name)}]
    return _object("visualization", _id(f"{shown.target.name}-{name}"), attributes, references, version="7.10.0")


def _dashboard(title: str, charts: Sequence[dict[str, object]]) -> dict[str, object]:
    panels = [
        {
            "version": "7.10.0",
            "panelIndex": str(number),
            "panelRefName": f"panel_{number}",
            "embeddableConfig": {},
            "gridData": {
                "i": str(number),
                "x": number % 2 * _WIDTH,
                "y": number // 2 * _HEIGHT,
                "w": _WIDTH,
                "h": _HEIGHT,
            },
        }
        for number in range(len(charts))
    ]
    attributes = {
        "title": title,
        "description": "",
        "hits": 0,
        "version": 1,
        "timeRestore": False,
        "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}, sort_keys=True),
        "panelsJSON": json.dumps(panels, sort_keys=True),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _search({})},
    }
    references = [
        {"name": f"panel_{number}", "type": "visualization", "id": str(one["id"])} for number, one in enumerate(charts)
    ]
    return _object("dashboard", _id(title.lower()), attributes, references, version="7.9.3")


def _search(more: dict[str, object]) -> str:
    return json.dumps({"query": {"query": "", "language": "kuery"}, "filter": [], **more}, sort_keys=True)


def _id(name: str) -> str:
    return f"trunkline-{name}".replace(" ", "-")


def _object(
    kind: str, name: str, attributes: dict[str, object], references: list[dict[str, str]], *, version: str
) -> dict[str, object]:
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": references,
        "migrationVersion": {kind: version},
    }

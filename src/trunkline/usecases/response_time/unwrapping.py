"""Takes apart what a monitoring API answers: `metric-data` items with a list of values each.

Such an item names its metric by a path, ``Overall Application Performance|Tier|Average Response Time (ms)``, or
``Application|Tier|metric`` of some exporters, and has values of intervals that begin at ``startTimeInMillis``.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from trunkline.usecases.response_time.contracts import APPLICATION

__all__ = ["metric_data"]

_OVERALL = (
    "Overall Application Performance",
    "Application Infrastructure Performance",
    "Business Transaction Performance",
)


def metric_data(message: object, /) -> Sequence[object] | None:
    """Give the rows of `metric-data` items; None where a message is a row itself.

    Intervals without an occurrence are left out: their value 0 stands for nothing measured.

    >>> item = {"metricName": "Calls per Minute", "metricPath": "Overall Application Performance|edge|Calls per Minute",
    ...         "metricValues": [{"startTimeInMillis": 1760000400000, "count": 3, "value": 12}]}
    >>> (row,) = metric_data(item)
    >>> row["server"], row["metric"], row["at"], row["value"], row["application"]
    ('edge', 'Calls per Minute', '2025-10-09T09:00:00Z', 12, 'all')
    """
    if isinstance(message, Mapping) and "metricValues" in message:
        return _rows(message)
    return None


def _rows(item: Mapping[str, object]) -> list[object]:
    path = [part for part in str(item.get("metricPath") or "").split("|") if part]
    name = str(path[-1] if path else item.get("metricName"))
    application = "" if not path or path[0] in _OVERALL else path[0]
    server = path[1] if len(path) > 2 else (application or "main")
    rows: list[object] = []
    values = item["metricValues"]
    for one in values if isinstance(values, list) else []:
        if not isinstance(one, Mapping) or one.get("count") == 0:
            continue
        row = {"server": server, "metric": name, "at": _instant(one), "value": one.get("value")}
        rows.append({**row, "application": application or APPLICATION})
    return rows


def _instant(value: Mapping[str, object]) -> object:
    begun = value.get("startTimeInMillis")
    if not isinstance(begun, int | float) or isinstance(begun, bool):
        return begun
    return datetime.fromtimestamp(begun / 1000, UTC).isoformat().replace("+00:00", "Z")

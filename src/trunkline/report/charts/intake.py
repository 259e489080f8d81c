"""Charts of what came in: rows a day, refused rows a day and by rule, freshness of sources, time a batch takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from trunkline.report.charts.shapes import HEIGHT, MOST_BARS, SIDE, axis, bars
from trunkline.report.drawing import Chart, Spec, colours

__all__ = ["DayRows", "Freshness", "durations_chart", "freshness_chart", "refused_chart", "rejects_chart", "rows_chart"]

_MOST_LABELS: Final = 6
_MOST_POINTS: Final = 400
_SPANS: Final = ((72.0, "Days", 1 / 24), (2.0, "Hours", 1.0), (0.0, "Minutes", 60.0))
"""Units of time: from how many hours on they are used, their name, how many make an hour."""

_SERIES: Final = {"accepted": "one", "duplicates": "three", "quarantined": "bad"}


@dataclass(frozen=True)
class DayRows:
    """What became of the rows of one day.

    Attributes:
        day: UTC.
        accepted: Rows written to the lake.
        quarantined: Rows that broke the contract.
        duplicates: Rows left out as repetitions.
    """

    day: date
    accepted: int
    quarantined: int
    duplicates: int

    @property
    def read(self) -> int:
        """All of them."""
        return self.accepted + self.quarantined + self.duplicates


@dataclass(frozen=True)
class Freshness:
    """How long ago a source delivered.

    Attributes:
        label: The source.
        hours: Hours since its last batch.
        limit_hours: Hours after which it is late; None when nobody can tell.
        is_late: Whether it is late.
    """

    label: str
    hours: float
    limit_hours: float | None
    is_late: bool


def rows_chart(days: Sequence[DayRows]) -> Chart:
    """Draw the rows of each day, stacked by what became of them.

    Args:
        days: Every day of the span in order, also those without rows.
    """
    values: list[Spec] = [
        {"day": day.day.isoformat(), "series": name, "rows": getattr(day, name), "order": order}
        for day in days
        for order, name in enumerate(_SERIES)
        if getattr(day, name)
    ]
    spec: Spec = {
        "width": SIDE,
        "height": HEIGHT,
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "x": _days(days),
            "y": axis("rows", "Rows", scale={"zero": True}, number_format="~s"),
            "color": colours(_SERIES),
            "order": {"field": "order", "type": "quantitative"},
        },
    }
    return Chart(
        "rows",
        "Rows a day",
        "Rows read on each day (UTC), by what became of them: written to the lake, left out as repetitions, or sent to "
        "the quarantine.",
        spec,
    )


def refused_chart(days: Sequence[DayRows], *, budget: float | None) -> Chart:
    """Draw the share of refused rows of each day that had rows, with the reject budget as a dashed line.

    Args:
        days: Every day of the span in order.
        budget: Largest allowed share in [0, 1]; None draws no line.
    """
    y = axis("share", "Refused rows", scale={"zero": True}, number_format="~%")
    x = _days(days)
    values: list[Spec] = [
        {"day": day.day.isoformat(), "share": day.quarantined / day.read, "over": _over(day, budget)}
        for day in days
        if day.read
    ]
    layers: list[Spec] = [
        {
            "data": {"values": values},
            "mark": {"type": "line", "strokeWidth": 1.5, "color": "var(--one)"},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": values},
            "mark": {"type": "point", "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "color": {
                    "field": "over",
                    "type": "nominal",
                    "scale": {"domain": ["no", "yes"], "range": ["var(--one)", "var(--bad)"]},
                    "legend": None,
                },
            },
        },
    ]
    if budget is not None:
        layers.append(
            {
                "data": {"values": [{"share": budget}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "var(--pale)"},
                "encoding": {"y": y},
            }
        )
    return Chart(
        "refused",
        "Share of refused rows",
        "Rows that broke the contract among all rows of the day. "
        + ("No reject budget is set." if budget is None else "The dashed line is the reject budget."),
        {"width": SIDE, "height": HEIGHT, "layer": layers},
    )


def rejects_chart(reasons: Sequence[tuple[str, int]]) -> Chart:
    """Draw the refused rows by the rule they broke, most first.

    Args:
        reasons: Name of the check or rule, and rows; a row may have broken several.
    """
    rows: list[Spec] = [
        {"label": name, "value": count, "colour": "var(--bad)"} for name, count in list(reasons)[:MOST_BARS]
    ]
    more = f" The {len(rows)} most frequent of {len(reasons)}." if len(reasons) > len(rows) else ""
    return Chart(
        "rejects",
        "Rejects by rule",
        f"Rows that broke each check of the contract; a row may have broken several.{more}",
        bars(rows, "Rows"),
    )


def freshness_chart(sources: Sequence[Freshness]) -> Chart:
    """Draw the time since the last batch of each source, the stalest first; the mark is when it is late."""
    shown = sorted(sources, key=lambda source: (-source.hours, source.label))[:MOST_BARS]
    longest = max((max(source.hours, source.limit_hours or 0.0) for source in shown), default=0.0)
    unit, in_an_hour = next((name, factor) for least, name, factor in _SPANS if longest >= least)
    rows: list[Spec] = [
        {
            "label": source.label,
            "value": source.hours * in_an_hour,
            "limit": None if source.limit_hours is None else source.limit_hours * in_an_hour,
            "colour": "var(--bad)" if source.is_late else "var(--one)",
        }
        for source in shown
    ]
    return Chart(
        "freshness",
        "Freshness of sources",
        f"{unit} since the last batch of each source. The mark is when the source is late: by its schedule, or after "
        "three times its usual gap.",
        bars(rows, f"{unit} since the last batch"),
    )


def durations_chart(batches: Sequence[tuple[datetime, float]]) -> Chart:
    """Draw how long each batch took.

    Args:
        batches: Instant of the end (UTC) and seconds, oldest first; the newest few hundred are drawn.
    """
    values: list[Spec] = [
        {"at": f"{at:%Y-%m-%dT%H:%M:%S}Z", "seconds": seconds} for at, seconds in list(batches)[-_MOST_POINTS:]
    ]
    spec: Spec = {
        "width": SIDE,
        "height": HEIGHT,
        "data": {"values": values},
        "mark": {"type": "point", "color": "var(--one)", "opacity": 0.8},
        "encoding": {
            "x": {
                "field": "at",
                "type": "temporal",
                "title": None,
                "scale": {"type": "utc"},
                "axis": {"tickCount": 4, "labelOverlap": True, "grid": False},
            },
            "y": axis("seconds", "Seconds", scale={"zero": True}, number_format=".3~r"),
        },
    }
    return Chart("durations", "Time a batch takes", "Seconds from the begin of a batch to its receipt.", spec)


def _over(day: DayRows, budget: float | None) -> str:
    return "yes" if budget is not None and day.quarantined > budget * day.read else "no"


def _days(days: Sequence[DayRows]) -> Spec:
    """Make the axis of days: all of them, a few with a label."""
    names = [day.day.isoformat() for day in days]
    step = max(1, -(-len(names) // _MOST_LABELS))
    return {
        "field": "day",
        "type": "ordinal",
        "title": None,
        "scale": {"domain": names, "paddingInner": 0.15},
        "axis": {
            "values": names[::-1][::step][::-1],
            "labelExpr": "slice(datum.value, 5)",
            "labelAngle": 0,
            "grid": False,
        },
    }

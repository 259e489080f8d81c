"""What the learned anomalies see of a cell's period: measurements, and how far they are from its usual ones.

Takes rows of ``thresholds``, gives the same rows with more columns; pure and lazy, the same on every engine. Usual is
the median of the cell, over the day and at that hour; distance is counted in robust deviations, 1.4826 times the median
absolute deviation (Rousseeuw and Croux 1993, doi:10.1080/01621459.1993.10476408). Both are taken over the rows of the
cell that are handed in, the judged row among them, as a network team has them at the end of a day. Labels are not read.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from trunkline.tasks import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FEATURES", "MEASURED", "SMALLEST_SPREAD", "cell_periods"]

MEASURED: Final = (
    "prb_usage_ul",
    "prb_usage_dl",
    "mean_throughput_dl_mbps",
    "mean_throughput_ul_mbps",
    "max_throughput_dl_mbps",
    "max_throughput_ul_mbps",
    "mean_users_dl",
    "mean_users_ul",
    "max_users_dl",
    "max_users_ul",
    "max_users_ul_dl",
)
"""Measurements of a period, as fields of :class:`~trunkline.usecases.towers.contracts.CellPeriod`."""

SMALLEST_SPREAD: Final = 1e-3
"""Added to a spread, in the measurement's unit, so that a cell that never varies has finite distances."""

FEATURES: Final = (
    Feature("minute_of_day"),
    *(Feature(name) for name in MEASURED),
    *(Feature(f"{name}_off_cell") for name in MEASURED),
    *(Feature(f"{name}_off_hour") for name in MEASURED),
)
"""Inputs of the classification; ``NAME_off_cell`` and ``NAME_off_hour`` are robust deviations above the usual."""

_TO_STANDARD_DEVIATION: Final = 1.4826


def cell_periods(tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Add ``minute_of_day``, ``hour_of_day`` and both distances of each measurement.

    Args:
        tables: ``thresholds``; other tables are not read.

    Returns:
        A row per row of ``thresholds``. Distances are null where the measurement is.
    """
    rows = tables["thresholds"]
    minute = _minute_of_day(cast("ir.StringValue", rows["time_of_day"]))
    hour = cast("ir.IntegerValue", (minute / 60).floor().cast("int64"))
    measured = {name: rows[name].cast("float64") for name in MEASURED}
    timed = rows.mutate(minute_of_day=minute, _hour=hour.fill_null(-1), **measured)
    at_hour = timed.group_by("cell_name", "_hour").aggregate(
        **{f"_hour_{name}": timed[name].median() for name in MEASURED}
    )
    of_cell = timed.group_by("cell_name").aggregate(**{f"_cell_{name}": timed[name].median() for name in MEASURED})
    known = timed.join(of_cell, "cell_name")
    known = known.join(at_hour, ["cell_name", "_hour"])
    spreads = known.group_by("cell_name").aggregate(
        **{f"_spread_{name}": (known[name] - known[f"_cell_{name}"]).abs().median() for name in MEASURED}
    )
    known = known.join(spreads, "cell_name")
    distances = {}
    for name in MEASURED:
        spread = known[f"_spread_{name}"] * _TO_STANDARD_DEVIATION + SMALLEST_SPREAD
        distances[f"{name}_off_cell"] = (known[name] - known[f"_cell_{name}"]) / spread
        distances[f"{name}_off_hour"] = (known[name] - known[f"_hour_{name}"]) / spread
    named = known["_hour"].cast("string").lpad(2, "0")
    found = known.mutate(hour_of_day=(known["_hour"] >= 0).ifelse(named, None), **distances)
    return found.select(*rows.columns, "minute_of_day", "hour_of_day", *distances)


def _minute_of_day(text: "ir.StringValue") -> "ir.IntegerValue":
    """Minutes since midnight of ``H:MM`` or ``HH:MM:SS``; null for null."""
    hour = text.re_extract(r"^([0-9]+):", 1).nullif("").cast("int64")
    minute = text.re_extract(r"^[0-9]+:([0-9]+)", 1).nullif("").cast("int64")
    return cast("ir.IntegerValue", hour * 60 + minute)

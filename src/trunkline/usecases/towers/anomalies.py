"""What is watched of cells where nobody has labelled anything, and what an alert probably means.

Two sources: ``thresholds`` as they come, compared by the hour of their time of day; ``counters`` by the indicators that
follow from them. The kind of fault is the one whose signature is nearest to the deviations of the alert.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, cast

from trunkline.features.kpi import KPIS, joined_sets, row_kpis
from trunkline.spec import Meaning
from trunkline.tasks.anomaly import Anomalies
from trunkline.usecases.towers.features import MEASURED, cell_periods
from trunkline.usecases.towers.indicators import MEASURES

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "MEANINGS",
    "OF_COUNTERS",
    "OF_THRESHOLDS",
    "WATCHED_KPIS",
    "FaultKind",
    "diagnosed",
    "indicator_rows",
    "threshold_rows",
]

FaultKind = Literal["sleeping", "interference", "congestion", "hardware", "reset", "other"]
"""What an alert probably means."""

WATCHED_KPIS: Final = (
    "lte_erab_accessibility",
    "lte_rrc_setup_success",
    "lte_erab_drops",
    "lte_ip_throughput_dl",
    "lte_ip_throughput_ul",
    "lte_block_errors_ul",
    "lte_ho_success",
    "lte_cell_availability",
)
"""Indicators of :data:`~trunkline.features.kpi.KPIS`."""

_AMOUNTS: Final = {"rrc_attempts": "rrc_conn_estab_att", "volume_dl": "drb_ip_vol_dl"}

_CASES: Final = {
    "lte_erab_accessibility": "erab_estab_init_att_nbr",
    "lte_rrc_setup_success": "rrc_conn_estab_att",
    "lte_erab_drops": "erab_estab_init_att_nbr",
    "lte_ip_throughput_dl": "erab_estab_init_att_nbr",
    "lte_ip_throughput_ul": "erab_estab_init_att_nbr",
    "lte_block_errors_ul": "tb_tot_nbr_ul",
    "lte_ho_success": "ho_inter_enb_out_att",
}
_FEWEST: Final = 30

OF_COUNTERS: Final = Anomalies(
    entity="cell_name",
    at="begin_at",
    hour="hour",
    values=(*_AMOUNTS, *WATCHED_KPIS),
    amounts=tuple(_AMOUNTS),
    titles={
        "rrc_attempts": "RRC attempts",
        "volume_dl": "downlink volume",
        "lte_erab_accessibility": "accessibility of bearers",
        "lte_rrc_setup_success": "RRC success",
        "lte_erab_drops": "drops of bearers",
        "lte_ip_throughput_dl": "downlink throughput",
        "lte_ip_throughput_ul": "uplink throughput",
        "lte_block_errors_ul": "uplink block errors",
        "lte_ho_success": "handover success",
        "lte_cell_availability": "availability",
    },
    units={"volume_dl": "kbit", **{name: KPIS[name].unit for name in WATCHED_KPIS}},
)
"""Of ``counters``, by :func:`indicator_rows`."""

OF_THRESHOLDS: Final = Anomalies(
    entity="cell_name",
    at="place",
    hour="hour",
    values=MEASURED,
    amounts=MEASURED,
    titles={one.field: one.name for one in MEASURES if one.field in MEASURED},
)
"""Of ``thresholds``, by :func:`threshold_rows`."""

_SIGNATURES: Final[Mapping[FaultKind, Mapping[str, float]]] = {
    "sleeping": {"rrc_attempts": -2.0, "volume_dl": -2.0},
    "interference": {"lte_block_errors_ul": 2.0, "lte_ip_throughput_ul": -2.0, "lte_rrc_setup_success": -1.0},
    "congestion": {"lte_rrc_setup_success": -2.0, "lte_ip_throughput_dl": -2.0, "rrc_attempts": 1.0},
    "hardware": {"lte_cell_availability": -2.0, "lte_ip_throughput_dl": -1.0, "lte_ip_throughput_ul": -1.0},
}
MEANINGS: Final[Mapping[FaultKind, Meaning]] = {
    "sleeping": Meaning("sleeping cell", "qualityOfServiceAlarm", "performanceDegraded", stops_service=True),
    "interference": Meaning("interference", "communicationsAlarm", "degradedSignal"),
    "congestion": Meaning("congestion", "qualityOfServiceAlarm", "congestion"),
    "hardware": Meaning("hardware degradation", "equipmentAlarm", "equipmentMalfunction"),
    "reset": Meaning("counter reset", "processingErrorAlarm", "applicationSubsystemFailure"),
    "other": Meaning("unusual performance", "qualityOfServiceAlarm", "performanceDegraded"),
}
"""What each kind of fault means for an alarm; probable causes of X.733, table 2."""

_MOST: Final = 8.0
_LEAST: Final = 2.0
_RESET_ROWS: Final = 6
_LIKE: Final = 0.5
"""Cosine below which deviations are nearer to a right angle than to a signature."""


def indicator_rows(counters: "ir.Table") -> "ir.Table":
    """Compute what is watched of counters: one row per cell and period, lazily.

    Args:
        counters: Of the contract ``CellCounters``, the newest row of each cell, period and counter set.

    Returns:
        The watched columns, and the hour (UTC). A share of fewer than 30 cases is null.
    """
    import ibis

    # then a row is all there is of a cell's period: its indicators need no sums
    found = row_kpis(joined_sets(counters), WATCHED_KPIS)
    # of few cases a share says little
    told = {
        name: (found[column] >= _FEWEST).ifelse(found[name], ibis.null("float64")) for name, column in _CASES.items()
    }
    told |= {name: found[name] for name in WATCHED_KPIS if name not in told}
    told |= {name: found[column] for name, column in _AMOUNTS.items()}
    hour = cast("ir.TimestampValue", found["begin_at"]).hour()
    return found.select("cell_name", "begin_at", hour=hour, **told)


def threshold_rows(thresholds: "ir.Table") -> "ir.Table":
    """Give measurements with their hour, in the order of the time of day and of coming.

    Args:
        thresholds: Of the contract ``CellPeriod``, with ``_row``.
    """
    found = cell_periods({"thresholds": thresholds})
    place = found["minute_of_day"].fill_null(0) * 1_000_000_000 + found["_row"]
    hour = cast("ir.StringValue", found["hour_of_day"]).cast("int64")
    return found.select("cell_name", "_row", "time_of_day", "is_unusual", *MEASURED, place=place, hour=hour)


def diagnosed(deviations: Sequence[float], *, rows: int, names: Sequence[str] = OF_COUNTERS.values) -> FaultKind:
    """Name the fault whose signature is nearest to the deviations.

    Args:
        deviations: Robust deviations of each watched number, the median over the alert.
        rows: Periods that the alert lasts; traffic that is missing for few is a reset of counters.
        names: Of the numbers.

    >>> diagnosed([-9.0, -9.0, 0, 0, 0, 0, 0, 0, 0, 0], rows=20)
    'sleeping'
    >>> diagnosed([-9.0, -9.0, 0, 0, 0, 0, 0, 0, 0, 0], rows=3)
    'reset'
    """
    found = {name: max(-_MOST, min(_MOST, value)) for name, value in zip(names, deviations, strict=True)}
    size = sum(value * value for value in found.values()) ** 0.5
    if size < _LEAST:
        return "other"
    likeness = {
        kind: sum(weight * found.get(name, 0.0) for name, weight in signature.items())
        / sum(weight * weight for weight in signature.values()) ** 0.5
        / size
        for kind, signature in _SIGNATURES.items()
    }
    kind = max(likeness, key=lambda one: likeness[one])
    if likeness[kind] < _LIKE:
        return "other"
    return "reset" if kind == "sleeping" and rows <= _RESET_ROWS else kind

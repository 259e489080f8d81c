"""What comes in: measurements and counters of cells, where they stand, known faults, customers and their usage.

Any indicator may be absent from a source or null; a file of another operator needs no column but those that say whose
row it is. Aliases are the names of the usual exports.
"""

import types
from typing import ClassVar, Final, Literal

from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Table, Text, field
from trunkline.features.kpi import COUNTERS, column_of

__all__ = ["COUNTED", "CellCounters", "CellFault", "CellPeriod", "CellSite", "Customer", "Usage"]

COUNTED: Final = (
    "RRC.ConnEstabAtt.sum",
    "RRC.ConnEstabSucc.sum",
    "S1SIG.ConnEstabAtt",
    "S1SIG.ConnEstabSucc",
    "ERAB.EstabInitAttNbr.sum",
    "ERAB.EstabInitSuccNbr.sum",
    "ERAB.RelActNbr.sum",
    "ERAB.SessionTimeUE",
    "HO.IntraEnbOutAtt.sum",
    "HO.IntraEnbOutSucc.sum",
    "HO.InterEnbOutAtt.sum",
    "HO.InterEnbOutSucc.sum",
    "RRU.CellUnavailableTime.sum",
    "TB.TotNbrDl.sum",
    "TB.TotNbrUl.sum",
    "TB.ErrNbrUl.sum",
    "DRB.IPVolDl.sum",
    "DRB.IPTimeDl.sum",
    "DRB.IPVolUl.sum",
    "DRB.IPTimeUl.sum",
)
"""Counters of TS 32.425 that are taken in; indicators are computed of them (``trunkline.features.kpi``)."""


def _counter_fields(namespace: dict[str, object]) -> None:
    namespace["__doc__"] = (
        "One row per cell, period and counter set: what TS 32.425 counts in it. ``features.kpi.joined_sets`` gives "
        "one row per cell and period."
    )
    namespace["__module__"] = __name__
    namespace["table"] = Table(key=("cell_name", "begin_at", "counter_set"), event_at="begin_at")
    annotations: dict[str, object] = {"table": ClassVar[Table], "cell_name": Text, "begin_at": Instant}
    namespace["cell_name"] = field("The cell", max_length=120, aliases=("CellName", "CellTower", "object"))
    namespace["begin_at"] = field("Begin of the period")
    annotations["counter_set"] = Text
    namespace["counter_set"] = field(
        "The counter set that the row is of; where a source does not name it, a row has all counters",
        impute="all",
        aliases=("meas_info", "measInfoId"),
    )
    annotations["granularity_s"] = Number
    namespace["granularity_s"] = field("Length of the period", unit="s", minimum=1)
    for name in COUNTED:
        annotations[column_of(name)] = Number | None
        namespace[column_of(name)] = field(name, unit=COUNTERS[name].unit, minimum=0, aliases=(name,))
    namespace["__annotations__"] = annotations


CellCounters: type[Contract] = types.new_class("CellCounters", (Contract,), {}, _counter_fields)


class CellFault(Contract):
    """One row per fault that is known of a cell: what a team has written down, or a simulator injected."""

    table: ClassVar[Table] = Table(key=("cell_name", "begin_at"), event_at="begin_at")

    cell_name: Text = field("The cell", max_length=120, aliases=("CellName", "CellTower"))
    kind: Literal["sleeping", "interference", "congestion", "hardware", "reset"] = field("What was wrong")
    begin_at: Instant = field("Begin of the first period with the fault")
    end_at: Instant = field("End of the last period with it")


class CellSite(Contract):
    """One row per cell: where it stands, for the map."""

    table: ClassVar[Table] = Table(key=("cell_name",))

    cell_name: Text = field("The cell", max_length=120, aliases=("CellName", "CellTower"))
    latitude: Number | None = field("Degrees north, WGS 84", unit="deg", minimum=-90, maximum=90, aliases=("lat",))
    longitude: Number | None = field(
        "Degrees east, WGS 84", unit="deg", minimum=-180, maximum=180, aliases=("lon", "lng", "long")
    )


class CellPeriod(Contract):
    """One row per cell and period of measurement.

    The usual export tells the time of day and no date, so rows of one cell and time repeat and have no key.
    """

    table: ClassVar[Table] = Table()

    time_of_day: Text | None = field(
        "Begin of the period, by the clock of the network", pattern=r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?",
        aliases=("Time",),
    )  # fmt: skip
    cell_name: Text = field("The cell", max_length=120, aliases=("CellName", "CellTower"))
    prb_usage_ul: Number | None = field(
        "Physical resource blocks in use, uplink", unit="%", minimum=0, maximum=100, aliases=("PRBUsageUL",)
    )
    prb_usage_dl: Number | None = field("The same, downlink", unit="%", minimum=0, maximum=100, aliases=("PRBUsageDL",))
    mean_throughput_dl_mbps: Number | None = field(unit="Mbit/s", minimum=0, aliases=("meanThr_DL",))
    mean_throughput_ul_mbps: Number | None = field(unit="Mbit/s", minimum=0, aliases=("meanThr_UL",))
    max_throughput_dl_mbps: Number | None = field(unit="Mbit/s", minimum=0, aliases=("maxThr_DL",))
    max_throughput_ul_mbps: Number | None = field(unit="Mbit/s", minimum=0, aliases=("maxThr_UL",))
    mean_users_dl: Number | None = field("Active handsets, mean of the period", minimum=0, aliases=("meanUE_DL",))
    mean_users_ul: Number | None = field(minimum=0, aliases=("meanUE_UL",))
    max_users_dl: Number | None = field("Active handsets, most of the period", minimum=0, aliases=("maxUE_DL",))
    max_users_ul: Number | None = field(minimum=0, aliases=("maxUE_UL",))
    max_users_ul_dl: Number | None = field(minimum=0, aliases=("maxUE_UL+DL", "maxUE_UL_DL"))
    is_unusual: Flag | None = field("What an expert said of the period; null where nobody did", aliases=("Unusual",))


class Customer(Contract):
    """One row per customer and serving cell."""

    table: ClassVar[Table] = Table(key=("customer_number", "cell_name"))

    customer_number: Integer = field("Number by which usage names the customer", pii="subscriber", aliases=("Index",))
    cell_name: Text = field("The serving cell", max_length=120, aliases=("CellTower", "CellName"))
    tenure_months: Integer | None = field(unit="months", minimum=0, aliases=("tenure",))
    phone_service: Flag | None = field(aliases=("PhoneService",))
    multiple_lines: Literal["Yes", "No", "No phone service"] | None = field(aliases=("MultipleLines",))
    internet_service: Literal["DSL", "Fiber optic", "No"] | None = field(aliases=("InternetService",))


class Usage(Contract):
    """One row per customer and month of use, in no known order; means a month. The account has no key of its own."""

    table: ClassVar[Table] = Table()

    account_id: Text = field(
        "Characters 4 to 10 are the customer's number", pii="subscriber", max_length=40, aliases=("Customer_ID",)
    )
    roam_mean: Number | None = field("Roaming calls", unit="1/month", minimum=0)
    change_mou: Number | None = field("Change of the month's minutes against the months before", unit="min/month")
    drop_vce_mean: Number | None = field("Dropped voice calls", unit="1/month", minimum=0)
    drop_dat_mean: Number | None = field("Dropped data calls", unit="1/month", minimum=0)
    blck_vce_mean: Number | None = field("Blocked voice calls", unit="1/month", minimum=0)
    blck_dat_mean: Number | None = field("Blocked data calls", unit="1/month", minimum=0)
    plcd_vce_mean: Number | None = field("Attempted voice calls", unit="1/month", minimum=0)
    plcd_dat_mean: Number | None = field("Attempted data calls", unit="1/month", minimum=0)
    comp_vce_mean: Number | None = field("Completed voice calls", unit="1/month", minimum=0)
    comp_dat_mean: Number | None = field("Completed data calls", unit="1/month", minimum=0)
    peak_vce_mean: Number | None = field("Voice calls at peak hours", unit="1/month", minimum=0)
    peak_dat_mean: Number | None = field("Data calls at peak hours", unit="1/month", minimum=0)
    mou_peav_mean: Number | None = field("Voice minutes at peak hours", unit="min/month", minimum=0)
    mou_pead_mean: Number | None = field("Data minutes at peak hours", unit="min/month", minimum=0)
    opk_vce_mean: Number | None = field("Voice calls off peak", unit="1/month", minimum=0)
    opk_dat_mean: Number | None = field("Data calls off peak", unit="1/month", minimum=0)
    mou_opkv_mean: Number | None = field("Voice minutes off peak", unit="min/month", minimum=0)
    mou_opkd_mean: Number | None = field("Data minutes off peak", unit="min/month", minimum=0)
    drop_blk_mean: Number | None = field("Dropped or blocked calls", unit="1/month", minimum=0)
    callfwdv_mean: Number | None = field("Forwarded calls", unit="1/month", minimum=0)
    callwait_mean: Number | None = field("Calls that waited", unit="1/month", minimum=0)

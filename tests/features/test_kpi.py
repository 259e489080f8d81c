"""Every indicator against a value worked out by hand, and what counters need before: units, wraps, resets, gaps."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pytest

from trunkline.engine import Engine, open_engine
from trunkline.errors import UnknownNameError, UseCaseError
from trunkline.features.kpi import (
    COUNTERS,
    KPIS,
    column_of,
    converted,
    increments,
    kpis,
    missed_periods,
    row_kpis,
    unusable,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

Counted = Mapping[str, tuple[float | None, ...]]

BY_HAND: dict[str, tuple[Counted, float]] = {
    # counters: values of two periods of 900 s; then what the indicator is
    "nr_rrc_setup_success": ({"RRC.ConnEstabSucc.sum": (90, 20), "RRC.ConnEstabAtt.sum": (100, 100)}, 55.0),
    "nr_ng_setup_success": ({"UECNTX.ConnEstabSucc.sum": (49, 1), "UECNTX.ConnEstabAtt.sum": (50, 50)}, 50.0),
    "nr_drb_setup_success": ({"DRB.EstabSucc.sum": (30, 6), "DRB.EstabAtt.sum": (30, 10)}, 90.0),
    "nr_drb_accessibility": (
        {
            "RRC.ConnEstabSucc.sum": (9, 9),
            "RRC.ConnEstabAtt.sum": (10, 10),
            "UECNTX.ConnEstabSucc.sum": (8, 8),
            "UECNTX.ConnEstabAtt.sum": (10, 10),
            "DRB.EstabSucc.sum": (5, 5),
            "DRB.EstabAtt.sum": (10, 10),
        },
        36.0,
    ),
    "nr_pdu_session_setup_success": (
        {"SM.PDUSessionSetupSucc.sum": (7, 0), "SM.PDUSessionSetupReq.sum": (8, 0)},
        87.5,
    ),
    "nr_qos_flow_setup_success": ({"QF.EstabSuccNbr.sum": (1, 2), "QF.EstabAttNbr.sum": (2, 2)}, 75.0),
    "nr_qos_flow_drops": ({"QF.RelActNbr.sum": (1, 3), "QF.SessionTimeUE": (3600, 3600)}, 2.0),
    "nr_rrc_reestablishment_success": (
        {
            "RRC.ReEstabSuccWithUeContext": (3, 1),
            "RRC.ReEstabSuccWithoutUeContext": (1, 1),
            "RRC.ReEstabAtt": (5, 3),
        },
        75.0,
    ),
    "nr_rrc_resume_success": ({"RRC.ResumeSucc.sum": (19, 0), "RRC.ResumeAtt.sum": (20, 20)}, 47.5),
    "nr_ho_preparation_success": ({"MM.HoPrepInterSucc": (4, 4), "MM.HoPrepInterReq": (4, 6)}, 80.0),
    "nr_ho_allocation_success": ({"MM.HoResAlloInterSucc": (3, 3), "MM.HoResAlloInterReq": (4, 4)}, 75.0),
    "nr_ho_execution_success": (
        {
            "MM.HoExeInterSucc": (1, 1),
            "MM.HoExeIntraSucc": (8, 9),
            "MM.HoExeInterReq": (2, 2),
            "MM.HoExeIntraReq": (8, 8),
        },
        95.0,
    ),
    "nr_ho_success": (
        {
            "MM.HoPrepInterSucc": (4, 4),
            "MM.HoPrepInterReq": (5, 5),
            "MM.HoExeInterSucc": (2, 2),
            "MM.HoExeInterReq": (4, 4),
        },
        40.0,
    ),
    "nr_prb_used_dl": ({"RRU.PrbUsedDl": (50, 100), "RRU.PrbAvailDl": (100, 200)}, 50.0),
    "nr_prb_used_ul": ({"RRU.PrbUsedUl": (10, 0), "RRU.PrbAvailUl": (50, 50)}, 10.0),
    "nr_initial_block_errors_dl": ({"TB.IntialErrNbrDl": (10, 30), "TB.TotNbrDlInitial": (200, 200)}, 10.0),
    "nr_initial_block_errors_ul": ({"TB.ErrNbrUlInitial": (1, 0), "TB.TotNbrUlInit": (3, 1)}, 25.0),
    "nr_residual_block_errors_dl": ({"TB.ResidualErrNbrDl": (1, 0), "TB.TotNbrDlInitial": (500, 500)}, 0.1),
    "nr_residual_block_errors_ul": ({"TB.ResidualErrNbrUl": (0, 2), "TB.TotNbrUlInit": (50, 50)}, 2.0),
    "nr_paging_discarded": (
        {
            "PAG.DiscardedNbrCnInitiated": (1, 0),
            "PAG.DiscardedNbrRanInitiated": (0, 1),
            "PAG.ReceivedNbrCnInitiated": (30, 10),
            "PAG.ReceivedNbrRanIntiated": (5, 5),
        },
        4.0,
    ),
    "nr_active_users_dl": ({"DRB.MeanActiveUeDl": (2, 4)}, 3.0),
    "nr_active_users_ul": ({"DRB.MeanActiveUeUl": (1, None)}, 1.0),
    "nr_volume": ({"DRB.PdcpSduVolumeDL.sum": (7000, 9000), "DRB.PdcpSduVolumeUL.sum": (3000, 5000)}, 3.0),
    "nr_cell_throughput_dl": ({"DRB.PdcpSduVolumeDL.sum": (9000, 18000)}, 15.0),
    "nr_energy_efficiency": (
        {"DRB.PdcpSduVolumeDL.sum": (30, 30), "DRB.PdcpSduVolumeUL.sum": (6, 6), "PEE.Energy": (1, 1)},
        10.0,
    ),
    "lte_rrc_setup_success": ({"RRC.ConnEstabSucc.sum": (1, 3), "RRC.ConnEstabAtt.sum": (4, 4)}, 50.0),
    "lte_s1_setup_success": ({"S1SIG.ConnEstabSucc": (9, 10), "S1SIG.ConnEstabAtt": (10, 10)}, 95.0),
    "lte_erab_setup_success": (
        {
            "ERAB.EstabInitSuccNbr.sum": (8, 8),
            "ERAB.EstabAddSuccNbr.sum": (1, 0),
            "ERAB.EstabInitAttNbr.sum": (9, 9),
            "ERAB.EstabAddAttNbr.sum": (1, 1),
        },
        85.0,
    ),
    "lte_erab_accessibility": (
        {
            "RRC.ConnEstabSucc.sum": (1, 0),
            "RRC.ConnEstabAtt.sum": (1, 1),
            "S1SIG.ConnEstabSucc": (1, 1),
            "S1SIG.ConnEstabAtt": (2, 2),
            "ERAB.EstabInitSuccNbr.sum": (4, 4),
            "ERAB.EstabInitAttNbr.sum": (5, 5),
        },
        20.0,
    ),
    "lte_erab_drops": ({"ERAB.RelActNbr.sum": (2, 1), "ERAB.SessionTimeUE": (1800, 900)}, 4.0),
    "lte_rrc_reestablishment_success": ({"RRC.ConnReEstabSucc.sum": (1, 1), "RRC.ConnReEstabAtt.sum": (5, 3)}, 25.0),
    "lte_ip_throughput_dl": ({"DRB.IPVolDl.sum": (90_000, 30_000), "DRB.IPTimeDl.sum": (2_000, 2_000)}, 30.0),
    "lte_ip_throughput_ul": ({"DRB.IPVolUl.sum": (1_000, 0), "DRB.IPTimeUl.sum": (400, 0)}, 2.5),
    "lte_cell_availability": ({"RRU.CellUnavailableTime.sum": (0, 90)}, 95.0),
    "lte_ho_success": (
        {
            "HO.IntraEnbOutSucc.sum": (3, 3),
            "HO.InterEnbOutSucc.sum": (2, 1),
            "HO.IntraEnbOutAtt.sum": (3, 3),
            "HO.InterEnbOutAtt.sum": (3, 3),
        },
        75.0,
    ),
    "lte_block_errors_dl": ({"TB.ErrNbrDl.sum": (5, 15), "TB.TotNbrDl.sum": (100, 100)}, 10.0),
    "lte_block_errors_ul": ({"TB.ErrNbrUl.sum": (1, 1), "TB.TotNbrUl.sum": (20, 20)}, 5.0),
    "lte_paging_discarded": ({"PAG.DiscardedNbr": (1, 0), "PAG.ReceivedNbr": (150, 50)}, 0.5),
    "prb_load_dl": ({"RRU.PrbTotDl": (20, 60)}, 40.0),
    "prb_load_ul": ({"RRU.PrbTotUl": (5, 10)}, 7.5),
    "connected_users": ({"RRC.ConnMean": (10, 11)}, 10.5),
    "connected_users_peak": ({"RRC.ConnMax": (31, 17)}, 31.0),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("duckdb", threads=1) as opened:
        yield opened


def rows(engine: Engine, counters: Counted, seconds: tuple[int, ...] = (900, 900)) -> "ir.Table":
    columns = {column_of(name): pa.array(values, pa.float64()) for name, values in counters.items()}
    count = len(next(iter(counters.values())))
    return engine.table(pa.table({"cell": ["a"] * count, "granularity_s": [*seconds][:count], **columns}))


def one(engine: Engine, name: str, counters: Counted, **given: tuple[int, ...]) -> object:
    (row,) = engine.arrow(kpis(rows(engine, counters, **given), [name], by=["cell"])).to_pylist()
    return row[name]


def test_there_is_a_value_by_hand_for_every_indicator() -> None:
    assert set(BY_HAND) == set(KPIS)
    assert len(KPIS) >= 25
    assert len({counter for kpi in KPIS.values() for counter in kpi.counters}) >= 60


@pytest.mark.parametrize("name", KPIS)
def test_the_ratio_of_sums_is_what_it_is_by_hand(engine: Engine, name: str) -> None:
    counters, wanted = BY_HAND[name]
    assert set(counters) == set(KPIS[name].counters)
    assert one(engine, name, counters) == pytest.approx(wanted, rel=1e-12)
    assert KPIS[name].low <= wanted <= (KPIS[name].high or float("inf"))


@pytest.mark.parametrize("name", KPIS)
def test_nothing_gives_null(engine: Engine, name: str) -> None:
    counters = BY_HAND[name][0]
    assert one(engine, name, dict.fromkeys(counters, (None, None))) is None
    if KPIS[name].formula.__class__.__name__ in {"Ratio", "Product"} and "granularity_s" not in counters:
        zeros = dict.fromkeys(counters, (0.0, 0.0))
        assert one(engine, name, zeros, seconds=(0, 0)) is None


def test_by_rows_it_is_what_it_is_by_groups_of_one(engine: Engine) -> None:
    counters: dict[str, tuple[float | None, ...]] = {}
    for values, _ in BY_HAND.values():
        counters.update(values)
    given = rows(engine, counters).mutate(place=ibis.row_number())
    held = engine.table(engine.arrow(given))
    names = sorted(KPIS)
    grouped = engine.arrow(kpis(held, names, by=["place"]).order_by("place").select(*names)).to_pylist()
    alone = engine.arrow(row_kpis(held, names).order_by("place").select(*names)).to_pylist()
    assert len(alone) == 2
    for one, other in zip(alone, grouped, strict=True):
        known = {name: value for name, value in other.items() if value is not None}
        assert {name: value for name, value in one.items() if value is not None} == pytest.approx(known, rel=1e-12)
        assert len(known) > len(names) // 2
    with pytest.raises(UnknownNameError, match="indicator"):
        row_kpis(held, ["no_such"])


def test_every_counter_is_described_and_has_a_column_of_its_own() -> None:
    used = {counter for kpi in KPIS.values() for counter in kpi.counters}
    assert used <= set(COUNTERS)
    assert len({counter.column for counter in COUNTERS.values()}) == len(COUNTERS)
    for counter in COUNTERS.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", counter.column)
        assert re.search(r"TS (28\.552|32\.425) \d", counter.source)
    for kpi in KPIS.values():
        assert (kpi.better == "neither") or kpi.low == 0


def test_a_period_without_one_of_the_counters_does_not_count(engine: Engine) -> None:
    counters = {"RRC.ConnEstabSucc.sum": (8.0, None, 5.0), "RRC.ConnEstabAtt.sum": (10.0, 1000.0, None)}
    assert one(engine, "nr_rrc_setup_success", counters, seconds=(900, 900, 900)) == 80.0


def test_means_are_weighted_by_time(engine: Engine) -> None:
    assert one(engine, "connected_users", {"RRC.ConnMean": (10.0, 40.0)}, seconds=(900, 300)) == 17.5


def test_a_table_that_lacks_counters_gives_null_and_says_so(engine: Engine) -> None:
    table = rows(engine, {"RRC.ConnEstabAtt.sum": (1.0, 1.0)})
    assert unusable(table, ["nr_rrc_setup_success"]) == {"nr_rrc_setup_success": ("RRC.ConnEstabSucc.sum",)}
    assert one(engine, "nr_rrc_setup_success", {"RRC.ConnEstabAtt.sum": (1.0, 1.0)}) is None
    with pytest.raises(UnknownNameError, match="no indicator"):
        kpis(table, ["best"], by=["cell"])


def test_units_of_vendors_become_those_of_the_specification(engine: Engine) -> None:
    table = rows(engine, {"DRB.IPVolDl.sum": (1.5, 2.0), "DRB.IPTimeDl.sum": (3.0, 4.0), "PEE.Energy": (7.2e6, 0.0)})
    changed = converted(table, {"DRB.IPVolDl.sum": "MB", "DRB.IPTimeDl.sum": "s", "PEE.Energy": "J"})
    found = engine.arrow(changed).to_pydict()
    assert found["drb_ip_vol_dl"] == pytest.approx([12_000.0, 16_000.0], rel=1e-12)
    assert found["drb_ip_time_dl"] == pytest.approx([3_000.0, 4_000.0], rel=1e-12)
    assert found["pee_energy"] == pytest.approx([2.0, 0.0], rel=1e-12)
    with pytest.raises(UseCaseError, match="never h"):
        converted(table, {"DRB.IPVolDl.sum": "h"})
    with pytest.raises(UnknownNameError, match="no unit"):
        converted(table, {"DRB.IPVolDl.sum": "furlong"})


def series(engine: Engine, totals: list[float | None], minutes: list[int]) -> "ir.Table":
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    return engine.table(
        pa.table(
            {
                "cell": ["a"] * len(totals),
                "begin_at": pa.array([begin + timedelta(minutes=at) for at in minutes], pa.timestamp("us", "UTC")),
                "granularity_s": [900] * len(totals),
                "rrc_conn_estab_att": pa.array(totals, pa.float64()),
            }
        )
    )


@pytest.mark.parametrize(
    ("totals", "bits", "wanted", "resets"),
    [
        ([10, 15, 15, 40], 32, [None, 5, 0, 25], [False] * 4),
        ([2**32 - 10, 5], 32, [None, 15], [False, False]),  # wrapped
        ([2**31, 5, 9], 32, [None, 5, 4], [False, True, False]),  # restarted far from the end of the range
        ([2**32 - 10, 5], None, [None, 5], [False, True]),
        ([10, None, 30], 32, [None, None, 20], [False] * 3),
    ],
)
def test_running_totals_wrap_and_restart(
    engine: Engine, totals: list[float | None], bits: int | None, wanted: list[float | None], resets: list[bool]
) -> None:
    table = series(engine, totals, [15 * place for place in range(len(totals))])
    found = increments(table, ["RRC.ConnEstabAtt.sum"], by=["cell"], at="begin_at", bits=bits)
    rows_found = engine.arrow(found.order_by("begin_at")).to_pydict()
    assert rows_found["rrc_conn_estab_att"] == wanted
    assert rows_found["is_reset"] == resets


def test_missing_periods_are_flagged(engine: Engine) -> None:
    found = missed_periods(series(engine, [1, 2, 3, 4], [0, 15, 60, 75]), by=["cell"])
    assert engine.arrow(found.order_by("begin_at")).column("missed_periods").to_pylist() == [0, 0, 2, 0]

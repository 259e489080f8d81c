"""Counters of a simulated fleet, block of cells by block of cells, with injected faults.

A cell's traffic follows its size and the hour; counters follow from traffic and from what is wrong:

- *sleeping*: the cell is on air and available, and nobody comes: every counter of traffic is 0;
- *interference*: uplink blocks arrive broken, the uplink is slow, fewer connections succeed;
- *congestion*: twice the attempts, a tenth of them refused, each handset gets a third downlink;
- *hardware*: half the throughput and volume, out of service for minutes of each period, more drops;
- *reset*: the element restarts, and a period or two count a part of what happened.
"""

from typing import TYPE_CHECKING, Final

from trunkline.features.kpi import column_of
from trunkline.usecases.towers.contracts import COUNTED

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["BEGIN_S", "FAULTS", "PERIODS", "PERIOD_S", "counters_of"]

FAULTS: Final = ("none", "sleeping", "interference", "congestion", "hardware", "reset")
"""Kinds of faults; a cell has one a day at most."""

PERIODS: Final = 96
"""Periods of a day."""

PERIOD_S: Final = 900
"""Length of a period, seconds."""

BEGIN_S: Final = 1_772_409_600
"""2026-03-02T00:00:00Z, a Monday."""


def counters_of(
    rng: "np.random.Generator", names: "npt.NDArray[np.str_]", kind: "Ints", traffic: "Floats"
) -> "pa.Table":
    """Make the counters of a block of cells, cell after cell, period after period.

    Args:
        rng: Where noise comes from.
        names: Of the cells, shape (cells,).
        kind: What is wrong, places in ``FAULTS``, shape (cells, PERIODS).
        traffic: Demand, about 1 in the busy hour of a common cell, before faults, shape (cells, PERIODS).

    Returns:
        One row per cell and period, as ``CellCounters`` names its columns.
    """
    import numpy as np
    import pyarrow as pa

    asleep, interfered, congested, degraded, reset = (kind == FAULTS.index(name) for name in FAULTS[1:])
    demand = np.where(asleep, 0.0, np.where(congested, 2.0 * traffic, np.where(degraded, 0.6 * traffic, traffic)))

    def share(usual: float, *, spread: float, **faulty: float) -> "Floats":
        """A failure rate with its noise, and what each fault makes of it."""
        rate = usual * rng.lognormal(0.0, spread, kind.shape)
        for name, value in faulty.items():
            at = kind == FAULTS.index(name)
            rate[at] = value * rng.lognormal(0.0, spread, int(at.sum()))
        return np.clip(rate, 0.0, 0.9)

    attempts = rng.poisson(220.0 * demand)
    rrc = rng.binomial(attempts, 1 - share(0.008, spread=0.3, interference=0.05, congestion=0.12, hardware=0.02))
    s1 = rng.binomial(rrc, 1 - share(0.003, spread=0.3))
    erabs = rng.poisson(1.1 * s1)
    setup = rng.binomial(erabs, 1 - share(0.006, spread=0.3, congestion=0.09, hardware=0.02))
    sessions = 40.0 * setup * rng.lognormal(0.0, 0.1, kind.shape)
    drops = rng.poisson(setup * share(0.004, spread=0.3, interference=0.02, hardware=0.03))
    moves = rng.poisson(0.4 * setup)
    far = rng.binomial(moves, 0.7)
    lost = share(0.02, spread=0.3, interference=0.06, congestion=0.05)
    volume_dl = 6_000.0 * setup * rng.lognormal(0.0, 0.25, kind.shape) * np.where(degraded, 0.5, 1.0)
    volume_ul = 700.0 * setup * rng.lognormal(0.0, 0.25, kind.shape)
    speed_dl = 24.0 / (1 + 0.5 * traffic) * np.where(congested, 0.33, 1.0) * np.where(degraded, 0.5, 1.0)
    speed_ul = 6.0 / (1 + 0.3 * traffic) * np.where(interfered, 0.3, 1.0) * np.where(degraded, 0.6, 1.0)
    blocks_ul = np.round(volume_ul / 1.5)
    broken = share(0.07, spread=0.15, interference=0.3)
    found = {
        "RRC.ConnEstabAtt.sum": attempts,
        "RRC.ConnEstabSucc.sum": rrc,
        "S1SIG.ConnEstabAtt": rrc,
        "S1SIG.ConnEstabSucc": s1,
        "ERAB.EstabInitAttNbr.sum": erabs,
        "ERAB.EstabInitSuccNbr.sum": setup,
        "ERAB.RelActNbr.sum": drops,
        "ERAB.SessionTimeUE": sessions,
        "HO.IntraEnbOutAtt.sum": moves - far,
        "HO.IntraEnbOutSucc.sum": rng.binomial(moves - far, 1 - lost / 2),
        "HO.InterEnbOutAtt.sum": far,
        "HO.InterEnbOutSucc.sum": rng.binomial(far, 1 - lost),
        "RRU.CellUnavailableTime.sum": np.where(degraded, rng.uniform(30, 400, kind.shape), 0.0),
        "TB.TotNbrDl.sum": np.round(volume_dl / 2.0),
        "TB.TotNbrUl.sum": blocks_ul,
        "TB.ErrNbrUl.sum": np.round(blocks_ul * broken),
        "DRB.IPVolDl.sum": volume_dl,
        "DRB.IPTimeDl.sum": volume_dl / (speed_dl * rng.lognormal(0.0, 0.1, kind.shape)),
        "DRB.IPVolUl.sum": volume_ul,
        "DRB.IPTimeUl.sum": volume_ul / (speed_ul * rng.lognormal(0.0, 0.1, kind.shape)),
    }
    part = np.where(reset, rng.uniform(0.02, 0.35, kind.shape), 1.0)
    begin = (BEGIN_S + PERIOD_S * np.arange(PERIODS)) * 1_000_000
    columns: dict[str, pa.Array] = {
        "cell_name": pa.array(names).take(pa.array(np.repeat(np.arange(len(names)), PERIODS))),
        "begin_at": pa.array(np.tile(begin, len(names)), pa.timestamp("us", tz="UTC")),
        "counter_set": pa.repeat(pa.scalar("all"), kind.size),
        "granularity_s": pa.array(np.full(kind.size, float(PERIOD_S))),
    }
    for name in COUNTED:
        columns[column_of(name)] = pa.array(np.floor(found[name] * part).ravel().astype(np.float64))
    return pa.table(columns)

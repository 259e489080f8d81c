"""A simulated fleet: a day of cells with injected faults, their counters, their customers and what these use.

Traffic of a cell follows its size and the hour. A share of the cells has a fault for some hours of the day: a *sleeping
cell* carries nothing though the hour is busy; *interference* takes uplink throughput and fills uplink blocks;
*congestion* fills the downlink and halves what a handset gets; *degraded hardware* caps the throughput; a *reset* makes
counters lose a part of a period or two. Customers of such a cell drop and lose more calls, but for resets. An expert
marks faulty periods as unusual, misses some and sees some that are none, so the best possible F1 is that of the true
faults against the expert's marks; resets spoil counters, and no measurement of a period.

Cells come in blocks, each with random numbers of its own; a large fleet is a stream of them and never in memory whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from trunkline.spec import Simulation
from trunkline.usecases.towers.fleet import BEGIN_S, FAULTS, PERIOD_S, PERIODS, counters_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["FAULTS", "simulate"]

_FAULTY_SHARE: Final = 0.3
_MISSED: Final = 0.03
_MISTAKEN: Final = 0.01
_CUSTOMERS_PER_CELL: Final = 5
_FIRST_NUMBER: Final = 1001
_MOST_CUSTOMERS: Final = 200_000
_BLOCK: Final = 1_000
_MOST_IN_MEMORY: Final = 5_000
_RESET: Final = FAULTS.index("reset")


@dataclass(frozen=True)
class _Fleet:
    """What is drawn of every cell at once: a few numbers each."""

    seed: int
    names: "npt.NDArray[np.str_]"
    fault: "Ints"
    begin: "Ints"
    end: "Ints"

    def blocks(self) -> "Iterator[tuple[pa.Table, pa.Table, npt.NDArray[np.bool_]]]":
        """Measurements, counters and the expert's marks of one block of cells after the other."""
        import numpy as np
        import pyarrow as pa

        for first in range(0, len(self.names), _BLOCK):
            part = slice(first, first + _BLOCK)
            rng = np.random.default_rng([self.seed, 1 + first // _BLOCK])
            period = np.arange(PERIODS)
            active = (period >= self.begin[part, None]) & (period < self.end[part, None])
            kind = np.where(active, self.fault[part, None], 0)
            bad = (kind > 0) & (kind != _RESET)
            noise = rng.random(kind.shape)
            unusual = np.where(bad, noise >= _MISSED, noise < _MISTAKEN)
            traffic = _traffic(rng, kind.shape)
            measured = pa.table(_periods(rng, self.names[part], kind, unusual, traffic))
            yield measured, counters_of(rng, self.names[part], kind, traffic), unusual

    def truth(self) -> "pa.Table":
        """One row per fault."""
        import numpy as np
        import pyarrow as pa

        bad = np.flatnonzero(self.fault)
        begin, end = (
            pa.array((BEGIN_S + PERIOD_S * one[bad]) * 1_000_000, pa.timestamp("us", tz="UTC"))
            for one in (self.begin, np.minimum(self.end, PERIODS))
        )
        kinds = pa.array(FAULTS).take(pa.array(self.fault[bad]))
        return pa.table({"cell_name": pa.array(self.names[bad]), "kind": kinds, "begin_at": begin, "end_at": end})


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make a fleet of ``rows`` cells.

    Args:
        rows: Cells, at least 1; each has 96 periods of a quarter of an hour.
        seed: The same seed gives the same rows.

    Returns:
        Tables ``thresholds`` (in no order), ``counters``, ``faults`` (the truth), ``cells`` (where they stand),
        ``customers`` and ``usage`` under the contracts' names, and the best F1 for ``is_unusual``.
        Of more than 5,000 cells the first two are streams.
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng([seed, 0])
    fault = np.where(rng.random(rows) < _FAULTY_SHARE, rng.integers(1, len(FAULTS), rows), 0)
    begin = rng.integers(28, 60, rows)  # of the busy part of the day
    end = begin + np.where(fault == _RESET, rng.integers(1, 3, rows), rng.integers(12, 33, rows))
    names = np.char.add(
        np.char.mod("%d", np.arange(rows) // 3 + 1), np.take(["ALTE", "BLTE", "CLTE"], np.arange(rows) % 3)
    )
    fleet = _Fleet(seed, names, fault, begin, end)
    others = {
        "faults": fleet.truth(),
        "cells": _sites(seed, names),
        **{name: pa.table(one) for name, one in _people(rng, names, fault).items()},
    }
    bad = int((np.minimum(end, PERIODS) - begin)[(fault > 0) & (fault != _RESET)].sum())
    if rows > _MOST_IN_MEMORY:  # the marks are not drawn yet: their mean is the best score
        found = (1 - _MISSED) * bad
        marked = bad + found + _MISTAKEN * (rows * PERIODS - bad)
        streams = {"thresholds": _stream(fleet, 0), "counters": _stream(fleet, 1)}
        return Simulation(others, best_score=2 * found / marked if bad else 0.0, metric="f1", streams=streams)
    made = list(fleet.blocks())
    tables = {
        "thresholds": pa.concat_tables([one for one, _, _ in made]),
        "counters": pa.concat_tables([one for _, one, _ in made]),
        **others,
    }
    period = np.arange(PERIODS)
    active = (period >= begin[:, None]) & (period < end[:, None]) & ((fault > 0) & (fault != _RESET))[:, None]
    unusual = np.concatenate([one for _, _, one in made])
    hits, marked = int((unusual & active).sum()), int(active.sum()) + int(unusual.sum())
    return Simulation(tables, best_score=2 * hits / marked if marked else 0.0, metric="f1")


def _sites(seed: int, names: "npt.NDArray[np.str_]") -> "pa.Table":
    """Positions, three cells on a mast: towns of many masts in the middle of the country, and masts between them."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng([seed, 0, 1])
    mast = np.arange(len(names)) // 3
    masts = int(mast[-1]) + 1
    towns = rng.normal(0.0, 0.45, (max(1, masts // 60) + 2, 2))
    around = towns[rng.integers(0, len(towns), masts)] + rng.normal(0.0, 0.04, (masts, 2))
    place = np.where(rng.random((masts, 1)) < 0.7, around, rng.normal(0.0, 0.6, (masts, 2)))
    north, east = (np.clip(part, -2.0, 2.0)[mast] for part in place.T)
    turned = np.radians(120.0 * (np.arange(len(names)) % 3))  # each antenna is a few metres off, in its own direction
    return pa.table(
        {
            "cell_name": pa.array(names),
            "latitude": pa.array(np.round(52.1 + north + 5e-5 * np.cos(turned), 6)),
            "longitude": pa.array(np.round(5.4 + 1.6 * east + 8e-5 * np.sin(turned), 6)),
        }
    )


def _stream(fleet: _Fleet, which: Literal[0, 1]) -> "pa.RecordBatchReader":
    import pyarrow as pa

    first = (measured if which == 0 else counted for measured, counted, _ in fleet.blocks())
    begun = next(first)

    def batches() -> "Iterator[pa.RecordBatch]":
        yield from begun.combine_chunks().to_batches()
        for table in first:
            yield from table.combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(begun.schema, batches())


def _traffic(rng: "np.random.Generator", shape: tuple[int, ...]) -> "Floats":
    import numpy as np

    hours = np.arange(PERIODS) / 4
    curve = 0.25 + 0.75 * np.exp(-0.5 * ((hours - 13.0) / 4.5) ** 2) + 0.35 * np.exp(-0.5 * ((hours - 20.5) / 1.5) ** 2)
    size = rng.gamma(4.0, 0.25, shape[0])
    return np.asarray(size[:, None] * curve * rng.lognormal(0.0, 0.18, shape), dtype=np.float64)


def _periods(
    rng: "np.random.Generator",
    names: "npt.NDArray[np.str_]",
    kind: "Ints",
    unusual: "npt.NDArray[np.bool_]",
    traffic: "Floats",
) -> "dict[str, pa.Array]":
    import numpy as np
    import pyarrow as pa

    asleep, interfered, congested, degraded = (kind == FAULTS.index(name) for name in FAULTS[1:-1])
    traffic = np.where(asleep, 0.0, np.where(congested, 2.2 * traffic, traffic))

    usage_dl = np.minimum(9.0 * traffic * rng.lognormal(0.0, 0.1, kind.shape), 100.0)
    usage_ul = np.minimum(7.0 * traffic * np.where(interfered, 3.5, 1.0) * rng.lognormal(0.0, 0.1, kind.shape), 100.0)
    users = 1.0 + traffic * rng.lognormal(0.0, 0.1, kind.shape)
    peak = 2.0 + np.round(4.0 * traffic + rng.gamma(1.0, 1.0, kind.shape))
    throughput = np.where(congested, 0.45, 1.0) * np.where(degraded, 0.3, 1.0)
    mean_dl = 0.55 * traffic * throughput * rng.lognormal(0.0, 0.2, kind.shape)
    mean_ul = 0.06 * traffic * np.where(interfered, 0.25, 1.0) * np.where(degraded, 0.5, 1.0)
    columns = {
        "prb_usage_ul": usage_ul,
        "prb_usage_dl": usage_dl,
        "mean_throughput_dl_mbps": mean_dl,
        "mean_throughput_ul_mbps": mean_ul * rng.lognormal(0.0, 0.2, kind.shape),
        "max_throughput_dl_mbps": np.where(degraded, 6.0, 35.0) * np.tanh(traffic) * rng.lognormal(0, 0.2, kind.shape),
        "max_throughput_ul_mbps": np.where(interfered, 0.5, 2.0) * np.tanh(traffic) * rng.lognormal(0, 0.2, kind.shape),
        "mean_users_dl": np.where(asleep, 0.0, users),
        "mean_users_ul": np.where(asleep, 0.0, 1.0 + 0.6 * (users - 1.0)),
        "max_users_dl": np.where(asleep, 0.0, peak),
        "max_users_ul": np.where(asleep, 0.0, np.round(0.7 * peak)),
        "max_users_ul_dl": np.where(asleep, 0.0, peak + np.round(0.7 * peak)),
    }
    order = rng.permutation(kind.size)
    times = pa.array([f"{period // 4:02d}:{period % 4 * 15:02d}" for period in range(PERIODS)])
    return {
        "time_of_day": times.take(pa.array(order % PERIODS)),
        "cell_name": pa.array(names).take(pa.array(order // PERIODS)),
        **{name: pa.array(np.round(values.ravel()[order], 4)) for name, values in columns.items()},
        "is_unusual": pa.array(unusual.ravel()[order]),
    }


def _people(
    rng: "np.random.Generator", names: "npt.NDArray[np.str_]", fault: "Ints"
) -> "dict[str, dict[str, pa.Array]]":
    import numpy as np
    import pyarrow as pa

    count = min(len(names) * _CUSTOMERS_PER_CELL, _MOST_CUSTOMERS)
    cell = np.arange(count) % len(names)
    number = _FIRST_NUMBER + np.arange(count)
    phone = rng.random(count) < 0.9
    lines = np.where(phone, rng.choice(["Yes", "No"], count), "No phone service")
    customers = {
        "customer_number": pa.array(number),
        "cell_name": pa.array(names).take(pa.array(cell)),
        "tenure_months": pa.array(rng.integers(0, 73, count)),
        "phone_service": pa.array(phone),
        "multiple_lines": pa.array(lines),
        "internet_service": pa.array(rng.choice(["DSL", "Fiber optic", "No"], count)),
    }
    months = rng.integers(1, 9, count)
    who = np.repeat(np.arange(count), months)
    suffering = np.where((fault[cell[who]] > 0) & (fault[cell[who]] != _RESET), 2.5, 1.0)
    calls = rng.gamma(2.0, 60.0, who.size)
    dropped = calls * 0.03 * suffering * rng.lognormal(0.0, 0.4, who.size)
    blocked = calls * 0.02 * suffering * rng.lognormal(0.0, 0.4, who.size)
    peak = rng.beta(4.0, 3.0, who.size)
    completed = np.maximum(calls - dropped - blocked, 0.0)
    usage = {
        "roam_mean": rng.gamma(0.3, 2.0, who.size),
        "change_mou": rng.normal(-5.0, 80.0, who.size) - 30.0 * (suffering - 1.0),
        "drop_vce_mean": dropped,
        "blck_vce_mean": blocked,
        "plcd_vce_mean": calls,
        "comp_vce_mean": completed,
        "peak_vce_mean": completed * peak,
        "opk_vce_mean": completed * (1.0 - peak),
        "drop_blk_mean": dropped + blocked,
        "callfwdv_mean": rng.gamma(0.1, 0.2, who.size),
        "callwait_mean": rng.gamma(0.5, 1.5, who.size),
    }
    accounts = np.char.add("300", np.char.zfill(np.char.mod("%d", number[who]), 4))
    return {
        "customers": customers,
        "usage": {
            "account_id": pa.array(accounts),
            **{name: pa.array(np.round(values, 3)) for name, values in usage.items()},
        },
    }

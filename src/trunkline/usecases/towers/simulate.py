"""A simulated fleet: a day of cells with injected faults, their customers and what these use.

Traffic of a cell follows its size and the hour. A share of the cells has a fault for some hours of the day: a *sleeping
cell* carries nothing though the hour is busy; *interference* takes uplink throughput and fills uplink blocks;
*congestion* fills the downlink and halves what a handset gets; *degraded hardware* caps the throughput. Customers of
such a cell drop and lose more calls. An expert marks faulty periods as unusual, misses some and sees some that are
none, so the best possible F1 is that of the true faults against the expert's marks.
"""

from typing import TYPE_CHECKING, Final

from trunkline.spec import Simulation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["FAULTS", "simulate"]

FAULTS: Final = ("none", "sleeping", "interference", "congestion", "hardware")
"""Kinds of faults; a cell has one a day at most."""

_PERIODS: Final = 96
_FAULTY_SHARE: Final = 0.3
_MISSED: Final = 0.03
_MISTAKEN: Final = 0.01
_CUSTOMERS_PER_CELL: Final = 5
_FIRST_NUMBER: Final = 1001
_MOST_CUSTOMERS: Final = 8_990_000


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make a fleet of ``rows`` cells.

    Args:
        rows: Cells, at least 1; each has 96 periods of a quarter of an hour.
        seed: The same seed gives the same rows.

    Returns:
        Tables ``thresholds`` (in no order), ``customers`` and ``usage`` under the contract's names, and the best F1 for
        ``is_unusual``.
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    fault = np.where(rng.random(rows) < _FAULTY_SHARE, rng.integers(1, len(FAULTS), rows), 0)
    begin = rng.integers(28, 60, rows)  # of the busy part of the day
    end = begin + rng.integers(12, 33, rows)
    period = np.arange(_PERIODS)
    active = (fault[:, None] > 0) & (period >= begin[:, None]) & (period < end[:, None])
    kind = np.where(active, fault[:, None], 0)

    noise = rng.random(kind.shape)
    unusual = np.where(active, noise >= _MISSED, noise < _MISTAKEN)
    found = int((unusual & active).sum())
    marked = int(active.sum()) + int(unusual.sum())
    names = np.char.add(
        np.char.mod("%d", np.arange(rows) // 3 + 1), np.take(["ALTE", "BLTE", "CLTE"], np.arange(rows) % 3)
    )
    tables = {
        "thresholds": _periods(rng, names, kind, unusual),
        **_people(rng, names, fault),
    }
    return Simulation(
        {name: pa.table(columns) for name, columns in tables.items()},
        best_score=2 * found / marked if marked else 0.0,
        metric="f1",
    )


def _periods(
    rng: "np.random.Generator", names: "npt.NDArray[np.str_]", kind: "Ints", unusual: "npt.NDArray[np.bool_]"
) -> "dict[str, pa.Array]":
    import numpy as np
    import pyarrow as pa

    rows = len(names)
    hours = np.arange(_PERIODS) / 4
    curve = 0.25 + 0.75 * np.exp(-0.5 * ((hours - 13.0) / 4.5) ** 2) + 0.35 * np.exp(-0.5 * ((hours - 20.5) / 1.5) ** 2)
    size = rng.gamma(4.0, 0.25, rows)
    traffic = size[:, None] * curve * rng.lognormal(0.0, 0.18, kind.shape)
    asleep, interfered, congested, degraded = (kind == FAULTS.index(name) for name in FAULTS[1:])
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
    times = pa.array([f"{period // 4:02d}:{period % 4 * 15:02d}" for period in range(_PERIODS)])
    return {
        "time_of_day": times.take(pa.array(order % _PERIODS)),
        "cell_name": pa.array(names).take(pa.array(order // _PERIODS)),
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
    suffering = np.where(fault[cell[who]] > 0, 2.5, 1.0)
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

"""Hours of a main server whose response time is made by the load of seven sub-servers, with a known best score.

Each sub-server has a load with a course of the day and of the week and slow noise; its response time grows with its
load as a queue does, and more so in an incident. The main server waits for all of them: its response time is a weighted
sum of theirs, on top of its own work, which drifts slowly and steps up or down at deployments. What no forecast can
know is the noise of each hour, and when the next incident or deployment comes.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.spec import Simulation

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["Truth", "simulate", "simulated_hours"]

_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_SUBS: Final = 7
_NOISE: Final = 0.06
_LOADS: Final = "abcd"


class Truth:
    """What was made, and what could have been known of it.

    Attributes:
        response: Response times, ms: the main server and its sub-servers, shape (8, hours).
        expected: The same without the noise of the hour.
        load: Calls per minute of the sub-servers, shape (7, hours).
        shifts: Hours at which a deployment moved the level.
        incidents: Hours at which an incident began.
    """

    def __init__(
        self, *, response: "Floats", expected: "Floats", load: "Floats", shifts: list[int], incidents: list[int]
    ) -> None:
        self.response, self.expected, self.load = response, expected, load
        self.shifts, self.incidents = shifts, incidents


def simulated_hours(*, hours: int, seed: int) -> Truth:
    """Make hours of one application.

    Args:
        hours: Hours to make.
        seed: The same seed gives the same hours.
    """
    drawn = np.random.default_rng(seed)
    time = np.arange(hours)
    of_day, of_week = 2 * np.pi * (time % 24) / 24, (time // 24) % 7
    load = np.empty((_SUBS, hours))
    for sub in range(_SUBS):
        peak, width = drawn.uniform(0.4, 0.8), drawn.uniform(0.5, 1.0)
        daily = 1 + peak * np.sin(of_day - drawn.uniform(1.6, 2.4)) + 0.25 * width * np.sin(2 * of_day)
        weekly = np.where(of_week >= 5, drawn.uniform(0.45, 0.75), 1.0)
        slow = _slow(drawn, hours, size=0.10)
        load[sub] = np.maximum(drawn.uniform(200, 1_500) * daily * weekly * np.exp(slow), 5.0)
    expected = np.empty((_SUBS + 1, hours))
    incidents: list[int] = []
    for sub in range(_SUBS):
        capacity = np.quantile(load[sub], 0.999) * drawn.uniform(1.25, 1.6)
        busy = np.minimum(load[sub] / capacity, 0.97)
        strain, began = _incidents(drawn, hours)
        incidents += began
        expected[sub + 1] = drawn.uniform(12, 60) / (1 - busy) * strain
    shares = drawn.dirichlet(np.full(_SUBS, 3.0)) * 1.6
    level, shifts = _deployments(drawn, hours)
    drift = 1 + 0.15 * time / 2_000 * drawn.choice([-1.0, 1.0])
    expected[0] = drawn.uniform(60, 120) * level * drift + shares @ expected[1:]
    noise = np.exp(drawn.normal(0, _NOISE, expected.shape) - _NOISE**2 / 2)
    return Truth(
        response=expected * noise, expected=expected, load=load, shifts=shifts, incidents=sorted(set(incidents))
    )


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make hours of one application in the wide form.

    Args:
        rows: Hours to make, 336 at least for a model to be learned.
        seed: The same seed gives the same hours.

    Returns:
        The hours; the best score is the mean absolute error of who knows everything but the noise of the hour, by the
        mean absolute difference of a day, mean over servers and the newest third of the hours. Lower is better: no
        honest model is below it but by chance.
    """
    import pyarrow as pa

    truth = simulated_hours(hours=rows, seed=seed)
    columns: dict[str, pa.Array] = {
        "at": pa.array([_START + timedelta(hours=hour) for hour in range(rows)], pa.timestamp("us", tz="UTC"))
    }
    columns["main_ms"] = pa.array(truth.response[0].round(4))
    for sub in range(_SUBS):
        columns[f"sub_{sub + 1}_ms"] = pa.array(truth.response[sub + 1].round(4))
    for place, letter in enumerate(_LOADS):
        columns[f"load_{letter}"] = pa.array(truth.load[place].round(3))
    return Simulation(tables={"hours": pa.table(columns)}, best_score=_best(truth), metric="mase")


def _best(truth: Truth) -> float:
    hours = truth.response.shape[1]
    first = hours - max(hours // 3, 1)
    lag = min(24, max(hours - 1, 1))
    scale = np.abs(truth.response[:, lag:first] - truth.response[:, : max(first - lag, 0)]) if first > lag else None
    by = scale.mean(axis=1) if scale is not None and scale.size else np.ones(len(truth.response))
    error = np.abs(truth.response[:, first:] - truth.expected[:, first:]).mean(axis=1)
    return float((error / np.maximum(by, 1e-9)).mean())


def _slow(drawn: np.random.Generator, hours: int, *, size: float) -> "Floats":
    """Noise that forgets within a day."""
    made = np.empty(hours)
    state = 0.0
    for hour, step in enumerate(drawn.normal(0, 1, hours)):
        state = 0.92 * state + 0.39 * step
        made[hour] = size * state
    return made


def _incidents(drawn: np.random.Generator, hours: int) -> "tuple[Floats, list[int]]":
    strain, began = np.ones(hours), []
    for begin in np.flatnonzero(drawn.random(hours) < 1 / 700).tolist():
        length = int(drawn.integers(3, 12))
        height = drawn.uniform(0.8, 2.5)
        course = np.minimum(np.arange(1, length + 1) / 2, 1) * np.minimum(np.arange(length, 0, -1) / 2, 1)
        end = min(begin + length, hours)
        strain[begin:end] += height * course[: end - begin]
        began.append(int(begin))
    return strain, began


def _deployments(drawn: np.random.Generator, hours: int) -> "tuple[Floats, list[int]]":
    """A level that steps every three weeks or so, half of the times by little."""
    level, shifts = np.ones(hours), []
    for begin in np.flatnonzero(drawn.random(hours) < 1 / 500).tolist():
        level[begin:] *= float(np.exp(drawn.choice([0.05, 0.35]) * drawn.choice([-1.0, 1.0])))
        shifts.append(int(begin))
    return level, shifts

"""What is usual for a thing at an hour of the day, and how far a row is from it, in robust deviations.

Amounts are taken as ``log(1 + value / offset)`` with an offset of a fiftieth of the fleet's median, so that a cell with
ten times the traffic of another varies as much, and no traffic at all is far from any. With enough rows of the hour,
usual is the thing's own median of that hour; with fewer, its level plus the fleet's course of the day, which are found
together by median polish (Tukey 1977, Exploratory Data Analysis, chapter 11). A robust deviation is 1.4826 times the
median absolute deviation of the thing (Rousseeuw and Croux 1993, doi:10.1080/01621459.1993.10476408), times what the
fleet varies more or less at that hour, and never less than most of what the fleet varies then: of few calls at night a
share says little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from trunkline.tasks.anomaly.grouped import Floats, Ints, medians, runs

__all__ = ["HOURS", "MOST_DEVIATIONS", "Compared", "Usual"]

HOURS: Final = 25
"""Hours of a day, and one more for rows without."""

MOST_DEVIATIONS: Final = 50.0
"""Deviations beyond are told as that: a share that never varies may be any number of deviations away."""

_TO_STANDARD_DEVIATION: Final = 1.4826
_POLISHES: Final = 3
_SMALLEST: Final = 1e-6
_SMALL: Final = 50.0
_SWINGS: Final = (0.3, 5.0)
_LEAST_SHARE: Final = 0.7
_OFTEN: Final = 0.2


@dataclass(frozen=True)
class Compared:
    """Rows beside what is usual.

    Attributes:
        deviations: Robust deviations above the usual, in [-50, 50], shape (rows, values); NaN where the number is.
        usual: The usual number, in its own unit, same shape.
        base: The same on the scale of comparison, same shape.
        spread: One robust deviation on that scale, same shape.
    """

    deviations: Floats
    usual: Floats
    base: Floats
    spread: Floats


@dataclass(frozen=True)
class Usual:
    """What was learned of the fleet.

    Attributes:
        offset: Of amounts: what is small, above 0; NaN for numbers that are taken as they are. Shape (values,).
        course: The fleet's course of the day, shape (HOURS, values).
        swing: How much more than over the day a thing varies at the hour, same shape.
        least: Smallest spread at the hour that is believed, same shape.
        enough: Rows of one thing and hour from which on its own hour is its usual.
    """

    offset: Floats
    course: Floats
    swing: Floats
    least: Floats
    enough: int

    @classmethod
    def learn(cls, values: Floats, *, amounts: Sequence[bool], lengths: Ints, hours: Ints, enough: int) -> "Usual":
        """Learn the course of the day and the spreads of some things.

        Args:
            values: Shape (rows, values), thing after thing.
            amounts: Which values are amounts, shape (values,).
            lengths: Rows of each thing.
            hours: Hour of each row, in [0, HOURS).
            enough: See :class:`Usual`.
        """
        columns = values.shape[1]
        offset = np.array(
            [_median(values[values[:, at] > 0, at], 1.0) / _SMALL if amounts[at] else np.nan for at in range(columns)]
        )
        shape = (HOURS, columns)
        found = cls(offset, np.zeros(shape), np.ones(shape), np.full(shape, _SMALLEST), enough)
        scaled = found.scaled(values)
        thing = np.repeat(np.arange(len(lengths)), lengths)
        order = np.argsort(hours, kind="stable")
        of_hour, counts = runs(hours[order])
        names = hours[order][np.searchsorted(of_hour, np.arange(len(counts)))]

        def by_hour(column: Floats) -> Floats:
            return np.asarray(np.nan_to_num(medians(column[order], counts)), dtype=np.float64)

        def by_hour_mean(column: npt.NDArray[np.bool_]) -> Floats:
            return np.asarray(np.bincount(of_hour, column[order], len(counts)) / counts, dtype=np.float64)

        for at in range(columns):
            for _ in range(_POLISHES):
                level = medians(scaled[:, at] - found.course[hours, at], lengths)
                found.course[names, at] = by_hour(scaled[:, at] - level[thing])
        away = np.abs(scaled - found.expected(scaled, lengths=lengths, hours=hours))
        for at in range(columns):
            own = np.maximum(medians(away[:, at], lengths) * _TO_STANDARD_DEVIATION, _SMALLEST)
            swing = by_hour(away[:, at] / own[thing]) * _TO_STANDARD_DEVIATION
            found.swing[names, at] = np.clip(swing, *_SWINGS)
            # of what hardly ever varies any change is odd; of what often does not, the changes say how it varies
            moved = away[:, at] > _SMALLEST
            pooled = by_hour(np.where(moved, away[:, at], np.nan)) * _TO_STANDARD_DEVIATION
            often = by_hour_mean(moved) >= _OFTEN
            found.least[names, at] = np.maximum(np.where(often, _LEAST_SHARE * pooled, 0.0), _SMALLEST)
        return found

    def scaled(self, values: Floats) -> Floats:
        """Bring numbers to the scale on which they are compared."""
        logs = np.log1p(np.maximum(values, 0.0) / self.offset)
        return np.where(np.isnan(self.offset), values, logs)

    def unscaled(self, scaled: Floats) -> Floats:
        """Bring numbers back to their unit."""
        return np.where(np.isnan(self.offset), scaled, np.expm1(scaled) * self.offset)

    def expected(self, scaled: Floats, *, lengths: Ints, hours: Ints) -> Floats:
        """Level of the thing plus the course of the day, on the scale of comparison."""
        thing = np.repeat(np.arange(len(lengths)), lengths)
        course = self.course[hours]
        levels = [medians(scaled[:, at] - course[:, at], lengths)[thing] for at in range(scaled.shape[1])]
        return np.asarray(np.column_stack(levels) + course, dtype=np.float64)

    def compare(self, values: Floats, *, lengths: Ints, hours: Ints) -> Compared:
        """Compare rows with what is usual for their thing and hour.

        Args:
            values: Shape (rows, values), thing after thing.
            lengths: Rows of each thing.
            hours: Hour of each row, in [0, HOURS).
        """
        thing = np.repeat(np.arange(len(lengths)), lengths)
        scaled = self.scaled(values)
        base = self.expected(scaled, lengths=lengths, hours=hours)
        order = np.lexsort((hours, thing))
        of_hour, counts = runs((thing * HOURS + hours)[order])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        has_own = (counts >= self.enough)[of_hour][back]
        spread = np.empty_like(scaled)
        for at in range(values.shape[1]):
            if has_own.any():
                own = medians(scaled[order, at], counts)[of_hour][back]
                base[:, at] = np.where(has_own, own, base[:, at])
            away = np.abs(scaled[:, at] - base[:, at])
            of_thing = (np.nan_to_num(medians(away, lengths)) * _TO_STANDARD_DEVIATION)[thing]
            wide = of_thing * self.swing[hours, at]
            if has_own.any():
                own = np.nan_to_num(medians(away[order], counts)[of_hour][back]) * _TO_STANDARD_DEVIATION
                wide = np.where(has_own, np.maximum(own, of_thing / 2), wide)
            spread[:, at] = np.maximum(wide, self.least[hours, at])
        deviations = np.clip((scaled - base) / spread, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        return Compared(deviations, self.unscaled(base), base, spread)


def _median(values: Floats, otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size and np.median(known) > 0 else otherwise

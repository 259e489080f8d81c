"""Which steps of a regular time have come, so that gaps are seen and asked for again. Values in, values out.

A step without rows, or with far fewer than is usual of late, is a gap: its rows may come later. The state is one short
text, since positions are flat.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Final, Self

__all__ = ["Steps"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_USUAL_OF: Final = 24
_NEAR: Final = 6
"""Gaps with so few steps between them are asked for together."""


@dataclass(frozen=True)
class Steps:
    """Rows by step, without holes in between.

    Attributes:
        width: Length of a step.
        kept: How many steps are remembered.
        first: Number of the first step, counted from 1970.
        counts: Rows of each, the first up to the newest.
    """

    width: timedelta
    kept: int
    first: int = 0
    counts: tuple[int, ...] = ()

    @classmethod
    def read(cls, text: object, *, width: timedelta, reach: timedelta) -> Self:
        """Read what :meth:`text` wrote; anything else, also of another width, is nothing seen so far.

        Args:
            text: From a position.
            width: Length of a step.
            reach: How far back gaps are asked for.
        """
        kept = max(reach // width, 1) + 1
        if isinstance(text, str):
            seconds, _, rest = text.partition("@")
            first, _, counts = rest.partition(":")
            if seconds == str(int(width.total_seconds())) and counts:
                return cls(width, kept, int(first), tuple(int(one) for one in counts.split(",")))
        return cls(width, kept)

    @property
    def text(self) -> str:
        """Width, first step and counts."""
        return f"{int(self.width.total_seconds())}@{self.first}:{','.join(map(str, self.counts))}"

    def counted(self, times: Iterable[datetime]) -> Self:
        """Count rows.

        >>> hour, noon = timedelta(hours=1), datetime(2026, 3, 1, 12, tzinfo=UTC)
        >>> seen = Steps.read(None, width=hour, reach=4 * hour).counted([noon, noon, noon + 2 * hour])
        >>> seen.counts, [at.isoformat() for at in seen.due()[0]]
        ((2, 0, 1), ['2026-03-01T13:00:00+00:00', '2026-03-01T14:00:00+00:00'])
        """
        places = [(at - _EPOCH) // self.width for at in times]
        if not places:
            return self
        end = max(*places, self.first + len(self.counts) - 1 if self.counts else max(places))
        first = max(min(*places, self.first if self.counts else min(places)), end + 1 - self.kept)
        counts = [0] * (end + 1 - first)
        for place, count in enumerate(self.counts, self.first):
            if place >= first:
                counts[place - first] = count
        for place in places:
            if place >= first:
                counts[place - first] += 1
        return type(self)(self.width, self.kept, first, tuple(counts))

    def due(self, before: datetime | None = None, *, share: float = 0.0) -> tuple[tuple[datetime, datetime], ...]:
        """Begin and end of the gaps that are to be asked for, the earliest first; those near each other are one.

        A gap is a step with no rows, or with at most a share of the lower median of the newest 24 steps that have rows;
        the newest step may be still to fill. One that stays is asked for ever more seldom: when it is 1, 2, 4, 8, ...
        steps old.

        Args:
            before: The newest time when gaps were asked for last; None where they never were.
            share: The share, in [0, 1); with 0 only a step without rows is a gap, however counts vary.
        """
        filled = [count for count in self.counts[:-1] if count][-_USUAL_OF:]
        if not filled:
            return ()
        usual, newest = median_low(filled), self.first + len(self.counts) - 1
        asked = None if before is None else (before - _EPOCH) // self.width
        found: list[tuple[int, int]] = []
        for place, count in enumerate(self.counts[:-1], self.first):
            was = 0 if asked is None else max(asked - place, 0)
            if count > share * usual or (newest - place).bit_length() <= was.bit_length():
                continue
            if found and place - found[-1][1] <= _NEAR:
                found[-1] = (found[-1][0], place + 1)
            else:
                found.append((place, place + 1))
        return tuple((_EPOCH + begin * self.width, _EPOCH + end * self.width) for begin, end in found)

    def without(self, begin: datetime, end: datetime) -> Self:
        """Forget the rows of some steps, which are asked for again.

        Args:
            begin: Begin of a step.
            end: Begin of the step behind them.
        """
        first, last = ((at - _EPOCH) // self.width - self.first for at in (begin, end))
        counts = tuple(0 if first <= place < last else count for place, count in enumerate(self.counts))
        return type(self)(self.width, self.kept, self.first, counts)

    def before(self, at: datetime) -> Self:
        """Forget the steps from an instant on: their rows are asked for again.

        Args:
            at: Begin of a step.
        """
        kept = max((at - _EPOCH) // self.width - self.first, 0)
        return type(self)(self.width, self.kept, self.first, self.counts[:kept])

    def begin_of(self, at: datetime) -> datetime:
        """The begin of the step in which an instant lies."""
        return _EPOCH + (at - _EPOCH) // self.width * self.width

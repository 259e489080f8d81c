"""Windows of each device in their order: scored, and held against the rules.

A window keeps the state after it beside its scores: what the moving averages know, and when each rule fired last. So
the result depends on the windows alone, not on how often they were computed, or from where somebody had to go on.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trunkline.contracts.evaluation import RowValue, row_function
from trunkline.features.windows import END, START
from trunkline.spec.windows import Windowed
from trunkline.stats.streaming import EwmaState, ewma_step

__all__ = ["STATE", "Row", "Scorer"]

STATE: Final = "_state"
"""Column with what is known after a window, JSON."""

Row = dict[str, object]
"""One window: fields, lineage, and :data:`STATE`."""


@dataclass(frozen=True)
class _State:
    averages: Mapping[str, EwmaState]
    fired_at: Mapping[str, str]
    fired: Sequence[str] = ()
    announced: Sequence[str] = ()

    @classmethod
    def read(cls, text: object) -> "_State":
        if not isinstance(text, str):
            return cls({}, {})
        found = json.loads(text)
        averages = {name: EwmaState(*values) for name, values in found["averages"].items()}
        return cls(averages, found["fired_at"], found["fired"], found["announced"])

    def written(self) -> str:
        averages = {name: [one.count, one.mean, one.variance] for name, one in self.averages.items()}
        return json.dumps(
            {
                "averages": averages,
                "fired_at": self.fired_at,
                "fired": list(self.fired),
                "announced": list(self.announced),
            }
        )


class Scorer:
    """Scores the windows of one declaration.

    Args:
        windowed: The declaration.
    """

    def __init__(self, windowed: Windowed) -> None:
        self._scores = windowed.scores
        self._rules = windowed.rules
        self._conditions = {name: row_function(rule.when) for name, rule in windowed.rules.items()}

    def scored(self, before: Row | None, computed: Sequence[Row], known: Mapping[object, Row]) -> list[Row]:
        """Score windows of one device that follow each other.

        Args:
            before: The window before the first; None where there is none.
            computed: The windows, by their begins; also those that were only read again because one before them is
                computed anew.
            known: Windows by begin as they were, for those that there were.

        Returns:
            All of them with scores and state, and as ``_new`` the rules that fire for the first time.
        """
        state = _State.read(before[STATE] if before else None)
        return [self._one(row, state := self._after(row, state, known.get(row[START]))) for row in computed]

    def _after(self, row: Row, before: _State, earlier: Row | None) -> _State:
        averages = dict(before.averages)
        for name, score in self._scores.items():
            value = row[score.of]
            found: float | None = None
            if isinstance(value, int | float) and math.isfinite(value):
                found, averages[name] = ewma_step(
                    averages.get(name, EwmaState()), float(value), half_life=score.half_life, warmup=score.warmup
                )
            row[name] = found
        ends_at = row[END]
        assert isinstance(ends_at, datetime)
        values: dict[str, RowValue] = {
            name: value for name, value in row.items() if value is None or isinstance(value, str | int | float | bool)
        }
        fired_at = dict(before.fired_at)
        fired = []
        for name, rule in self._rules.items():
            last = fired_at.get(name)
            if self._conditions[name](values) is not True:
                continue
            if last is None or ends_at >= datetime.fromisoformat(last) + rule.cooldown:
                fired_at[name] = ends_at.astimezone(UTC).isoformat()
                fired.append(name)
        known = set(_State.read(earlier[STATE]).announced) if earlier else set()
        row["_new"] = [name for name in fired if name not in known]
        return _State(averages, fired_at, fired, sorted(known | set(fired)))

    @staticmethod
    def _one(row: Row, state: _State) -> Row:
        row[STATE] = state.written()
        return row

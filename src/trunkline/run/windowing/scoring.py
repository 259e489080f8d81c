"""Windows of each device in their order: scored, and held against the rules.

A window keeps the state after it beside its scores: what each kind of score knows, and when each rule fired last. So
the result depends on the windows alone, not on how often they were computed, or from where somebody had to go on.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from trunkline.contracts.evaluation import RowValue, row_function
from trunkline.features.windows import END, START
from trunkline.spec.windows import Ewma, HalfSpace, Windowed
from trunkline.stats.half_space import HalfSpaceState, HalfSpaceTrees
from trunkline.stats.streaming import EwmaState, ewma_step

__all__ = ["STATE", "Row", "Scorer"]

STATE: Final = "_state"
"""Column with what is known after a window, JSON."""

Row = dict[str, object]
"""One window: fields, lineage, and :data:`STATE`."""


_Step = Callable[[Any, Sequence[float]], tuple[float | None, object]]
"""From what is known as JSON (None: nothing) and the values of a window to its score and what is known then."""


@dataclass(frozen=True)
class _State:
    known: Mapping[str, object]
    fired_at: Mapping[str, str]
    fired: Sequence[str] = ()
    announced: Sequence[str] = ()

    @classmethod
    def read(cls, text: object) -> "_State":
        if not isinstance(text, str):
            return cls({}, {})
        found = json.loads(text)
        return cls(found["averages"], found["fired_at"], found["fired"], found["announced"])

    def written(self) -> str:
        return json.dumps(
            {
                "averages": self.known,
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
        self._steps = {name: _step(score) for name, score in windowed.scores.items()}
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
        known_of = dict(before.known)
        for name, (fields, step) in self._steps.items():
            values = [value for one in fields if isinstance(value := row[one], int | float) and math.isfinite(value)]
            row[name] = None
            if len(values) == len(fields):
                row[name], known_of[name] = step(known_of.get(name), values)
        ends_at = row[END]
        assert isinstance(ends_at, datetime)
        told: dict[str, RowValue] = {
            name: value for name, value in row.items() if value is None or isinstance(value, str | int | float | bool)
        }
        fired_at = dict(before.fired_at)
        fired = []
        for name, rule in self._rules.items():
            last = fired_at.get(name)
            if self._conditions[name](told) is not True:
                continue
            if last is None or ends_at >= datetime.fromisoformat(last) + rule.cooldown:
                fired_at[name] = ends_at.astimezone(UTC).isoformat()
                fired.append(name)
        known = set(_State.read(earlier[STATE]).announced) if earlier else set()
        row["_new"] = [name for name in fired if name not in known]
        return _State(known_of, fired_at, fired, sorted(known | set(fired)))

    @staticmethod
    def _one(row: Row, state: _State) -> Row:
        row[STATE] = state.written()
        return row


def _step(score: Ewma | HalfSpace) -> tuple[tuple[str, ...], _Step]:
    """Give the fields of a score, and what goes on from a state with their values."""
    return score.fields, _ewma(score) if isinstance(score, Ewma) else _half_space(score)


def _ewma(score: Ewma) -> _Step:
    def step(known: Any, values: Sequence[float]) -> tuple[float | None, object]:  # noqa: ANN401 - JSON
        before = EwmaState() if known is None else EwmaState(*known)
        found, after = ewma_step(before, float(values[0]), half_life=score.half_life, warmup=score.warmup)
        return found, [after.count, after.mean, after.variance]

    return step


def _half_space(score: HalfSpace) -> _Step:
    trees = HalfSpaceTrees(
        limits=tuple(score.limits.values()),
        trees=score.trees,
        height=score.height,
        span=score.span,
        seed=score.seed,
    )

    def step(known: Any, values: Sequence[float]) -> tuple[float | None, object]:  # noqa: ANN401 - JSON
        before = HalfSpaceState() if known is None else HalfSpaceState(*(tuple(map(tuple, part)) for part in known))
        found, after = trees.step(before, values)
        return found, [after.reference, after.latest]

    return step

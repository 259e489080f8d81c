"""Windows over a stream: what is computed of each device and span of event time, how it is scored, what is announced.

A use case declares them by name, as data. Each has a contract of its own, the dataset it reads and one Ibis expression
over rows that know their window. Refused when the use case is made (``UseCaseError``): spans that are no whole
seconds, names that do not exist, and scores or rules that read what the contract lacks.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from trunkline.contracts import Contract
from trunkline.contracts.expressions import Expr
from trunkline.errors import UseCaseError
from trunkline.features.windows import END, START, as_of, in_windows

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["Ewma", "HalfSpace", "Lookup", "WindowRule", "Windowed", "Windows", "refuse_unwindowable"]

_SECOND: Final = timedelta(seconds=1)
_MOST_OVERLAPS: Final = 120


@dataclass(frozen=True)
class Windows:
    """Spans of event time.

    Attributes:
        length: How long one is; whole seconds.
        every: How far the begins of two are apart; ``length`` is a multiple of it. None is ``length``: they tumble.
        lateness: A window is final once a window of the same device has begun later than its end plus this.
    """

    length: timedelta
    every: timedelta | None = None
    lateness: timedelta = timedelta(minutes=5)

    @property
    def step(self) -> timedelta:
        """How far the begins of two windows are apart."""
        return self.every or self.length


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What a window is told of its device, from another dataset.

    Attributes:
        dataset: Where it is looked up.
        on: Columns that name the thing, in both.
        columns: Field of the window to column there; null where nothing is found.
        valid_from: Column there since when a row is true: the one that was true when the window ended counts. None is
            one row per thing, true for ever.
    """

    dataset: str
    on: tuple[str, ...]
    columns: Mapping[str, str]
    valid_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ewma:
    """A score: how many standard deviations a value is off the moving average of its device.

    Attributes:
        of: The field that is scored; a null is not scored and moves nothing.
        half_life: Windows after which a value counts half.
        warmup: Windows of a device before the first score; null until then.
    """

    of: str
    half_life: float = 20.0
    warmup: int = 10

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are scored."""
        return (self.of,)

    def refused(self) -> str | None:
        """Say what is wrong with the numbers; None where nothing is."""
        if self.half_life > 0 and self.warmup >= 2:
            return None
        return "needs a half-life above 0 and a warm-up of 2 windows or more"


@dataclass(frozen=True, kw_only=True)
class HalfSpace:
    """A score: how rare a window is among those of its device before, in several fields together; 1 is never seen.

    Attributes:
        limits: The fields that are scored, each with its least and greatest usual value; a window in which one of them
            is null is not scored.
        span: Windows that a reference has: no score before the first is full, and each is the measure of the next.
        trees: Trees of the ensemble.
        height: Levels of a tree.
        seed: Of the trees.
    """

    limits: Mapping[str, tuple[float, float]]
    span: int = 60
    trees: int = 25
    height: int = 6
    seed: int = 0

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are scored."""
        return tuple(self.limits)

    def refused(self) -> str | None:
        """Say what is wrong with the numbers; None where nothing is."""
        if not self.limits or any(not low < high for low, high in self.limits.values()):
            return "needs fields with a least value below the greatest"
        if not (10 <= self.span <= 500 and 1 <= self.trees <= 100 and 1 <= self.height <= 15):
            return "needs a span of 10 to 500 windows, 1 to 100 trees and a height of 1 to 15"
        return None


@dataclass(frozen=True, kw_only=True)
class WindowRule:
    """When a window ... then an alert, and what is done with it.

    Attributes:
        when: Condition over the fields of the window, scores among them; null is not met.
        title: What is said, a few words.
        severity: How bad it is, by X.733.
        cooldown: Event time after an alert in which the same device raises no other of this rule.
        actions: What is done with its alerts, by name: targets of the settings (``notify.targets``: webhook, e-mail,
            chat, ...), and ``events``, the topic of CloudEvents. Empty is whatever the settings do with alerts.
    """

    when: Expr
    title: str
    severity: Literal["critical", "major", "minor", "warning"] = "minor"
    cooldown: timedelta = timedelta(0)
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """One table of windows.

    Attributes:
        contract: What its rows look like. Its key is ``by`` and the fields ``window_start_at``; it has
            ``window_end_at`` beside it, and a nullable number for each score.
        dataset: Whose rows are put into windows, by the event time of their contract.
        by: Columns that name a device.
        windows: The spans.
        expression: From the rows, each with the begin and end of its window, to one row per device and window.
        lookups: What is added from other datasets.
        scores: Field to how it is scored, in the order of windows.
        rules: Name to rule.
    """

    contract: type[Contract]
    dataset: str
    by: tuple[str, ...]
    windows: Windows
    expression: "Callable[[ir.Table], ir.Table]"
    lookups: tuple[Lookup, ...] = ()
    scores: Mapping[str, Ewma | HalfSpace] = field(default_factory=dict)
    rules: Mapping[str, WindowRule] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that name a window of a device."""
        return (*self.by, START)

    def placed(self, rows: "ir.Table", *, event_at: str) -> "ir.Table":
        """Give each row once for every window that it is in.

        Args:
            rows: Rows of the dataset.
            event_at: Their event time.
        """
        return in_windows(rows, at=event_at, length=self.windows.length, every=self.windows.step)

    def rows(self, placed: "ir.Table", tables: "Mapping[str, ir.Table]") -> "ir.Table":
        """Give the windows of placed rows, lazily.

        Args:
            placed: From :meth:`placed`; whole windows.
            tables: The datasets of the lookups by name, one row per key of their contract.
        """
        rows = self.expression(placed)
        for lookup in self.lookups:
            found = tables[lookup.dataset]
            rows = as_of(
                rows, found, on=lookup.on, columns=lookup.columns, at=END, valid_from=lookup.valid_from, key=self.key
            )
        return rows


def refuse_unwindowable(
    datasets: Mapping[str, type[Contract]],
    windowed: Mapping[str, Windowed],
    *,
    taken: Mapping[str, object],
    where: str,
) -> None:
    """Refuse windows that could not be computed.

    Args:
        datasets: Contract of each table that the use case takes in.
        windowed: The tables of windows by name.
        taken: Names of its other tables.
        where: Names the use case.

    Raises:
        UseCaseError: What is wrong, and where.
    """
    for name, table in windowed.items():
        here = f"{where}, windows {name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise UseCaseError("a name of windows is lower-case letters, digits and underscores", where=here)
        if name in datasets or name in taken:
            raise UseCaseError("there is a table of that name", where=here, next_step="give it a name of its own")
        _refuse_spans(table.windows, here)
        for one in (table.dataset, *(lookup.dataset for lookup in table.lookups)):
            if one not in datasets:
                raise UseCaseError(f"the dataset {one!r} does not exist", where=here, allowed=datasets)
        said = datasets[table.dataset].table
        if said.event_at is None:
            raise UseCaseError(
                f"{table.dataset!r} has no event time", where=here, next_step="name it: event_at of its contract"
            )
        _refuse_absent(table.by, datasets[table.dataset], here)
        fields = (*table.key, END, *table.scores, *(one for score in table.scores.values() for one in score.fields))
        fields += tuple(one for lookup in table.lookups for one in (*lookup.on, *lookup.columns))
        fields += tuple(one for rule in table.rules.values() for one in rule.when.columns())
        _refuse_absent(fields, table.contract, here)
        for lookup in table.lookups:
            asked = (*lookup.on, *lookup.columns.values(), *((lookup.valid_from,) if lookup.valid_from else ()))
            _refuse_absent(asked, datasets[lookup.dataset], f"{here}, lookup in {lookup.dataset!r}")
        if set(table.contract.table.key) != set(table.key) or table.contract.table.versions_by:
            raise UseCaseError(
                f"the key of the contract is not {', '.join(table.key)}, or it has another order of versions",
                where=here,
                next_step="a window computed again supersedes the older by when it was computed",
            )
        _refuse_scores(table, here)


def _refuse_spans(windows: Windows, where: str) -> None:
    spans = (windows.length, windows.step)
    if any(one <= timedelta(0) or one % _SECOND for one in spans) or windows.length % windows.step:
        raise UseCaseError(
            "length and step of windows are whole seconds, the length a multiple of the step", where=where
        )
    if windows.length // windows.step > _MOST_OVERLAPS:
        raise UseCaseError(
            f"a row would be in {windows.length // windows.step} windows",
            where=where,
            allowed=(f"at most {_MOST_OVERLAPS}",),
            next_step="choose a longer step",
        )
    if windows.lateness < timedelta(0):
        raise UseCaseError("lateness is no time before now", where=where)


def _refuse_absent(names: tuple[str, ...], contract: type[Contract], where: str) -> None:
    known = {column.name for column in contract.columns}
    if absent := [one for one in names if one not in known]:
        raise UseCaseError(f"the contract {contract.__name__} has no {absent[0]!r}", where=where, allowed=known)


def _refuse_scores(table: Windowed, where: str) -> None:
    columns = {column.name: column for column in table.contract.columns}
    for name, score in table.scores.items():
        if columns[name].kind != "number" or not columns[name].nullable:
            raise UseCaseError(f"the score {name!r} is a number that may be null", where=where)
        for one in score.fields:
            if columns[one].kind not in ("number", "integer"):
                raise UseCaseError(f"{one!r} is no number, so it cannot be scored", where=where)
        if wrong := score.refused():
            raise UseCaseError(f"the score {name!r} {wrong}", where=where)

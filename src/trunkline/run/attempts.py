"""Attempts to take sources in: noted whatever came of them, one row per source and call, in one commit.

A watched topic, whose call may last for months, is noted now and then (:mod:`trunkline.run.topic_notes`).

Receipts tell of batches that were written. What they cannot tell stands in ``platform.attempts``: that a source was
asked and had nothing new, that a file was refused or stopped over its reject budget, that a database did not answer,
and since when a source has been declared. A call that is killed leaves no note; its receipts stand all the same.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import ATTEMPTS, Receipt, SourceAttempt
from trunkline.errors import BusyError, RowsRefusedError, TrunklineError
from trunkline.monitor import SourceKey, source_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake
    from trunkline.run.outcomes import Outcome
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.spec.sources import AnySource

__all__ = ["MOST_ATTEMPTS", "Attempts", "note_declared", "recent_attempts"]

MOST_ATTEMPTS: Final = 20_000
"""The newest attempts that are looked at."""

_LONGEST_SAID: Final = 200
_logger = logging.getLogger(__name__)


@dataclass
class _Tally:
    """What came of one source."""

    taken: int = 0
    read: int = 0
    refused: int = 0
    error: TrunklineError | None = None
    over: RowsRefusedError | None = None


class Attempts:
    """Counts what comes of the sources of one call, and notes it at its end.

    Args:
        usecase: The use case that takes them in.
        declared: Declared sources by name.
        run_id: The run that asks.
    """

    def __init__(self, usecase: "UseCase", *, declared: "Mapping[str, AnySource]", run_id: str) -> None:
        self._usecase = usecase
        self._declared = declared
        self._run_id = run_id
        self._tallies: dict[tuple[str | None, str], _Tally] = {}
        self._busy: set[str] = set()
        self._passed_over: Counter[str] = Counter()

    def add(self, outcome: "Outcome") -> None:
        """Count what became of a file or piece; one that somebody else is taking in counts for nothing."""
        if outcome.ingested is None and isinstance(outcome.error, BusyError):
            self._busy.add(outcome.handed.name)
            return
        handed, dataset = outcome.handed, outcome.handed.dataset
        if outcome.ingested is not None:
            dataset, source = outcome.ingested.receipt.dataset, outcome.ingested.receipt.source
        else:
            source = handed.origin or str(handed.path or handed.name)
        piece = f"{handed.name}/" if handed.path is None else None
        name = source_of(self._usecase.name, dataset or "", source=source, piece=piece, declared=self._declared).source
        if outcome.beside is not None:  # by itself it makes no source
            self._passed_over[name] += outcome.files
            return
        tally = self._tallies.setdefault((dataset, name), _Tally())
        if outcome.ingested is not None:
            tally.taken += 1
            tally.read += outcome.ingested.receipt.read
        if outcome.error is not None:
            tally.refused += 1
            tally.error = outcome.error
        if isinstance(outcome.error, RowsRefusedError) and outcome.error.budget is not None:
            tally.over = outcome.error

    def took(self, name: str, receipt: Receipt) -> None:
        """Count a chunk of a declared topic."""
        tally = self._tallies.setdefault((receipt.dataset, name), _Tally())
        tally.taken += 1
        tally.read += receipt.read

    def failed(self, name: str, *, dataset: str | None, error: TrunklineError) -> bool:
        """Count the end of a declared source's watch by an error; one that somebody else watches counts for nothing.

        Returns:
            Whether it counts.
        """
        if isinstance(error, BusyError):
            return False
        tally = self._tallies.setdefault((dataset, name), _Tally())
        tally.refused += 1
        tally.error = error
        return True

    def answered(self, name: str, *, dataset: str | None) -> None:
        """Count a source that was asked to its end; where nothing came, and nobody else had it, that is what is noted.

        Args:
            name: The source's name.
            dataset: The dataset of its rows; None where their columns tell.
        """
        if name not in self._busy and not any(known == name for _, known in self._tallies):
            self._tallies[dataset, name] = _Tally()

    def note(self, lake: "Lake", *, clock: Callable[[], datetime]) -> None:
        """Write down what was counted; what cannot be written is logged, and harms nobody.

        Args:
            lake: The lake.
            clock: Gives the current instant.
        """
        at = clock()
        rows = [
            _row(
                SourceKey(self._usecase.name, dataset or "", source),
                run_id=self._run_id,
                at=at,
                outcome="refused" if tally.refused else "taken",
                taken=tally.taken,
                read=tally.read,
                refused=tally.refused,
                error=tally.error and type(tally.error).__name__,
                said=tally.error and tally.error.what[:_LONGEST_SAID],
                refused_rows=tally.over and tally.over.broken,
                refused_read=tally.over and tally.over.read,
                budget=tally.over and tally.over.budget,
                passed_over=self._passed_over.pop(source, 0),
            )
            for (dataset, source), tally in self._tallies.items()
        ]
        self._tallies.clear()
        self._passed_over.clear()
        _write(lake, rows)


def note_declared(workspace: "Workspace", keys: Sequence[SourceKey]) -> None:
    """Write down that sources are declared, so that it is known since when nothing has come of them.

    Args:
        workspace: The workspace.
        keys: Sources of which nothing is known yet.
    """
    at = workspace.clock()
    _write(workspace.lake, [_row(key, run_id="sources", at=at, outcome="declared") for key in keys])


def recent_attempts(lake: "Lake", *, since: datetime, usecase: str | None = None) -> list[SourceAttempt]:
    """Read the newest attempts, and the first of each source, which says since when it is known; the newest first.

    Args:
        lake: The lake.
        since: Not older than this, UTC.
        usecase: Only of this use case.
    """
    if not lake.exists(ATTEMPTS):
        return []

    def recent(rows: "ir.Table") -> "ir.Table":
        import ibis

        kept = rows.filter(rows["attempted_at"] >= ibis.literal(since))
        if usecase is not None:
            kept = kept.filter(kept["usecase"] == usecase)
        newest = ibis.window(order_by=[ibis.desc("attempted_at"), ibis.desc("attempt_id")])
        first = ibis.window(group_by=["usecase", "dataset", "source"], order_by=["attempted_at", "attempt_id"])
        ranked = kept.mutate(_age=ibis.row_number().over(newest), _place=ibis.row_number().over(first))
        kept = ranked.filter((ranked["_age"] < MOST_ATTEMPTS) | (ranked["_place"] == 0)).drop("_age", "_place")
        return kept.order_by(ibis.desc("attempted_at"), ibis.desc("attempt_id"))

    rows = lake.collect(recent, ATTEMPTS, schemas={ATTEMPTS: arrow_schema(SourceAttempt)}).to_pylist()
    return [SourceAttempt.model_construct(**row) for row in rows]


def _row(key: SourceKey, *, run_id: str, at: datetime, outcome: str, **counted: object) -> dict[str, object]:
    named = json.dumps([run_id, key.usecase, key.dataset, key.source, at.isoformat(), outcome])
    nothing = {"taken": 0, "read": 0, "refused": 0, "error": None, "said": None}
    return {
        "attempt_id": hashlib.sha256(named.encode()).hexdigest()[:24],
        "run_id": run_id,
        "usecase": key.usecase,
        "dataset": key.dataset or None,
        "source": key.source,
        "outcome": outcome,
        **nothing,
        "refused_rows": None,
        "refused_read": None,
        "budget": None,
        "passed_over": None,
        **counted,
        "attempted_at": at,
    }


def _write(lake: "Lake", rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        return
    try:
        lake.append(ATTEMPTS, table_from_rows(SourceAttempt, rows))
    except TrunklineError as error:
        # the rows are in, or the error that kept them out is on its way to whoever asked
        _logger.warning("attempts of sources are not noted: %s", error.what)

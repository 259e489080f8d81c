"""Looking at the quarantine: open batches, counts by reason, reasons that come together, single rows.

All counting is done in the engine, over distinct lists of reasons; what comes back is small whatever lies there.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.contracts import Contract
from trunkline.contracts.kinds import NUL
from trunkline.contracts.records import QUARANTINE
from trunkline.ingest.privacy import opening
from trunkline.run.quarantine.states import has_reason, held_batch, newest_states

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = [
    "OpenBatch",
    "Overview",
    "ReasonCount",
    "ReasonPair",
    "RefusedPage",
    "RefusedRow",
    "batch_contract",
    "overview",
    "refused_rows",
    "shown_text",
]

_MOST_REASONS: Final = 8
_MOST_PAIRS: Final = 20


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class OpenBatch(_Shown):
    """A batch with refused rows that nobody has dealt with.

    Attributes:
        batch_id: Its id.
        usecase: The use case.
        dataset: The dataset.
        source: Where it came from.
        rows: Open rows.
        reasons: How many of them failed for each reason, the most frequent first; the first eight.
    """

    batch_id: str
    usecase: str
    dataset: str
    source: str
    rows: int
    reasons: Mapping[str, int]


class ReasonCount(_Shown):
    """How many open rows of a dataset failed for a reason.

    Attributes:
        usecase: The use case.
        dataset: The dataset.
        reason: ``field.check``, the name of a rule, or ``line.malformed``.
        rows: Open rows that failed for it, whatever else was wrong with them.
        alone: Those of them that failed for nothing else.
        batches: In how many batches they are.
    """

    usecase: str
    dataset: str
    reason: str
    rows: int
    alone: int
    batches: int


class ReasonPair(_Shown):
    """Two reasons for which the same rows failed.

    Attributes:
        usecase: The use case.
        dataset: The dataset.
        reasons: The two, in alphabetical order.
        rows: Open rows that failed for both.
        share: Of the rows that failed for the rarer one, in (0, 1].
    """

    usecase: str
    dataset: str
    reasons: tuple[str, str]
    rows: int
    share: float


class Overview(_Shown):
    """What is open in the quarantine.

    Attributes:
        rows: Open rows.
        batches: Their batches, the newest first.
        reasons: Counts by reason, the most frequent first.
        pairs: Reasons that come together, the most frequent first; the first twenty.
    """

    rows: int
    batches: tuple[OpenBatch, ...]
    reasons: tuple[ReasonCount, ...]
    pairs: tuple[ReasonPair, ...]


class RefusedRow(_Shown):
    """One refused row.

    Attributes:
        row_number: 1-based position in its source.
        reasons: All reasons.
        row: The raw texts under the source's names.
        state: open, replayed or discarded.
    """

    row_number: int
    reasons: tuple[str, ...]
    row: Mapping[str, str | None]
    state: str


class RefusedPage(_Shown):
    """Some refused rows of a batch.

    Attributes:
        total: How many there are of those that were asked for.
        rows: A part of them, in the order of their source.
    """

    total: int
    rows: tuple[RefusedRow, ...]


def overview(workspace: "Workspace", *, usecase: str | None = None) -> Overview:
    """Count what is open.

    Args:
        workspace: The workspace.
        usecase: Only this use case.
    """
    if not workspace.lake.exists(QUARANTINE):
        return Overview(rows=0, batches=(), reasons=(), pairs=())

    def counted(table: "ir.Table") -> "ir.Table":
        rows = newest_states(table)
        rows = rows.filter(rows["state"] == "open")
        if usecase is not None:
            rows = rows.filter(rows["usecase"] == usecase)
        return rows.group_by("batch_id", "usecase", "dataset", "source", "reasons").aggregate(
            rows=rows.count(), at=rows["changed_at"].max()
        )

    found = workspace.lake.collect(counted, QUARANTINE).to_pylist()
    kinds = [_Kind(**{**row, "reasons": tuple(json.loads(row["reasons"]))}) for row in found]
    return Overview(
        rows=sum(kind.rows for kind in kinds), batches=_batches(kinds), reasons=_reasons(kinds), pairs=_pairs(kinds)
    )


@dataclass(frozen=True)
class _Kind:
    """Open rows of a batch that failed for the same reasons."""

    batch_id: str
    usecase: str
    dataset: str
    source: str
    reasons: tuple[str, ...]
    rows: int
    at: datetime


def _batches(kinds: list[_Kind]) -> tuple[OpenBatch, ...]:
    groups: dict[str, list[_Kind]] = defaultdict(list)
    for kind in kinds:
        groups[kind.batch_id].append(kind)
    made = []
    for batch_id, parts in groups.items():
        counts: Counter[str] = Counter()
        for part in parts:
            for reason in part.reasons:
                counts[reason] += part.rows
        first = parts[0]
        batch = OpenBatch(
            batch_id=batch_id,
            usecase=first.usecase,
            dataset=first.dataset,
            source=first.source,
            rows=sum(part.rows for part in parts),
            reasons=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_REASONS]),
        )
        made.append((max(part.at for part in parts), batch))
    return tuple(batch for _, batch in sorted(made, key=lambda pair: (pair[0], pair[1].batch_id), reverse=True))


def _reasons(kinds: list[_Kind]) -> tuple[ReasonCount, ...]:
    rows: Counter[tuple[str, str, str]] = Counter()
    alone: Counter[tuple[str, str, str]] = Counter()
    batches: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for kind in kinds:
        for reason in kind.reasons:
            name = (kind.usecase, kind.dataset, reason)
            rows[name] += kind.rows
            batches[name].add(kind.batch_id)
            if len(kind.reasons) == 1:
                alone[name] += kind.rows
    return tuple(
        ReasonCount(
            usecase=name[0],
            dataset=name[1],
            reason=name[2],
            rows=count,
            alone=alone[name],
            batches=len(batches[name]),
        )
        for name, count in sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    )


def _pairs(kinds: list[_Kind]) -> tuple[ReasonPair, ...]:
    single: Counter[tuple[str, str, str]] = Counter()
    both: Counter[tuple[str, str, str, str]] = Counter()
    for kind in kinds:
        reasons = sorted(set(kind.reasons))
        for reason in reasons:
            single[kind.usecase, kind.dataset, reason] += kind.rows
        for one, other in combinations(reasons, 2):
            both[kind.usecase, kind.dataset, one, other] += kind.rows
    return tuple(
        ReasonPair(
            usecase=usecase,
            dataset=dataset,
            reasons=(one, other),
            rows=count,
            share=count / min(single[usecase, dataset, one], single[usecase, dataset, other]),
        )
        for (usecase, dataset, one, other), count in sorted(both.items(), key=lambda item: (-item[1], item[0]))[
            :_MOST_PAIRS
        ]
    )


def refused_rows(
    workspace: "Workspace", batch: str, *, reason: str | None = None, limit: int | None = None, offset: int = 0
) -> RefusedPage:
    """Give refused rows of a batch in the order of their source, whatever their state.

    Args:
        workspace: The workspace.
        batch: Id of the batch.
        reason: Only rows that failed for it.
        limit: At most so many; None is all.
        offset: Leave out so many at the beginning.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, or no row of it failed for that reason.
    """
    held = held_batch(workspace, batch, reason=reason)

    def wanted(table: "ir.Table") -> "ir.Table":
        rows = newest_states(table, batch=batch)
        return rows if reason is None else rows.filter(has_reason(rows, reason))

    total = workspace.lake.collect(
        lambda table: (rows := wanted(table)).aggregate(total=rows.count()), QUARANTINE
    ).to_pylist()[0]["total"]

    def shown(table: "ir.Table") -> "ir.Table":
        rows = wanted(table).select("row_number", "reasons", "row", "state")
        return rows.order_by("row_number").limit(limit, offset=offset)

    page = workspace.lake.collect(shown, QUARANTINE)
    opened = opening(workspace.keys, usecase=held.usecase, dataset=held.dataset, batch_id=batch)
    rows = tuple(
        RefusedRow(
            row_number=row["row_number"],
            reasons=tuple(json.loads(row["reasons"])),
            row={name: shown_text(text) for name, text in json.loads(opened(row["row_number"], row["row"])).items()},
            state=row["state"],
        )
        for row in page.to_pylist()
    )
    return RefusedPage(total=total, rows=rows)


def batch_contract(workspace: "Workspace", batch: str) -> type[Contract] | None:
    """Give the contract of a batch's dataset; None where its use case is no longer installed.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch.
    """
    held = held_batch(workspace, batch)
    if held.usecase not in workspace.usecases():
        return None
    return workspace.usecase(held.usecase).contracts.get(held.dataset)


def shown_text(text: str | None) -> str | None:
    """Give a raw text as its source had it: a value of JSON that is no scalar is kept with a mark before it."""
    return None if text is None else text.removeprefix(NUL)

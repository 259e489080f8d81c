"""How long tables keep their rows, and which of them are past their time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.contracts.records import ALERTS, ATTEMPTS, EXPORTS, OUTCOMES, PREDICTIONS, QUARANTINE, READINGS
from trunkline.contracts.retention import KeepRows
from trunkline.errors import UnknownNameError
from trunkline.plugins import Installed
from trunkline.run.scheduling.record import JOBS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["Ripe", "Rule", "ripe_rows", "rules_of"]

_INGESTED: Final = "_ingested_at"
_PLATFORM: Final[Mapping[str, str]] = {
    PREDICTIONS: "predicted_at",
    OUTCOMES: "recorded_at",
    READINGS: "read_at",
    ALERTS: "raised_at",
    QUARANTINE: "changed_at",
    JOBS: "changed_at",
    EXPORTS: "exported_at",
    ATTEMPTS: "attempted_at",
}
"""Tables of the platform that may lose rows, and by what they age. The others are its memory of what it has done."""


@dataclass(frozen=True)
class Rule:
    """How long a table keeps its rows.

    Attributes:
        table: The table.
        keep: For how long.
        columns: What their age is counted from; the first that is not null.
        seals: Whether archives of the table are encrypted: where its contract has personal data that is, and for tables
            of the platform where that of any dataset is.
    """

    table: str
    keep: KeepRows
    columns: tuple[str, ...]
    seals: bool = False

    def before(self, now: datetime) -> datetime:
        """Rows from earlier go."""
        return now - timedelta(days=self.keep.days)


@dataclass(frozen=True)
class Ripe:
    """Rows of a table that are past their time.

    Attributes:
        rows: How many.
        oldest_at: The oldest, UTC; None where there are none.
        newest_at: The newest, UTC; None where there are none.
        before: Where the line is.
    """

    rows: int
    oldest_at: datetime | None
    newest_at: datetime | None
    before: datetime


def rules_of(workspace: "Workspace", installed: Installed) -> dict[str, Rule]:
    """Read how long tables keep their rows: as their contracts say, unless the settings say otherwise.

    Tables of broken use cases keep theirs.

    Args:
        workspace: Has the settings.
        installed: The use cases.

    Raises:
        UnknownNameError: The settings name a table that there is not, or that keeps its rows in any case.
        InputError: They let rows age by an event time that the contract does not have.
    """
    said = workspace.settings.retention.tables
    rules: dict[str, Rule] = {}
    known = dict.fromkeys(_PLATFORM)
    for usecase in installed.usecases.values():
        for name, contract in usecase.contracts.items():
            table = usecase.table_name(name)
            known[table] = None
            keep = said[table].keep_rows if table in said else contract.table.keep_rows
            if keep is None:
                continue
            event = contract.table.event_at if keep.by == "event" else None
            if keep.by == "event" and event is None:
                raise UnknownNameError(
                    "rows cannot age by their event time: the contract has none",
                    where=f"retention.tables.{table}",
                    allowed=('by = "ingestion"',),
                )
            seals = workspace.keys.is_encrypted(contract)
            rules[table] = Rule(table, keep, (event, _INGESTED) if event else (_INGESTED,), seals)
    for table, one in said.items():
        if table.partition(".")[0] in installed.broken:
            continue
        if table not in known:
            raise UnknownNameError(
                f"there is no table {table[:80]!r} whose rows may go", where="retention.tables", allowed=known
            )
        if table in _PLATFORM and one.keep_rows is not None:
            every = [contract for found in installed.usecases.values() for contract in found.contracts.values()]
            rules[table] = Rule(table, one.keep_rows, (_PLATFORM[table],), workspace.keys.is_encrypted(*every))
    return rules


def ripe_rows(workspace: "Workspace", rule: Rule, *, now: datetime) -> Ripe:
    """Count the rows that are past their time; nothing is touched."""
    from trunkline.lake.aging import aged

    lake, before = workspace.lake, rule.before(now)

    def counted(rows: "ir.Table") -> "ir.Table":
        import ibis

        at = ibis.coalesce(*(rows[name].cast("timestamp('UTC', 6)") for name in rule.columns))
        kept = rows.mutate(aged_at=at).filter(aged(rows, rule.columns, before))
        return kept.aggregate(rows=kept.count(), oldest=kept["aged_at"].min(), newest=kept["aged_at"].max())

    found = lake.collect(counted, rule.table).to_pylist()[0]
    return Ripe(found["rows"], found["oldest"], found["newest"], before)

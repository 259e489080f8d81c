"""What is a person's: where a key holds an identifier, which records have it, and what an erasure found."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.keys import key_parts
from trunkline.contracts.kinds import Scalar
from trunkline.ingest.landing import Landed
from trunkline.run.archived import Archived
from trunkline.run.wanted import Wanted

if TYPE_CHECKING:
    from trunkline.spec import UseCase

__all__ = ["Erased", "Found", "Part", "holds", "is_of", "key_part"]


class Erased(BaseModel):
    """What was erased, and what is out of reach.

    Attributes:
        kind: Identifier type.
        tables: Lake table to rows that went, over all versions as far as they were in the newest.
        log_records: Records of the durable log that went.
        raw_files: Raw copies in the landing zone that went, because the person was in them.
        models: Versions that learned from batches with the person, as ``usecase/version``; retrain to let them forget.
        archived: Absolute paths of files that watched folders had moved into their archives, held the person, and went.
        files: Absolute paths of files that were handed over, held the person, and still exist where they were, or in
            the archive of a watched folder, where they are not to be removed or were changed since.
        sources: Every source that had brought the person, as text: a path as it was handed over (absolute where the
            file still exists), or ``NAME: ORIGIN`` of a source that was pulled. Archives and systems behind them may
            hold the person still.
        unread: Archives that cannot be looked into now, and raw copies that stay because nobody can see into them:
            encrypted, damaged, or of a form whose reader is not installed. Files that watched folders had moved into
            their archives, too, where they cannot be looked into, or are not there together with their archive.
        brokers: Brokers, and dead-letter topics, that hold records by themselves, e.g. Kafka: nothing is taken out of
            their topics, and what they hold of the person goes with their own retention.
        sinks: Sinks that rows were published to. Tables that are replaced as a whole lose the person with the next
            `trunkline publish`; rows by key, added rows, messages, and dated tables of days that have no rows left stay
            there until somebody takes them out.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    tables: dict[str, int]
    log_records: int
    raw_files: int
    models: tuple[str, ...]
    files: tuple[str, ...]
    sources: tuple[str, ...]
    unread: tuple[str, ...]
    brokers: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()


@dataclass
class Found:
    """What was found on the way.

    Attributes:
        tables: Lake table to rows that went.
        batches: Ids of the batches that brought the person.
        log_records: Records of the durable log that went.
        raw_files: Raw copies that went.
        pieces: Raw copies that hold the person, each with its table.
        unread: Paths of raw copies into which nobody can see.
        archived: Archived files of watched folders that hold the person.
        archived_gone: Paths of those of them that went.
        archived_unread: Paths of archived files into which nobody can see, there or not.
        archives_unread: Archives that cannot be looked into.
        values: What is the person's in a column of a table, in any of its versions.
    """

    tables: dict[str, int] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    log_records: int = 0
    raw_files: int = 0
    pieces: list[tuple[str, Landed]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    archives_unread: list[str] = field(default_factory=list)
    archived: dict[Path, Archived] = field(default_factory=dict)
    archived_gone: list[str] = field(default_factory=list)
    archived_unread: set[str] = field(default_factory=set)
    values: dict[tuple[str, str], list[Scalar]] = field(default_factory=dict)

    def count(self, table: str, rows: int) -> None:
        """Add rows that went to those of their table."""
        if rows:
            self.tables[table] = self.tables.get(table, 0) + rows


class Part(NamedTuple):
    """Places of identifiers of one type in a key, and how many parts the key has."""

    at: tuple[int, ...]
    of: int


def key_part(usecase: "UseCase", kind: str) -> Part | None:
    """Say where the key of a use case's entities holds identifiers of a type; None where it holds none."""
    marked = {column.name for column in usecase.contract.columns if column.pii == kind}
    fields = usecase.entity_key
    at = tuple(place for place, name in enumerate(fields) if name in marked)
    return Part(at, len(fields)) if at else None


def is_of(record: dict[str, object], keyed: dict[str, Part], wanted: Wanted) -> bool:
    """Say whether an answer or an outcome is the person's, by the key of its entity."""
    part, key = keyed.get(str(record.get("usecase"))), record.get("entity_key")
    if part is None or not isinstance(key, str):
        return False
    parts = (key,) if part.of == 1 else key_parts(key)
    return any(at < len(parts) and wanted.is_cell(parts[at]) for at in part.at)


def holds(row: dict[str, str | None], wanted: Wanted) -> bool:
    """Say whether a refused row holds the identifier in any cell."""
    if set(row) == {"line"}:  # a line that was no row: nobody knows its cells
        return wanted.is_in_line(str(row["line"]))
    return any(cell is not None and wanted.is_cell(cell) for cell in row.values())

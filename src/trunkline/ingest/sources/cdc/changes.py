"""What both logs have in common: rows of changes, the pieces they are cut into, and the columns that are added."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from trunkline.errors import SourceError
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.sql.pieces import Piece, TextRow

__all__ = ["ADDED", "Change", "ChangePieces", "Operation"]

Operation = Literal["snapshot", "insert", "update", "delete"]
"""What was done with a row; a row of a snapshot was there."""

ADDED: Final = ("_op", "_deleted", "_commit_position", "_committed_at")
"""The columns that stand behind the table's own."""


@dataclass(frozen=True)
class Change:
    """One row of a table, and what became of it.

    Attributes:
        columns: Names of the table's columns.
        row: Their texts; of a deleted row at least the key, None for what the log does not tell.
        operation: What was done.
        place: Place in the log, sorting as the changes happened.
        committed_at: When it was committed; of a snapshot, when it was read.
    """

    columns: tuple[str, ...]
    row: TextRow
    operation: Operation
    place: str
    committed_at: datetime

    @property
    def texts(self) -> TextRow:
        """The row with what is added."""
        at = self.committed_at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        return (*self.row, self.operation, "true" if self.operation == "delete" else "false", self.place, at)


class ChangePieces:
    """Changes into files: a file ends when it is full, or when the table's columns change.

    Args:
        folder: For the files.
        origin: Where they come from.
        most_rows: Rows of a file.
    """

    def __init__(self, folder: Path, *, origin: str, most_rows: int) -> None:
        self._folder, self._origin, self._most_rows = folder, origin, most_rows
        self._number = 0
        self._piece: Piece | None = None
        self._columns: Sequence[str] = ()
        self._whole: str | None = None
        self._ends = False

    def name(self, whole: str | None, *, ends: bool = False) -> None:
        """Say of which whole the files are that end from now on, and whether they end it; see :class:`Pulled`."""
        self._whole, self._ends = whole, ends

    def add(self, change: Change, before: Position) -> Iterator[Pulled]:
        """Add a change, and give the file that ended before it, if one did.

        Args:
            change: The change.
            before: The position that comes to this change next.
        """
        if self._piece is not None and (self._piece.rows >= self._most_rows or self._columns != change.columns):
            yield self._cut(before)
        if self._piece is None:
            taken = sorted(set(ADDED).intersection(change.columns))
            if taken:
                raise SourceError(f"the table has a column {taken[0]!r} of its own", where=self._origin)
            self._number += 1
            self._columns = change.columns
            self._piece = Piece(self._folder / f"{self._number:06d}.parquet", (*change.columns, *ADDED))
        self._piece.add(change.texts)

    def rest(self, after: Position) -> Iterator[Pulled]:
        """Give the last file, if there is one, with the position that follows it."""
        if self._piece is not None:
            yield self._cut(after)

    def _cut(self, position: Position) -> Pulled:
        assert self._piece is not None
        piece, self._piece = self._piece, None
        piece.close()
        return Pulled(piece.path, origin=self._origin, position=position, whole=self._whole, ends=self._ends)

"""A cursor's values: how they are compared, what is asked for next, and which rows of the last moment are known.

Rows are asked for by ``cursor >= newest - overlap``, so rows that share the newest value, or were committed late, are
found. Those that came already are left out by their hashes, which lie in the position.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.sources.sql.address import DatabaseName
from trunkline.ingest.sources.sql.databases import CursorKind

__all__ = ["Cursor", "CursorValue", "Window", "known_rows", "no_time"]

CursorValue = str | int | float
"""A value as it stands in a position."""

Key = str | int | float | Decimal | date | datetime

_MOST_HASHES: Final = 1_000


@dataclass(frozen=True)
class Cursor:
    """How the cursor of a source is compared.

    Attributes:
        column: Its name.
        kind: How it is ordered.
        database: The database.
        overlap: How far a pull goes back.
    """

    column: str
    kind: CursorKind
    database: DatabaseName
    overlap: timedelta

    def value(self, given: object) -> CursorValue:
        """Give the value for a position.

        Raises:
            SourceError: It has no order that could be trusted.
        """
        if isinstance(given, str | int | float):
            return given
        raise SourceError(
            f"the cursor holds a value that is no text, number or time: {type(given).__name__}",
            where=f"column {self.column}",
            next_step="name another cursor, or use mode = 'full'",
        )

    def key(self, value: CursorValue) -> Key:
        """Give what is compared: values that the database holds equal have equal keys.

        Raises:
            SourceError: There is an overlap, and it is no time.
        """
        try:
            if self.kind == "integer":
                return int(value)
            if self.kind == "number":
                return Decimal(value)
            if self.kind in {"day", "instant"} or self.overlap:
                return _moment(str(value))
        except (ValueError, InvalidOperation):
            if self.overlap:
                raise no_time(self.column) from None
        return value

    def begin(self, value: CursorValue) -> object:
        """Give the parameter from which a pull reads, that value included.

        Raises:
            SourceError: There is an overlap, and the value is no time.
        """
        if self.overlap:
            key = self.key(value)
            if not isinstance(key, datetime):
                raise no_time(self.column)
            try:
                return _like(str(value), key - self.overlap, self.database)
            except OverflowError:
                return _like(str(value), datetime.min, self.database)  # noqa: DTZ901 - as naive as the values
        if self.database == "mariadb" and self.kind in {"integer", "number"}:
            return Decimal(value)  # a text would be compared as a float
        if self.database != "sqlite" and self.kind == "instant":
            return str(value).removesuffix("Z").replace("T", " ")
        return str(value) if self.database == "postgresql" else value

    def within(self, key: Key, newest: Key) -> bool:
        """Tell whether the next pull reads a value again."""
        if self.overlap and isinstance(key, datetime) and isinstance(newest, datetime):
            return newest - key <= self.overlap
        return key == newest

    def newer(self, value: CursorValue, than: CursorValue | None) -> bool:
        """Tell whether a value lies behind another; where that cannot be told, it does."""
        if than is None:
            return True
        ours, theirs = self.key(value), self.key(than)
        return not (isinstance(ours, datetime) and isinstance(theirs, datetime)) or ours > theirs


class Window:
    """The rows that the next pull reads again, by hash.

    Args:
        cursor: The cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._held: deque[tuple[Key, str]] = deque()
        self._dropped: Key | None = None
        self._newest: Key | None = None

    def add(self, key: Key, hashed: str) -> None:
        """Add a row; rows come in the order of the cursor."""
        self._newest = key
        while self._held and not self._cursor.within(self._held[0][0], key):
            self._held.popleft()
        if len(self._held) == _MOST_HASHES:
            self._dropped = self._held.popleft()[0]
        self._held.append((key, hashed))

    @property
    def hashes(self) -> str | None:
        """The hashes, for a position; None when they are too many."""
        dropped, newest = self._dropped, self._newest
        if dropped is not None and newest is not None and self._cursor.within(dropped, newest):
            return None
        return ",".join(hashed for _, hashed in self._held)

    def begun(self, ahead: Iterable[str]) -> str:
        """Give the hashes for a position in the midst of a pull; where they are too many, the others come again.

        Args:
            ahead: Hashes of known rows that were not read again yet.
        """
        return ",".join([*(hashed for _, hashed in self._held), *ahead][-_MOST_HASHES:])


def no_time(column: str) -> SourceError:
    """Say that an overlap needs a time."""
    return SourceError(
        "`overlap` is a time, and the cursor is none",
        where=f"column {column}",
        next_step="leave `overlap` out, or name a cursor of instants or dates",
    )


def known_rows(seen: object) -> Counter[str]:
    """Read the hashes of a position."""
    return Counter(seen.split(",")) if isinstance(seen, str) and seen and ":" not in seen else Counter()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta(0))


def _like(text: str, moment: datetime, database: DatabaseName) -> str:
    """Write a moment so that it compares with values written like a text."""
    if "T" not in text and " " not in text:
        return moment.date().isoformat()
    sep = "T" if "T" in text and database == "sqlite" else " "
    return moment.isoformat(sep=sep)

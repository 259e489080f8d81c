"""A cursor's values: how they are compared, and what is asked for next."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from trunkline.errors import SourceError
from trunkline.ingest.sources.following import CursorValue
from trunkline.ingest.sources.sql.address import DatabaseName
from trunkline.ingest.sources.sql.databases import CursorKind

__all__ = ["Cursor", "CursorValue", "no_time"]

Key = str | int | float | Decimal | date | datetime


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


def no_time(column: str) -> SourceError:
    """Say that an overlap needs a time."""
    return SourceError(
        "`overlap` is a time, and the cursor is none",
        where=f"column {column}",
        next_step="leave `overlap` out, or name a cursor of instants or dates",
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta(0))


def _like(text: str, moment: datetime, database: DatabaseName) -> str:
    """Write a moment so that it compares with values written like a text."""
    if "T" not in text and " " not in text:
        return moment.date().isoformat()
    sep = "T" if "T" in text and database == "sqlite" else " "
    return moment.isoformat(sep=sep)

"""A cursor of MongoDB: values of one kind, which BSON compares among themselves.

Kinds are numbers (whatever their BSON type), dates, ObjectIds and texts. A server's ``$gte`` finds values of the same
kind alone, so a field that mixes kinds cannot be followed, and is refused.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.sources.following import CursorValue

__all__ = ["MongoCursor"]

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Key = int | Decimal | str


@dataclass(frozen=True)
class MongoCursor:
    """How the cursor of a source is compared; its values stand in positions as ``kind:text``.

    Attributes:
        column: The field.
        overlap: How far a pull goes back.
        where: The collection, for messages.
    """

    column: str
    overlap: timedelta
    where: str

    def value(self, given: object, *, beside: CursorValue | None) -> str:
        """Give the value for a position.

        Args:
            given: As BSON is read.
            beside: Another value, which must be of the same kind; None for none.

        Raises:
            SourceError: It has no order that could be trusted, or is of another kind than those before it.
        """
        kind, text = _written(given)
        if not kind:
            raise SourceError(
                f"the cursor {self.column!r} holds a value that cannot be followed ({type(given).__name__})",
                where=self.where,
                allowed=("numbers", "dates", "ObjectIds", "texts"),
                next_step="name another cursor, or use mode = 'full'",
            )
        before = None if beside is None else str(beside).partition(":")[0]
        if before not in (None, kind):
            raise SourceError(
                f"the cursor {self.column!r} holds values of two kinds ({before} and {kind})",
                where=self.where,
                next_step="restrict `filter` to one of them ({ FIELD = { '$type' = ... } }), or name another cursor",
            )
        if self.overlap and kind != "date":
            raise SourceError(
                f"`overlap` is a time, and the cursor {self.column!r} holds values that are none ({kind})",
                where=self.where,
                next_step="leave `overlap` out, or name a field of dates",
            )
        return f"{kind}:{text}"

    def key(self, value: CursorValue) -> Key:
        """Give what is compared."""
        kind, _, text = str(value).partition(":")
        return int(text) if kind == "date" else Decimal(text) if kind == "number" else text

    def within(self, key: Key, newest: Key) -> bool:
        """Tell whether the next pull reads a value again."""
        if self.overlap and isinstance(key, int) and isinstance(newest, int):
            return newest - key <= self.overlap // _MILLISECOND
        return key == newest

    def newer(self, value: CursorValue, than: CursorValue | None) -> bool:
        """Tell whether a value lies behind another."""
        if than is None:
            return True
        ours, theirs = self.key(value), self.key(than)
        if isinstance(ours, str) or isinstance(theirs, str):
            # as BSON compares texts: by their bytes
            return str(ours).encode() > str(theirs).encode()
        return ours > theirs

    def begin(self, value: CursorValue) -> object:
        """Give the BSON value from which a pull reads, that value included."""
        from bson import DatetimeMS, Decimal128, Int64, ObjectId

        kind, _, text = str(value).partition(":")
        if kind == "date":
            return DatetimeMS(int(text) - self.overlap // _MILLISECOND)
        if kind == "ObjectId":
            return ObjectId(text)
        if kind == "text":
            return text
        number = Decimal(text)
        if number == number.to_integral_value() and abs(number) < 1 << 63:
            return Int64(int(number))
        return float(text) if Decimal(repr(float(text))) == number else Decimal128(text)


def _written(given: object) -> tuple[str, str]:
    """Give kind and text of a value; an empty kind where it has no order that could be trusted."""
    from bson import DatetimeMS, Decimal128, ObjectId

    if isinstance(given, datetime | DatetimeMS):
        at_ms = (given - _EPOCH) // _MILLISECOND if isinstance(given, datetime) else int(given)
        return "date", str(at_ms)
    if isinstance(given, ObjectId):
        return "ObjectId", str(given)
    if isinstance(given, str):
        return "text", given
    if isinstance(given, Decimal128):
        given = given.to_decimal()
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        return "", ""
    number = Decimal(repr(given)) if isinstance(given, float) else Decimal(given)
    return ("number", str(number)) if number.is_finite() else ("", "")

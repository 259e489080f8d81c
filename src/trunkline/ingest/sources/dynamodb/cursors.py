"""A cursor of DynamoDB, and the rows of its last moment; a scan gives them in no order."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.sources.dynamodb.values import Typed
from trunkline.spec.stores import DynamoSource

__all__ = ["DynamoCursor", "Recent"]

_MOST_HASHES: Final = 1_000
_UNITS: Final = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}


class DynamoCursor:
    """How the cursor of a source is compared; its values stand in positions as ``S:text`` or ``N:number``.

    Args:
        declared: The source.
        where: The table, for messages.
    """

    def __init__(self, declared: DynamoSource, *, where: str) -> None:
        self.column = declared.cursor or ""
        self._overlap, self._unit, self._where = declared.overlap, _UNITS[declared.cursor_unit], where

    def value(self, given: Typed, *, beside: str | None) -> str:
        """Give the value for a position.

        Args:
            given: As DynamoDB has it.
            beside: Another value, which must be of the same type; None for none.

        Raises:
            SourceError: It is neither text nor number, or of another type than those before it.
        """
        ((kind, said),) = given.items()
        if kind not in ("S", "N"):
            raise SourceError(
                f"the cursor {self.column!r} holds a value that cannot be followed (type {kind})",
                where=self._where,
                allowed=("texts (S)", "numbers (N)"),
                next_step="name another cursor, or use mode = 'full'",
            )
        if beside is not None and beside[0] != kind:
            raise SourceError(f"the cursor {self.column!r} holds both texts and numbers", where=self._where)
        value = f"{kind}:{said}"
        if self._overlap:
            self.begin(value)
        return value

    def begin(self, value: str) -> dict[str, str]:
        """Give the value from which a pull reads, that one included.

        Raises:
            SourceError: There is an overlap, and the value is no time.
        """
        kind, text = value[0], value[2:]
        if not self._overlap:
            return {kind: text}
        if kind == "N":
            return {
                "N": str(
                    Decimal(text)
                    - Decimal(self._overlap // timedelta(microseconds=1)) / (self._unit // timedelta(microseconds=1))
                )
            }
        try:
            at = datetime.fromisoformat(text)
            # without fraction and zone it sorts before all texts of that second
            return {"S": (at - self._overlap).isoformat(timespec="seconds")[:19]}
        except (ValueError, OverflowError):
            raise SourceError(
                f"`overlap` is a time, and the cursor {self.column!r} holds texts that are none",
                where=self._where,
                next_step="leave `overlap` out, or name a cursor of ISO 8601 times or of seconds since 1970",
            ) from None

    def newer(self, value: str, than: str | None) -> bool:
        """Tell whether a value lies behind another."""
        return than is None or (value != than and _at_least(value, than))

    def within(self, value: str, newest: str) -> bool:
        """Tell whether the next pull reads a value again."""
        ((kind, text),) = self.begin(newest).items()
        return _at_least(value, f"{kind}:{text}")


def _at_least(value: str, than: str) -> bool:
    if value[0] == "N":
        return Decimal(value[2:]) >= Decimal(than[2:])
    return value[2:].encode() >= than[2:].encode()  # texts compare by their bytes


class Recent:
    """The rows that the next pull reads again, by hash.

    Args:
        cursor: The cursor.
        newest: The newest value of an interrupted pull that goes on; None for none.
        hashes: The hashes of its position.
    """

    def __init__(self, cursor: DynamoCursor, *, newest: str | None = None, hashes: str = "") -> None:
        self._cursor, self.newest = cursor, newest
        # with the newest value they stay longer than they need to, which leaves nothing out
        self._held = [(newest, hashed) for hashed in hashes.split(",") if hashed] if newest is not None else []

    def add(self, value: str, hashed: str) -> None:
        """Add a row, in whatever order."""
        if self._cursor.newer(value, self.newest):
            self.newest = value
        if self.newest is not None and self._cursor.within(value, self.newest):
            self._held.append((value, hashed))
        if len(self._held) > 4 * _MOST_HASHES:
            self._prune()

    @property
    def hashes(self) -> str:
        """The hashes for a position; where there are too many, the others come again."""
        self._prune()
        return ",".join(hashed for _, hashed in self._held)

    def _prune(self) -> None:
        if self.newest is not None:
            newest = self.newest
            self._held = [one for one in self._held if self._cursor.within(one[0], newest)][-_MOST_HASHES:]

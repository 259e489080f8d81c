"""Messages of PostgreSQL's output plugin ``pgoutput``, protocol version 1, as values.

Format: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

__all__ = ["UNCHANGED", "Begin", "Commit", "Message", "Relation", "RowChange", "Truncate", "decoded"]

UNCHANGED: Final = object()
"""A large value that an update left as it was, and that the log does not repeat."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)

Value = object
"""A text, None for null, or :data:`UNCHANGED`."""


@dataclass(frozen=True)
class Begin:
    """A transaction begins: where its commit stands, when it was, and the transaction's number, of 32 bits."""

    commit_lsn: int
    committed_at: datetime
    xid: int


@dataclass(frozen=True)
class Commit:
    """A transaction ends: the place behind its commit."""

    end_lsn: int


@dataclass(frozen=True)
class Relation:
    """A table as it is from here on: names and types of its columns."""

    oid: int
    columns: tuple[str, ...]
    types: tuple[int, ...]


@dataclass(frozen=True)
class RowChange:
    """A row: what was done, the row before where the log tells it, and the row after.

    Attributes:
        oid: The table.
        operation: What was done.
        old: The row before; without REPLICA IDENTITY FULL its key only, and None where the key stayed.
        new: The row after.
        is_whole: Whether ``old`` holds all columns.
    """

    oid: int
    operation: Literal["insert", "update", "delete"]
    old: tuple[Value, ...] | None
    new: tuple[Value, ...] | None
    is_whole: bool = False


@dataclass(frozen=True)
class Truncate:
    """Tables were emptied."""

    oids: tuple[int, ...]


Message = Begin | Commit | Relation | RowChange | Truncate
"""What a message may say."""


class _Bytes:
    """Reads a message from left to right."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, form: Literal["b", "h", "i", "I", "q", "Q"]) -> int:
        (value,) = struct.unpack_from(f"!{form}", self._data, self._at)
        self._at += struct.calcsize(f"!{form}")
        return int(value)

    def mark(self) -> str:
        return chr(self.number("b"))

    def text(self) -> str:
        end = self._data.index(0, self._at)
        found, self._at = self._data[self._at : end].decode(), end + 1
        return found

    def row(self) -> tuple[Value, ...]:
        return tuple(self._value() for _ in range(self.number("h")))

    def _value(self) -> Value:
        mark = self.mark()
        if mark == "n":
            return None
        if mark == "u":
            return UNCHANGED
        size = self.number("i")
        found, self._at = self._data[self._at : self._at + size].decode(), self._at + size
        return found

    @property
    def ended(self) -> bool:
        return self._at >= len(self._data)


def decoded(data: bytes) -> Message | None:
    """Read a message; None for those that say nothing of rows.

    Raises:
        ValueError: It breaks off.
    """
    try:
        return _decoded(_Bytes(data))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError("a message of pgoutput breaks off") from error


def _decoded(data: _Bytes) -> Message | None:
    match data.mark():
        case "B":
            return Begin(data.number("Q"), _EPOCH + timedelta(microseconds=data.number("q")), data.number("I"))
        case "C":
            data.number("b"), data.number("Q")
            return Commit(data.number("Q"))
        case "R":
            return _relation(data)
        case "I":
            oid = data.number("I")
            data.mark()
            return RowChange(oid, "insert", None, data.row())
        case "U":
            oid, old, mark = data.number("I"), None, data.mark()
            if mark != "N":
                old = data.row()
                data.mark()
            return RowChange(oid, "update", old, data.row(), is_whole=mark == "O")
        case "D":
            oid, mark = data.number("I"), data.mark()
            return RowChange(oid, "delete", data.row(), None, is_whole=mark == "O")
        case "T":
            count, _ = data.number("i"), data.number("b")
            return Truncate(tuple(data.number("I") for _ in range(count)))
    return None


def _relation(data: _Bytes) -> Relation:
    oid, _, _, _ = data.number("I"), data.text(), data.text(), data.number("b")
    columns, types = [], []
    for _ in range(data.number("h")):
        data.number("b")
        columns.append(data.text())
        types.append(data.number("I"))
        data.number("i")
    return Relation(oid, tuple(columns), tuple(types))

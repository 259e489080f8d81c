"""Rows as messages: one JSON object per row, and an id by which a receiver knows one that comes twice.

The id is made of what names the row for good: where its table came from, and the write and line that brought it; or,
where its table notes no such thing, all that it holds. Neither delivery nor place is in it, so a row that goes again
for whatever reason goes under the id that it had.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from trunkline.contracts.keys import joined_key
from trunkline.publish.protocol import ROW_ID, Target

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Message", "RowNames", "document", "messages_of", "row_key"]


@dataclass(frozen=True)
class Message:
    """One row on its way.

    Attributes:
        message_id: Names it for good.
        key: Its key, parts joined by ``|``; empty where the target has none.
        body: The row as JSON.
    """

    message_id: str
    key: str
    body: bytes


def messages_of(target: Target, batch: "pa.RecordBatch") -> Iterator[Message]:
    """Give the messages of some rows.

    Args:
        target: Where they go.
        batch: The rows, with :data:`~trunkline.publish.protocol.ROW_ID`.
    """
    for row in batch.to_pylist():
        message_id = str(row.pop(ROW_ID))
        yield Message(message_id, row_key(target, row), document(row))


class RowNames:
    """Names rows for good by some of their values, one piece after the other.

    Args:
        place: What the rows are of.
        of: Names of the values; one that is null in a row does not count, so a column that is new changes no name.
    """

    def __init__(self, place: str, of: Sequence[str]) -> None:
        self._place, self._of = place.encode(), tuple(of)
        self._last, self._again = b"", 0

    def of(self, columns: "Sequence[pa.Array]") -> list[str]:
        """Name some rows; rows that are equal in all values follow one another, and are told apart by their number."""
        found = []
        for values in zip(*(column.to_pylist() for column in columns), strict=True):
            row = {name: _plain(value) for name, value in zip(self._of, values, strict=True) if value is not None}
            said = json.dumps(row, sort_keys=True, default=str).encode()
            self._again = self._again + 1 if said == self._last else 0
            self._last = said
            named = b"|".join((self._place, str(self._again).encode(), said))
            found.append(hashlib.sha256(named).hexdigest()[:32])
        return found


def row_key(target: Target, row: dict[str, object]) -> str:
    """Give the key of a row as one text; empty where the target has none."""
    return joined_key([str(_plain(row[name])) for name in target.key]) if target.key else ""


def document(row: dict[str, object]) -> bytes:
    """Write a row as JSON: instants in UTC, days and instants as ISO 8601."""
    said = {name: _plain(value) for name, value in row.items()}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value - value != 0:
        return None
    return value

"""Rows as messages: one JSON object per row, and an id by which a receiver knows one that comes twice.

The id is a hash of the target, the delivery and the row's place in it; the same delivery made again gives the same
messages in the same order with the same ids.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from trunkline.publish.protocol import Delivery, Target

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Message", "document", "messages_of", "row_key"]


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


def messages_of(delivery: Delivery, batch: "pa.RecordBatch", *, first: int) -> Iterator[Message]:
    """Give the messages of some rows.

    Args:
        delivery: What they belong to.
        batch: The rows.
        first: Place of the first of them in the delivery.
    """
    target = delivery.target
    for place, row in enumerate(batch.to_pylist()):
        named = f"{target.name}|{delivery.batch_id}|{first + place}"
        message_id = hashlib.sha256(named.encode()).hexdigest()[:32]
        yield Message(message_id, row_key(target, row), document(row))


def row_key(target: Target, row: dict[str, object]) -> str:
    """Give the key of a row as one text; empty where the target has none."""
    return "|".join(str(_plain(row[name])) for name in target.key)


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

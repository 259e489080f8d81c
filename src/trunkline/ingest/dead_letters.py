"""Records of a topic that broke their contract, told to whoever reads the dead-letter topic beside it.

Takes the receipt of a chunk whose refused rows are in the quarantine already; sends one message for each. At least
once: a consumer that was killed before it noted the chunk as done sends them again, with the same ids.
"""

import json
from typing import TYPE_CHECKING, Final

import orjson

from trunkline.brokers import Broker, Message
from trunkline.checks import arrow_schema
from trunkline.checks.sealing import is_sealed_text
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, QuarantinedRow, Receipt

if TYPE_CHECKING:
    from trunkline.lake import Lake

__all__ = ["DEAD_LETTER_SCHEMA", "send_dead_letters"]


DEAD_LETTER_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "required": [
        *("quarantine_id", "usecase", "dataset", "topic", "source", "row_number", "reasons", "row", "refused_at"),
    ],
    "additionalProperties": False,
    "properties": {
        "quarantine_id": {"type": "string", "description": "Tells a repeat; also the key of the message"},
        "usecase": {"type": "string"},
        "dataset": {"type": "string"},
        "topic": {"type": "string", "description": "Where the row came from"},
        "source": {"type": "string", "description": "Partition and offsets of its chunk"},
        "row_number": {"type": "integer", "minimum": 1},
        "reasons": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "row": {"type": ["object", "null"], "description": "As it came; null where the contract has personal data"},
        "refused_at": {"type": "string", "format": "date-time"},
    },
}
"""JSON Schema of a dead letter."""


def send_dead_letters(
    broker: Broker, topic: str, *, of: str, contract: type[Contract], receipt: Receipt, lake: "Lake"
) -> int:
    """Send the refused rows of a chunk to a dead-letter topic; durable on return.

    Each message is an object: ``quarantine_id`` (its key as well), ``topic`` that it came from, ``source`` (partition
    and offsets of the chunk), ``row_number`` in it, ``reasons``, ``row`` as it came, and ``refused_at``. ``row`` is
    null where the contract has personal data, protected or not: no erasure reaches that topic, the quarantine it does.

    Args:
        broker: Where the topic is.
        topic: The dead-letter topic; made if it is not there.
        of: The topic that the chunk is of.
        contract: What its rows broke.
        receipt: Of the chunk.
        lake: Has its refused rows.

    Returns:
        How many were sent.

    Raises:
        UnavailableError: The broker did not store them.
    """
    if not receipt.quarantined:
        return 0
    found = lake.arrow(
        QUARANTINE,
        schema=arrow_schema(QuarantinedRow),
        where=lambda rows: (rows["batch_id"] == receipt.batch_id) & (rows["state"] == "open"),
    )
    has_persons = any(column.pii for column in contract.columns)
    letters = {
        str(row["quarantine_id"]): Message(
            orjson.dumps(
                {
                    "quarantine_id": row["quarantine_id"],
                    "usecase": row["usecase"],
                    "dataset": row["dataset"],
                    "topic": of,
                    "source": row["source"],
                    "row_number": row["row_number"],
                    "reasons": json.loads(row["reasons"]),
                    "row": None if has_persons or is_sealed_text(row["row"]) else json.loads(row["row"]),
                    "refused_at": row["changed_at"],
                }
            ),
            str(row["quarantine_id"]).encode(),
        )
        for row in found.to_pylist()
    }
    broker.publish({topic: list(letters.values())})
    return len(letters)

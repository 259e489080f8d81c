"""What the server writes down of its answers and of outcomes: rows of the platform's tables, as lines of JSON.

A line has exactly the fields of its record (``contracts.records``); instants are microseconds since 1970-01-01 UTC, so
that the flusher turns thousands of lines into an Arrow table without Python per row.
"""

import hashlib
import itertools
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

import orjson

from trunkline.contracts import Contract, Instant, Number, Table, Text, field
from trunkline.contracts.keys import joined_key
from trunkline.contracts.kinds import Scalar
from trunkline.contracts.records import Outcome, PredictionLog
from trunkline.serve.deployments import Loaded

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "OUTCOMES",
    "PREDICTIONS",
    "TOPICS",
    "OutcomeMessage",
    "RequestIds",
    "entity_key",
    "outcome_lines",
    "prediction_lines",
    "record_table",
]

PREDICTIONS: Final = "predictions"
"""Lake table of the answers."""
OUTCOMES: Final = "outcomes"
"""Lake table of the outcomes."""
TOPICS: Final[Mapping[str, tuple[str, type[Contract]]]] = {
    PREDICTIONS: ("platform.predictions", PredictionLog),
    OUTCOMES: ("platform.outcomes", Outcome),
}
"""Topic of the durable log to the lake table it ends up in, and that table's contract."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class OutcomeMessage(Contract):
    """One ground truth, as sent to ``POST /v1/{usecase}/outcomes``."""

    table: ClassVar[Table] = Table(key=("entity_key", "observed_at"))

    entity_key: Text = field("The entity's key in its contract, parts joined by '|'", max_length=200)
    value: Number = field("1 or 0 for a class, the true value for a regression")
    observed_at: Instant = field("When the truth became true")
    prediction_id: Text | None = field("The answer it judges, where it is known", max_length=100)
    outcome_id: Text | None = field(
        "Identity of this message; one that is sent twice counts once. Derived from the content where it is absent",
        max_length=100,
    )


class RequestIds:
    """Gives ids that no other request has: a random part for this server, then a count."""

    def __init__(self) -> None:
        self._server = uuid.uuid4().hex[:20]
        self._count = itertools.count(1)

    def __call__(self) -> str:
        """Give the next id, 32 hexadecimal digits."""
        return f"{self._server}{next(self._count):012x}"


def entity_key(row: Mapping[str, Scalar | None], *, fields: Sequence[str]) -> str | None:
    """Join the key of a row as the prediction log has it; None when a part is absent."""
    if len(fields) == 1:
        value = row.get(fields[0])
        return None if value is None else str(value)
    parts = [row.get(name) for name in fields]
    return joined_key([str(part) for part in parts]) if parts and None not in parts else None


def prediction_lines(
    loaded: Loaded,
    *,
    usecase: str,
    request: str,
    rows: Sequence[Mapping[str, Scalar | None]],
    keys: Sequence[str],
    scores: Sequence[float],
    at: datetime,
) -> bytes:
    """Write down the answers of one request.

    Args:
        loaded: The model that answered.
        usecase: The use case.
        request: The request's id.
        rows: The typed rows.
        keys: Fields of the entity's key.
        scores: One per row.
        at: When it was answered.

    Returns:
        One line per row, no newline at the end.
    """
    at_us = (at - _EPOCH) // _MICROSECOND
    version, alias, names, threshold = loaded.live.version, loaded.alias, loaded.features, loaded.threshold
    dumps = orjson.dumps
    return b"\n".join(
        [
            dumps(
                {
                    "prediction_id": f"{request}-{position}",
                    "request_id": request,
                    "usecase": usecase,
                    "entity_key": entity_key(row, fields=keys),
                    "model_version": version,
                    "alias": alias,
                    "channel": "api",
                    "score": score,
                    "decision": None if threshold is None else score >= threshold,
                    "features": dumps({name: row.get(name) for name in names}).decode(),
                    "predicted_at": at_us,
                }
            )
            for position, (row, score) in enumerate(zip(rows, scores, strict=True))
        ]
    )


def outcome_lines(
    rows: Sequence[Mapping[str, Scalar | None]], *, usecase: str, at: datetime
) -> tuple[bytes, tuple[str, ...]]:
    """Write down outcomes.

    Args:
        rows: Rows of :class:`OutcomeMessage`, typed.
        usecase: The use case.
        at: When they arrived.

    Returns:
        One line per row, no newline at the end, and the id of each.
    """
    lines, ids = [], []
    for row in rows:
        observed_at = row["observed_at"]
        assert isinstance(observed_at, datetime)  # the contract says so
        content = orjson.dumps([usecase, row["entity_key"], row["value"], observed_at, row["prediction_id"]])
        outcome_id = row["outcome_id"] or hashlib.sha256(content).hexdigest()[:32]
        ids.append(str(outcome_id))
        lines.append(
            orjson.dumps(
                {
                    "outcome_id": outcome_id,
                    "usecase": usecase,
                    "entity_key": row["entity_key"],
                    "prediction_id": row["prediction_id"],
                    "value": row["value"],
                    "observed_at": (observed_at - _EPOCH) // _MICROSECOND,
                    "recorded_at": (at - _EPOCH) // _MICROSECOND,
                }
            )
        )
    return b"\n".join(lines), tuple(ids)


def record_table(contract: type[Contract], values: Sequence[bytes]) -> "pa.Table":
    """Turn lines of one record into a table of its contract.

    Args:
        contract: The record.
        values: Each any number of lines, as the functions above give them.

    Raises:
        pyarrow.ArrowInvalid: A line is not what they give.
    """
    import pyarrow as pa
    import pyarrow.json as pa_json

    from trunkline.checks import arrow_schema

    schema = arrow_schema(contract)
    plain = pa.schema(
        [pa.field(one.name, pa.int64() if pa.types.is_timestamp(one.type) else one.type) for one in schema]
    )
    lines = [value for value in values if value]  # an erased record has no value left
    if not lines:
        return schema.empty_table()
    content = pa.py_buffer(b"\n".join(lines) + b"\n")
    table = pa_json.read_json(
        pa.BufferReader(content),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=max(len(content), 1)),
        parse_options=pa_json.ParseOptions(explicit_schema=plain, unexpected_field_behavior="error"),
    )
    return table.cast(schema)

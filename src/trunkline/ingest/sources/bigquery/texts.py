"""Columns of BigQuery's Arrow as the texts that a contract judges; records become columns with dotted names."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from trunkline.ingest.sources.documents import plain_number
from trunkline.ingest.sources.sql.pieces import TextRow

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.bigquery import SchemaField

__all__ = ["columns_of", "text_of", "text_rows"]


def columns_of(schema: "Sequence[SchemaField]", prefix: str = "") -> tuple[str, ...]:
    """Name the columns: fields of a record behind its own name and a point; lists of records are one column.

    Args:
        schema: BigQuery's own.
        prefix: Stands before every name.
    """
    names: list[str] = []
    for one in schema:
        name = f"{prefix}{one.name}"
        is_record = one.field_type in ("RECORD", "STRUCT") and one.mode != "REPEATED"
        names += columns_of(one.fields, f"{name}.") if is_record else _bounds(name, one)
    return tuple(names)


def _bounds(name: str, one: "SchemaField") -> tuple[str, ...]:
    """A range comes as a record of its two ends."""
    return (f"{name}.start", f"{name}.end") if one.field_type == "RANGE" and one.mode != "REPEATED" else (name,)


def text_rows(batch: "pa.RecordBatch") -> Iterator[TextRow]:
    """Give the rows of a batch in the order of :func:`columns_of`."""
    return zip(*(_texts(column) for column in _leaves(batch.columns)), strict=True)


def _texts(column: "pa.Array") -> list[str | None]:
    """Give the texts of a column; Arrow writes those of frequent types as :func:`text_of` does, and much faster."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        texts: list[str | None] = column.to_pylist()
        return texts
    return [text_of(value) for value in column.to_pylist()]


def _leaves(columns: "Sequence[pa.Array]") -> "Iterator[pa.Array]":
    import pyarrow as pa

    for column in columns:
        if pa.types.is_struct(column.type):
            yield from _leaves(column.flatten())
        else:
            yield column


def text_of(value: object) -> str | None:
    """Give the text of a value, as BigQuery's own export writes it.

    >>> text_of(Decimal("1.200000000")), text_of(datetime(2026, 7, 1, 8, 15, tzinfo=UTC)), text_of(bytes([255]))
    ('1.2', '2026-07-01T08:15:00Z', 'ff')
    >>> text_of([Decimal("0.5"), {"at": date(2026, 1, 1)}])
    '[0.5,{"at":"2026-01-01"}]'
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json.dumps(_json(value), ensure_ascii=False, separators=(",", ":"))
    scalar = _scalar(value)
    return scalar if isinstance(scalar, str) else str(scalar)


def _scalar(value: object) -> object:
    for kind, text in _WRITTEN:
        if isinstance(value, kind):
            return text(value)
    return value


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _json(one) for name, one in value.items()}
    if isinstance(value, Decimal):
        return plain_number(value)
    if isinstance(value, float) and value - value == 0:
        return value
    return value if isinstance(value, bool | int | str | None) else _scalar(value)


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _instant_text(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _interval_text(value: tuple[int, ...]) -> str:
    """Write months, days and nanoseconds by ISO 8601, e.g. ``P1M2DT0.5S``."""
    months, days, nanoseconds = value
    seconds = _decimal_text(Decimal(nanoseconds) / 1_000_000_000)
    return f"P{months}M{days}DT{seconds}S"


_WRITTEN: Final[tuple[tuple[type, Callable[..., str]], ...]] = (
    (bool, lambda flag: "true" if flag else "false"),
    (float, float.__repr__),
    (Decimal, _decimal_text),
    (datetime, _instant_text),  # a datetime is a date too
    (date, date.isoformat),
    (time, time.isoformat),
    (bytes, bytes.hex),
    (tuple, _interval_text),
)

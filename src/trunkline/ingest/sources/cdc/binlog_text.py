"""Values as mysql-replication decodes them, as the texts a SELECT gives of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from pymysqlreplication.column import Column

__all__ = ["texts_of"]

_TIMESTAMPS: Final = frozenset((7, 17))
_BIT: Final = 16
_FIXED: Final = 254
_UUID_BYTES: Final = 16
_NULLS: Final = frozenset((None, "null", "cols bitmap"))
_NO_DATE: Final = "0000-00-00"


def texts_of(
    columns: "Sequence[Column]",
    values: Mapping[str, object],
    sources: Mapping[str, object],
    *,
    uuids: frozenset[str],
) -> tuple[str | None, ...]:
    """Give a row's texts.

    Args:
        columns: The table's columns.
        values: Column to value.
        sources: Column to why its value is None; dates that Python does not know are told here.
        uuids: Columns of the type UUID, which the log tells from no other 16 bytes.

    Returns:
        One text per column, None for null.
    """
    return tuple(
        _text(column, values.get(column.name), sources.get(column.name), is_uuid=column.name in uuids)
        for column in columns
    )


def _text(column: "Column", value: object, source: object, *, is_uuid: bool) -> str | None:  # noqa: PLR0911 - one way out per type
    digits = int(getattr(column, "fsp", 0) or 0)
    if value is None:
        why = None if source is None else str(source).lower()
        if why == "empty set":
            return ""
        return None if why in _NULLS else _NO_DATE
    if isinstance(value, str) and column.type == _BIT:
        return str(int(value, 2))
    if isinstance(value, str | bytes) and column.character_set_name in {None, "binary"}:
        return _bytes(column, value, is_uuid=is_uuid)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return _cut(value.isoformat(timespec="microseconds"), digits) + ("Z" if column.type in _TIMESTAMPS else "")
    if isinstance(value, timedelta):
        return _cut(_clock(value), digits)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, set):
        return ",".join(name for name in column.set_values if name in value)
    return str(value)


def _bytes(column: "Column", value: str | bytes, *, is_uuid: bool) -> str:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if column.type == _FIXED:
        data = data.ljust(column.max_length, b"\0")  # the log leaves out zeros at the end
    return str(UUID(bytes=data)) if is_uuid and len(data) == _UUID_BYTES else data.hex()


def _cut(text: str, digits: int) -> str:
    """Keep as many digits of the second's fraction as the column has."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:digits]}" if digits else whole


def _clock(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    seconds, fraction = divmod(abs(value), timedelta(seconds=1))
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction.microseconds:06d}"

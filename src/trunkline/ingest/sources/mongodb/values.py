"""BSON values as JSON: what a contract judges, with every digit and every instant as the server has it.

Pymongo's Arrow reader is not used: it takes the type of a field from the first document that has it, and gives null,
or a number cut off, for all others.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from trunkline.ingest.sources.documents import plain_number

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions

__all__ = ["as_json", "codec_options", "date_text"]

_WHOLE: Final = frozenset((str, bool, type(None)))


def codec_options() -> "CodecOptions[dict[str, object]]":
    """Give how BSON is read: dates with their zone, UUIDs as such, text that is no UTF-8 with its bytes shown."""
    from bson.binary import UuidRepresentation
    from bson.codec_options import CodecOptions, DatetimeConversion

    return CodecOptions(
        document_class=dict,
        tz_aware=True,
        uuid_representation=UuidRepresentation.STANDARD,
        unicode_decode_error_handler="backslashreplace",
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    )


def as_json(value: object) -> object:
    """Give a value of a document as JSON's own values.

    Args:
        value: As :func:`codec_options` reads it.
    """
    if type(value) in _WHOLE:
        return value
    if isinstance(value, Mapping):
        return {str(name): as_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    if isinstance(value, int):
        return int(value)  # Int64 too
    if isinstance(value, float) and value - value == 0:
        return value
    return _scalar(value)


def _scalar(value: object) -> object:
    """Give what JSON does not know as a text; what has no such text as an object of Extended JSON."""
    from bson import DatetimeMS, Decimal128, ObjectId
    from bson.json_util import RELAXED_JSON_OPTIONS, default

    if isinstance(value, float):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - so is NaN told
    if isinstance(value, datetime):
        return date_text(value)
    if isinstance(value, DatetimeMS):
        return f"Date({int(value)})"  # a year that no calendar here has: refused by its contract, and not lost
    if isinstance(value, Decimal128):
        return plain_number(value.to_decimal())
    if isinstance(value, ObjectId | UUID):
        return str(value)
    if isinstance(value, bytes):  # Binary too
        return value.hex()
    return as_json(default(value, RELAXED_JSON_OPTIONS))


def date_text(at: datetime) -> str:
    """Write an instant in UTC; BSON knows milliseconds.

    >>> date_text(datetime(2026, 7, 1, 8, 15, 0, 250_000, tzinfo=UTC))
    '2026-07-01T08:15:00.250Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

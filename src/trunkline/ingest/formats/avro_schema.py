"""An Avro schema as a plan: which columns its records become, and how each value becomes the text of a contract.

Logical types are taken out of the schema that fastavro decodes by, and applied here: a date beyond year 9999 then is
one refused row, marked with U+0000, and not the end of the file.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Final, cast
from uuid import UUID

from trunkline.contracts.kinds import NUL
from trunkline.errors import SourceError
from trunkline.ingest.formats.json_values import Opaque

__all__ = ["Plan", "plan_of"]

_Text = Callable[[object], object]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_ONE: Final = date(1970, 1, 1)
_DEEPEST: Final = 32
_MOST_DIGITS: Final = 1000
_PLAIN: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_UNITS: Final = {"millis": 1_000_000, "micros": 1_000, "nanos": 1}


@dataclass(frozen=True)
class Plan:
    """How records become rows.

    Attributes:
        schema: What to decode by: the writer's schema without logical types.
        columns: Names of the columns.
        texts: Per field that needs it, how its value becomes one that JSON could hold; nested ones too.
    """

    schema: dict[str, object]
    columns: tuple[str, ...]
    texts: _Text

    def values(self, record: Mapping[str, object]) -> dict[str, object]:
        """Make a record's values those that JSON could hold."""
        return cast("dict[str, object]", self.texts(record))


def plan_of(schema: bytes, *, most_columns: int, where: str) -> Plan:
    """Read a schema.

    Args:
        schema: JSON.
        most_columns: How many values a record may have, those of records inside it included.
        where: The file, for messages.

    Raises:
        SourceError: It is no record with fields, is recursive, too wide, or nested too deeply.
        ValueError: It is no schema. So are ``KeyError`` and ``TypeError``.
    """
    parsed: object = json.loads(schema)
    reader = _Reader(where, most_columns)
    read = reader.read(parsed, "")
    plain = read.plain
    if not isinstance(plain, dict) or plain.get("type") != "record" or not plain["fields"]:
        raise SourceError("its schema is not a record with fields", where=where, next_step="export rows")
    if read.least_bytes == 0:
        raise SourceError("its records hold no values", where=where, next_step="check its export")
    return Plan(plain, tuple(dict.fromkeys(_columns(plain, reader.named, ""))), read.text)


@dataclass(frozen=True)
class _Read:
    """A part of a schema.

    Attributes:
        plain: It without logical types.
        text: How its values become those of JSON.
        least_bytes: 0 where a value may take no bytes at all, else 1.
        leaves: How many scalars a value has, one of each list.
    """

    plain: object
    text: _Text
    least_bytes: int
    leaves: int


class _Reader:
    """Walks through a schema, takes logical types out, and collects what to do about them."""

    def __init__(self, where: str, most_leaves: int) -> None:
        self.named: dict[str, _Read] = {}
        self._open: list[str] = []
        self._where, self._most_leaves = where, most_leaves

    def read(self, schema: object, space: str) -> _Read:
        """Read a schema below a namespace."""
        if len(self._open) > _DEEPEST:
            raise self._refused("its schema is nested too deeply")
        if isinstance(schema, str):
            return self._reference(schema, space)
        if isinstance(schema, list):
            return self._union(schema, space)
        if not isinstance(schema, dict):
            raise TypeError("a schema is a name, a list or an object")
        kind = schema["type"]
        self._open.append("")
        try:
            return self.read(kind, space) if isinstance(kind, dict | list) else self._object(schema, str(kind), space)
        finally:
            self._open.pop()

    def _reference(self, name: str, space: str) -> _Read:
        if name in _PLAIN:
            return _Read(name, _bytes_text if name == "bytes" else _same, 0 if name == "null" else 1, 1)
        full = name if "." in name or not space else f"{space}.{name}"
        full = full if full in self.named or full in self._open else name
        if full in self._open:
            raise self._refused("its schema is recursive")
        return replace(self.named[full], plain=full)

    def _union(self, schema: list[object], space: str) -> _Read:
        read = [self.read(branch, space) for branch in schema]
        if not read:
            raise ValueError("a union without branches")
        texts = [branch.text for branch in read if branch.plain != "null"]
        # which of several branches a value is of is told by its type; logical types are left aside there
        text = _or_none(texts[0]) if len(texts) == 1 else _any_text
        return _Read([branch.plain for branch in read], text, 1, sum(branch.leaves for branch in read))

    def _object(self, schema: Mapping[str, object], kind: str, space: str) -> _Read:
        if kind in ("array", "map"):
            inside = "items" if kind == "array" else "values"
            held = self.read(schema[inside], space)
            if held.least_bytes == 0:  # such a list may say that it has any number of them
                raise self._refused("its schema has lists of values without bytes")
            text = _list_text(held.text) if kind == "array" else _map_text(held.text)
            return _Read({"type": kind, inside: held.plain}, text, 1, held.leaves)
        if kind in ("record", "enum", "fixed"):
            return self._named(schema, kind, space)
        read = self._reference(kind, space)
        return replace(read, text=_logical(schema) or read.text)

    def _named(self, schema: Mapping[str, object], kind: str, space: str) -> _Read:
        name = str(schema["name"])
        space = str(schema.get("namespace") or (name.rpartition(".")[0] if "." in name else space))
        full = name if "." in name or not space else f"{space}.{name}"
        plain: dict[str, object] = {"type": kind, "name": full}
        if kind == "enum":
            read = _Read(plain | {"symbols": schema["symbols"]}, _same, 1, 1)
        elif kind == "fixed":
            size = int(cast("int", schema["size"]))
            read = _Read(plain | {"size": size}, _logical(schema) or _bytes_text, min(1, max(0, size)), 1)
        else:
            self._open.append(full)
            fields = [cast("dict[str, object]", field) for field in cast("list[object]", schema["fields"])]
            parts = {str(field["name"]): self.read(field["type"], space) for field in fields}
            self._open.pop()
            leaves = max(1, sum(part.leaves for part in parts.values()))
            if leaves > self._most_leaves:
                raise self._refused(f"its schema has more than {self._most_leaves:,} columns")
            read = _Read(
                plain | {"fields": [{"name": field, "type": part.plain} for field, part in parts.items()]},
                _record_text({field: part.text for field, part in parts.items()}),
                max((part.least_bytes for part in parts.values()), default=0),
                leaves,
            )
        self.named[full] = read
        return read

    def _refused(self, what: str) -> SourceError:
        return SourceError(what, where=self._where, next_step="export a table: records of scalars")


def _columns(schema: object, named: Mapping[str, _Read], prefix: str) -> Iterator[str]:
    for field in cast("dict[str, list[dict[str, object]]]", schema)["fields"]:
        name, kind = f"{prefix}{field['name']}", field["type"]
        branches = kind if isinstance(kind, list) else [kind]
        is_scalar = False
        for branch in branches:
            held = named[branch].plain if isinstance(branch, str) and branch in named else branch
            if isinstance(held, dict) and held["type"] == "record" and held["fields"]:
                yield from _columns(held, named, f"{name}.")
            else:
                is_scalar |= held != "null" or len(branches) == 1
        if is_scalar:
            yield name


def _logical(schema: Mapping[str, object]) -> _Text | None:
    """Give how values of a logical type become texts; None where the plain type says it."""
    logical, kind = str(schema.get("logicalType", "")), schema["type"]
    if logical == "decimal" and kind in ("bytes", "fixed"):
        scale = int(cast("int", schema.get("scale", 0)))
        if not 0 <= scale <= _MOST_DIGITS:
            raise ValueError("a decimal's scale is out of range")
        return lambda value: _decimal_text(value, scale)
    if logical == "uuid" and kind == "fixed":
        return lambda value: str(UUID(bytes=cast("bytes", value))) if len(cast("bytes", value)) == 16 else NUL
    if logical == "date" and kind == "int":
        return _date_text
    base, _, unit = logical.rpartition("-")
    if kind not in ("int", "long") or unit not in _UNITS:
        return None
    nanos = _UNITS[unit]
    if base in ("timestamp", "local-timestamp"):
        zone = "Z" if base == "timestamp" else ""
        return lambda value: _instant_text(cast("int", value) * nanos, zone)
    return (lambda value: _time_text(cast("int", value) * nanos)) if base == "time" else None


def _same(value: object) -> object:
    return value


def _any_text(value: object) -> object:
    if isinstance(value, bytes):
        return _bytes_text(value)
    if isinstance(value, dict):
        return {str(name): _any_text(held) for name, held in value.items()}
    return [_any_text(held) for held in value] if isinstance(value, list) else value


def _bytes_text(value: object) -> object:
    data = cast("bytes", value)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NUL + data.hex()


def _or_none(text: _Text) -> _Text:
    return text if text is _same else lambda value: None if value is None else text(value)


def _list_text(text: _Text) -> _Text:
    return _same if text is _same else lambda values: [text(value) for value in cast("list[object]", values)]


def _map_text(text: _Text) -> _Text:
    # the keys of a map are values, and no names of columns
    return lambda held: Opaque({key: text(value) for key, value in cast("dict[str, object]", held).items()})


def _record_text(texts: Mapping[str, _Text]) -> _Text:
    steps = [(field, text) for field, text in texts.items() if text is not _same]

    def text(record: object) -> object:
        held = dict(cast("dict[str, object]", record))
        for field, step in steps:
            held[field] = step(held[field])
        return held

    return text


def _decimal_text(value: object, scale: int) -> str:
    data = cast("bytes", value)
    if len(data) > _MOST_DIGITS:
        return NUL + data.hex()
    with localcontext() as context:
        context.prec = 3 * _MOST_DIGITS
        number = Decimal(int.from_bytes(data, "big", signed=True)).scaleb(-scale)
    return f"{number:f}"


def _date_text(value: object) -> str:
    try:
        return (_DAY_ONE + timedelta(days=cast("int", value))).isoformat()
    except OverflowError:
        return f"{NUL}{value}"


def _instant_text(nanos: int, zone: str) -> str:
    """ISO 8601, with as many digits of a second as are not zero, in threes."""
    seconds, part = divmod(nanos, 1_000_000_000)
    try:
        instant = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    except OverflowError:
        return f"{NUL}{nanos}"
    return f"{instant}{_fraction(part)}{zone}"


def _time_text(nanos: int) -> str:
    seconds, part = divmod(nanos, 1_000_000_000)
    if not 0 <= seconds < 86_400:
        return f"{NUL}{nanos}"
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{_fraction(part)}"


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}"

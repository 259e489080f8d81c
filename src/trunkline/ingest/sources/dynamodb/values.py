"""DynamoDB's typed values as JSON, and the names of attributes in its expressions.

A number keeps all its 38 digits: what JSON would round is written as a text. Sets become lists in a fixed order, so
that an item that has not changed has the same text at every pull.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from trunkline.ingest.sources.documents import plain_number

__all__ = ["Names", "as_json", "at_path", "key_of", "key_text"]

Typed = Mapping[str, object]
"""A value as DynamoDB gives it: its type and itself, e.g. ``{"N": "7"}``."""

_SETS: Final = {"SS": str, "NS": Decimal, "BS": bytes}


def as_json(value: Typed) -> object:
    """Give a typed value as JSON's own values.

    >>> as_json({"M": {"id": {"S": "a"}, "load": {"N": "1.5"}, "tags": {"SS": ["y", "x"]}, "raw": {"B": b"ab"}}})
    {'id': 'a', 'load': 1.5, 'tags': ['x', 'y'], 'raw': '6162'}
    """
    ((kind, said),) = value.items()
    if kind == "M" and isinstance(said, Mapping):
        return {name: as_json(inner) for name, inner in said.items()}
    if kind == "L" and isinstance(said, Sequence):
        return [as_json(inner) for inner in said]
    if kind in _SETS and isinstance(said, Sequence):
        return [_scalar(kind[0], one) for one in sorted(said, key=_SETS[kind])]
    return _scalar(kind, said)


def _scalar(kind: str, said: object) -> object:
    if kind == "N":
        return plain_number(Decimal(str(said)))
    if kind == "B" and isinstance(said, bytes):
        return said.hex()
    return None if kind == "NULL" else said


def at_path(item: Mapping[str, Typed], path: Sequence[str]) -> Typed | None:
    """Give the typed value of an attribute; None where the path leads nowhere."""
    found = item.get(path[0])
    for name in path[1:]:
        inner = found.get("M") if found is not None else None
        found = inner.get(name) if isinstance(inner, Mapping) else None
    return found


class Names:
    """Placeholders of attribute names, many of which are reserved words."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def path(self, dotted: str) -> str:
        """Give the expression of a dotted path."""
        return ".".join(f"#a{self._numbers.setdefault(name, len(self._numbers))}" for name in dotted.split("."))

    @property
    def given(self) -> Mapping[str, str]:
        """What the placeholders stand for."""
        return {f"#a{number}": name for name, number in self._numbers.items()}


def key_text(key: Mapping[str, Typed]) -> object:
    """Give the key of an item as it may lie in a position."""
    return {
        name: {kind: base64.b64encode(said).decode() if isinstance(said, bytes) else said}
        for name, typed in key.items()
        for kind, said in typed.items()
    }


def key_of(text: object) -> dict[str, dict[str, object]]:
    """Read a key out of a position."""
    found = json.loads(text) if isinstance(text, str) else text
    assert isinstance(found, dict)
    return {
        name: {kind: base64.b64decode(said) if kind == "B" else said}
        for name, typed in found.items()
        for kind, said in typed.items()
    }

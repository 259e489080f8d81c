"""Plain values as Python source, in the form that ``ruff format`` leaves alone; the same for the same value."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, Union

__all__ = ["Value", "literal"]

Value: TypeAlias = Union[bool, int, float, str, Sequence["Value"], Mapping[str, "Value"], None]  # noqa: UP007 - names in quotes
"""What a rendered file can hold as data."""

_WIDTH: Final = 120
_INDENT: Final = "    "


def literal(value: Value, *, level: int = 0, before: int = 0) -> str:
    """Write a value as Python source: on one line where that fits, else one item a line.

    Args:
        value: Made of None, booleans, numbers, texts, lists and mappings with text as keys.
        level: Steps of indentation of the line that it begins in.
        before: Characters before it in that line, beside the indentation, and of the comma after it.

    Examples:
        >>> print(literal({"a": [1, None], "b": "it's"}))
        {"a": [1, None], "b": "it's"}
    """
    flat = _flat(value)
    if len(_INDENT) * level + before + len(flat) <= _WIDTH or not _has_items(value):
        return flat
    inner = _INDENT * (level + 1)
    lines = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = f"{_text(key)}: "
            lines.append(f"{inner}{name}{literal(item, level=level + 1, before=len(name) + 1)},")
        opening, closing = "{", "}"
    else:
        assert isinstance(value, Sequence)
        lines = [f"{inner}{literal(item, level=level + 1, before=1)}," for item in value]
        opening, closing = "[", "]"
    return "\n".join((opening, *lines, f"{_INDENT * level}{closing}"))


def _has_items(value: Value) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and bool(value)


def _flat(value: Value) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return repr(value).replace("e+", "e")


def _text(value: str) -> str:
    """A text in double quotes, or in single ones where that spares escapes."""
    if value.count('"') > value.count("'"):
        return repr(value)
    escaped = json.dumps(value, ensure_ascii=False)
    return escaped if value.isprintable() else "".join(_escaped(sign) for sign in escaped)


def _escaped(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()

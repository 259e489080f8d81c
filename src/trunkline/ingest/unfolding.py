"""A record of a topic that others write to, as lines of JSON.

Takes a record's value: one object, an array, NDJSON, or an envelope that the use case can take apart. Gives one line
for each row, and one for whatever is no row, so that it is counted and goes to the quarantine as the text that it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from trunkline.spec import Unwrap

__all__ = ["Unfold", "taken_apart", "unfolded"]


@dataclass(frozen=True)
class Unfold:
    """Gives the lines that values of a topic stand for; see :func:`unfolded`.

    Attributes:
        unwrap: Takes envelopes apart.
    """

    unwrap: "Unwrap | None" = None

    @property
    def leaves_flat(self) -> bool:
        """Whether a flat object stands for itself: an envelope may be flat too."""
        return self.unwrap is None

    def __call__(self, value: bytes) -> bytes:
        """Give the lines of a value."""
        return unfolded(value, unwrap=self.unwrap)


def unfolded(value: bytes, *, unwrap: "Unwrap | None" = None) -> bytes:
    r"""Give the lines that a value stands for.

    Args:
        value: The value of one record.
        unwrap: Takes envelopes apart.

    >>> unfolded(b'[{"a": 1}, {"a": 2}]')
    b'{"a":1}\n{"a":2}'
    >>> unfolded(b"no json")
    b'"no json"'
    """
    try:
        message = orjson.loads(value)
    except orjson.JSONDecodeError:
        lines = [line for line in value.split(b"\n") if line.strip()]
        if len(lines) < 2:
            return _text(value)
        return b"\n".join(map(partial(unfolded, unwrap=unwrap), lines))
    if type(message) is dict and b"\n" not in value and (unwrap is None or unwrap(message) is None):
        return value  # a line already
    return b"\n".join(_line(record) for record in taken_apart(message, unwrap=unwrap)) or _text(value)


def taken_apart(message: object, *, unwrap: "Unwrap | None") -> Iterator[object]:
    """Give the records of a decoded message: those of an array, and those inside of envelopes.

    Args:
        message: Decoded JSON.
        unwrap: Takes envelopes apart.
    """
    for one in message if isinstance(message, list) else (message,):
        inside = None if unwrap is None else unwrap(one)
        if inside is None:
            yield one
        else:
            yield from inside


def _line(record: object) -> bytes:
    try:
        return orjson.dumps(record)
    except orjson.JSONEncodeError:  # more deeply nested than can be written
        return orjson.dumps("too deeply nested")


def _text(value: bytes) -> bytes:
    """A value that is no record, as a JSON text on one line."""
    return orjson.dumps(value.decode("utf-8", errors="replace"))

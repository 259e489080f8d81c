r"""The key of an entity as one text: its parts joined by ``|``, and apart again.

A key of one part is that part, unchanged. In a key of several a ``|`` inside a part is written ``\|`` and a ``\`` is
written ``\\``, so that two keys are one text only where they are equal part by part.
"""

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["escaped_part", "joined_key", "key_parts"]

_PART: Final = re.compile(r"(?:[^|\\]|\\[|\\]|\\)*")
_ESCAPED: Final = re.compile(r"\\([|\\])")


def escaped_part(part: str) -> str:
    r"""Write a part as a key of several parts has it.

    >>> print(escaped_part("a|b"))
    a\|b
    """
    return part.replace("\\", "\\\\").replace("|", "\\|") if "|" in part or "\\" in part else part


def joined_key(parts: Sequence[str]) -> str:
    r"""Join the parts of a key.

    >>> print(joined_key(["a|b", "c"]), joined_key(["a", "b|c"]), joined_key(["a|b"]))
    a\|b|c a|b\|c a|b
    """
    return parts[0] if len(parts) == 1 else "|".join(map(escaped_part, parts))


def key_parts(key: str) -> tuple[str, ...]:
    r"""Take a key of several parts apart; a ``\`` before anything else than ``|`` and ``\`` stands for itself.

    >>> key_parts(joined_key(["a|b", "c"]))
    ('a|b', 'c')
    """
    parts, at = [], 0
    while True:
        found = _PART.match(key, at)
        assert found is not None, "a part may be empty"
        parts.append(_ESCAPED.sub(r"\1", found.group()))
        at = found.end() + 1
        if at > len(key):
            return tuple(parts)

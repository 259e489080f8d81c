"""The regular expressions that a field may have: the subset that Python, RE2, Rust and Java read alike.

Takes the pattern an author wrote and gives it without its anchors, or says what is outside the subset. A pattern
always has to match the whole text, so ``^`` at its beginning and ``$`` at its end say nothing and are taken off.
"""

import re
from functools import lru_cache
from typing import Final

__all__ = ["compiled", "outside_subset", "without_anchors", "without_dots"]

_ESCAPES: Final = frozenset("dDwWtnrf" + r"\.^$*+?{}[]()|/-'\"#&~@!%,:;<=>_` ")
"""What may follow a backslash: ASCII classes, control characters, and punctuation that stands for itself."""

_MOST_REPEATS: Final = 1000


def without_anchors(pattern: str) -> str:
    """Take ``^`` and ``$`` off the ends."""
    pattern = pattern.removeprefix("^")
    if pattern.endswith("$") and (len(pattern) - len(pattern[:-1].rstrip("\\"))) % 2 == 1:
        pattern = pattern[:-1]
    return pattern


def without_dots(pattern: str) -> str:
    r"""Write each dot as ``[^\n]``: Java's dot also ends before a carriage return and Unicode's line separators.

    >>> print(without_dots(r"a.\.[.x]"))
    a[^\n]\.[.x]
    """
    return re.sub(
        r"\\.|\[\^?(?:\\.|[^\]\\])*\]|(\.)",
        lambda part: r"[^\n]" if part[1] else part[0],
        pattern,
        flags=re.DOTALL,
    )


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for ``fullmatch``: classes are ASCII, a dot is anything but a line feed, as in RE2."""
    return re.compile(f"(?:{without_anchors(pattern)})", re.ASCII)


def outside_subset(pattern: str) -> str | None:
    r"""Say what in a pattern is not read alike by every engine.

    Args:
        pattern: As the author wrote it.

    Returns:
        A few words for the author; None when the pattern is inside the subset.

    >>> outside_subset(r"[A-Z]{2}\d+"), outside_subset(r"(?=a)b")
    (None, 'a group other than (...) and (?:...)')
    """
    body = without_anchors(pattern)
    if not body.isascii() and any(ord(c) > 0xFFFF for c in body):
        return "a character beyond the Basic Multilingual Plane"
    plain = re.sub(r"\\.", _escape, body, flags=re.DOTALL)
    if "\x00" in plain:
        return "an escape other than \\d \\D \\w \\W \\t \\n \\r \\f and punctuation"
    classless = re.sub(r"\[\^?\]?[^\]]*\]", _class, plain)
    if "\x00" in classless:
        return "a class with [, && or a range of escapes in it"
    checks = {
        r"\(\?(?!:)": "a group other than (...) and (?:...)",
        r"[\^$]": "an anchor in the middle",
        r"[*+?}]\+": "a possessive repetition",
        r"\{,|\{[0-9]*[^0-9,}]|\{[0-9]+,[^0-9}]": "a brace that is no repetition {m}, {m,} or {m,n}",
    }
    for check, what in checks.items():
        if re.search(check, classless):
            return what
    if any(int(number) > _MOST_REPEATS for number in re.findall(r"[{,]([0-9]+)", classless)):
        return f"a repetition of more than {_MOST_REPEATS}"
    try:
        compiled(pattern)
    except re.error as error:
        return f"a mistake: {error.msg}"
    return None


def _escape(match: re.Match[str]) -> str:
    """Replace an escape by a harmless letter, one outside the subset by U+0000."""
    return "a" if match[0][1] in _ESCAPES else "\x00"


def _class(match: re.Match[str]) -> str:
    inside = match[0][1:-1].removeprefix("^")
    return "\x00" if "[" in inside or "&&" in inside or inside.startswith("]") or not inside else "a"

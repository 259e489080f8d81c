"""What the columns of a file look like: kinds, nulls, categories, told from its first rows.

Takes a file, gives one guess per column, in the order of the file. A column is of the narrowest kind whose grammar all
its values match; numbers that are no quantities (leading zeros, more than 15 digits) stay text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from trunkline.contracts import Contract
from trunkline.contracts.contract import NULL_TOKENS
from trunkline.contracts.kinds import GRAMMAR, LOCAL_INSTANT, NUL, WHITE_SPACE, KindName
from trunkline.errors import SourceError
from trunkline.plugins.personal import looks_personal

__all__ = ["SAMPLE_ROWS", "Guess", "guesses"]

SAMPLE_ROWS: Final = 20_000
"""How many rows are looked at."""

_MOST_CATEGORIES: Final = 12
_MOST_NEW_VALUES: Final = 0.5
"""Share of distinct among present values from which a text is no closed list: names and remarks repeat by chance."""

_WRITTEN_DAY: Final = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})")
_NARROW_TO_WIDE: Final[tuple[KindName, ...]] = ("flag", "integer", "number", "day", "instant")
_DIGITS: Final = ("phone", "device", "account", "document")
"""Identifiers that are written in digits, and are no quantities."""

_CODE: Final = re.compile(r"0[0-9]+|[0-9]{16,}")
_PATTERNS: Final = {kind: re.compile(GRAMMAR[kind]) for kind in _NARROW_TO_WIDE}
_LOCAL: Final = re.compile(LOCAL_INSTANT)


@dataclass(frozen=True)
class Guess:
    """What a column looks like.

    Attributes:
        source: Its name in the file.
        name: The field's name.
        kind: The kind of its values.
        nullable: Whether null occurs.
        unique: Whether it could identify a row: text or integer, no null, no value twice.
        values: The values of a category.
        is_local: Whether it holds instants without an offset.
        written: How its days are written where a contract does not read them: ``DD.MM.YYYY``, ``DD/MM/YYYY``,
            ``MM/DD/YYYY``, or ``DD/MM/YYYY or MM/DD/YYYY`` where no value tells; empty for everything else.
        personal: What it seems to identify, e.g. ``email``; empty for nothing. No category then: a draft names its
            values.
    """

    source: str
    name: str
    kind: KindName
    nullable: bool
    unique: bool
    values: tuple[str, ...] = ()
    is_local: bool = False
    written: str = ""
    personal: str = ""


def guesses(source: Path) -> list[Guess]:
    """Look at the first rows of a file.

    Raises:
        SourceError: The file cannot be read, or has no rows.
    """
    # the reader of files is found when it is needed: it loads Arrow
    from trunkline.ingest import open_file

    opened = open_file(source)
    texts: dict[str, list[str | None]] = {column: [] for column in opened.header}
    rows = 0
    for batch in opened.batches:
        for column, values in zip(opened.header, batch.columns, strict=True):
            texts[column] += values.slice(0, SAMPLE_ROWS - rows).to_pylist()
        rows += batch.num_rows
        if rows >= SAMPLE_ROWS:
            break
    if rows == 0:
        raise SourceError(
            "the source has a header but no rows", where=str(source), next_step="check its export; nothing was made"
        )
    taken: set[str] = set()
    return [_guess(column, values, taken) for column, values in texts.items()]


def _guess(column: str, values: Sequence[str | None], taken: set[str]) -> Guess:
    trimmed = [value.strip(WHITE_SPACE) if value is not None else "" for value in values]
    present = [value for value in trimmed if value not in NULL_TOKENS]
    distinct = set(present)
    kind, is_local = _kind(distinct)
    written = _written(distinct) if kind == "text" else ""
    name = _field_name(column, taken)
    personal = looks_personal(name.strip("_"), distinct)
    if personal in _DIGITS and kind in ("integer", "number"):
        kind = "text"  # nobody adds them up, and another export writes them with a plus or a leading zero
    closed = (
        kind == "text"
        and not personal
        and not written
        and 0 < len(distinct) <= _MOST_CATEGORIES
        and len(distinct) < len(present)
        and (len(distinct) <= 3 or len(distinct) < _MOST_NEW_VALUES * len(present))
        and NUL not in "".join(distinct)
    )
    return Guess(
        column,
        name,
        "category" if closed else kind,
        nullable=len(present) < len(trimmed),
        unique=len(present) == len(trimmed) == len(distinct) and kind in ("text", "integer"),
        values=tuple(sorted(distinct)) if closed else (),
        is_local=is_local,
        written=written,
        personal=personal,
    )


def _written(distinct: set[str]) -> str:
    """How days are written, if they are in another form than a contract reads; a day above 12 tells the order."""
    parts = [_WRITTEN_DAY.fullmatch(value) for value in distinct]
    found = [part for part in parts if part]
    marks = {part[2] for part in found}
    if not parts or len(found) < len(parts) or len(marks) > 1:
        return ""
    day_first = all(_is_day(part[4], part[3], part[1]) for part in found)
    month_first = all(_is_day(part[4], part[1], part[3]) for part in found)
    if marks == {"."}:
        return "DD.MM.YYYY" if day_first else ""
    forms = ["DD/MM/YYYY"] * day_first + ["MM/DD/YYYY"] * month_first
    return " or ".join(forms)


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _kind(distinct: set[str]) -> tuple[KindName, bool]:
    if not distinct or any(_CODE.fullmatch(value) for value in distinct):
        return "text", False
    for kind in _NARROW_TO_WIDE:
        if kind == "flag" and len({value.lower() for value in distinct}) != 2:
            continue
        if all(_PATTERNS[kind].fullmatch(value) for value in distinct):
            return kind, False
    if all(_LOCAL.fullmatch(value) for value in distinct):
        return "instant", True
    return "text", False


def _field_name(column: str, taken: set[str]) -> str:
    """Make a name of lower-case words that no field before it has and no contract uses for itself."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "column"
    if not name[0].isalpha():
        name = f"c_{name}"
    # every keyword and every attribute of a contract is spoken for; `_` at the end is Python's own way out
    while name in taken or _is_spoken_for(name):
        name += "_"
    taken.add(name)
    return name


def _is_spoken_for(name: str) -> bool:
    import keyword

    return keyword.iskeyword(name) or hasattr(Contract, name) or name in ("field", "table", "columns")

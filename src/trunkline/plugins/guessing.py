"""What the columns of a file look like: kinds, nulls, categories, told from its first rows.

Takes a file, gives one guess per column, in the order of the file. A column is of the narrowest kind whose grammar all
its values match; numbers that are no quantities (leading zeros, more than 15 digits) stay text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trunkline.contracts import Column, Contract
from trunkline.contracts.contract import NULL_TOKENS
from trunkline.contracts.kinds import GRAMMAR, LOCAL_INSTANT, NUL, WHITE_SPACE, KindName
from trunkline.contracts.written import WrittenName, form_of
from trunkline.errors import SourceError
from trunkline.plugins.personal import looks_personal
from trunkline.plugins.recognising import counted_since_1970, recognised

__all__ = ["SAMPLE_ROWS", "Guess", "first_rows", "guesses"]

SAMPLE_ROWS: Final = 20_000
"""How many rows are looked at."""

_MOST_CATEGORIES: Final = 12
_MOST_NEW_VALUES: Final = 0.5
"""Share of distinct among present values from which a text is no closed list: names and remarks repeat by chance."""

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
        written: In which form its days or instants are written; None for the kind's own.
        decimal: As of a contract's column.
        thousands: As of a contract's column.
        unsure: How its values may be written, ``DD/MM/YYYY or MM/DD/YYYY``, where none tells; its kind is text then.
        personal: What it seems to identify, e.g. ``email``; empty for nothing. No category then: a draft names its
            values.
        description: What it means, where the source says so.
        said: What else a contract's ``field`` is told of it, by keyword.
    """

    source: str
    name: str
    kind: KindName
    nullable: bool
    unique: bool
    values: tuple[str, ...] = ()
    is_local: bool = False
    written: WrittenName | None = None
    decimal: str | None = None
    thousands: str | None = None
    unsure: str = ""
    personal: str = ""
    description: str = ""
    said: Mapping[str, object] = field(default_factory=dict)

    @property
    def column(self) -> Column:
        """The column of a contract that reads its values."""
        return Column(
            self.name,
            self.kind,
            nullable=True,
            values=self.values,
            zone="UTC" if self.is_local else None,
            written=self.written,
            decimal=self.decimal,
            thousands=self.thousands,
        )

    @property
    def form(self) -> str:
        """In which form its values are written, for people; empty for the kind's own."""
        return self.written or (f"like {found.example}" if (found := form_of(self.column)) else "")


def first_rows(source: Path) -> dict[str, list[str | None]]:
    """Read the first rows of a file: column to its texts.

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
    return texts


def guesses(texts: Mapping[str, Sequence[str | None]]) -> list[Guess]:
    """Tell what columns look like by the texts of their first rows, in the order of the file."""
    taken: set[str] = set()
    return [_guess(column, values, taken) for column, values in texts.items()]


def _guess(column: str, values: Sequence[str | None], taken: set[str]) -> Guess:
    trimmed = [value.strip(WHITE_SPACE) if value is not None else "" for value in values]
    present = [value for value in trimmed if value not in NULL_TOKENS]
    distinct = set(present)
    kind, is_local = _kind(distinct)
    name = _field_name(column, taken)
    personal = looks_personal(name.strip("_"), distinct)
    unsure, form = "", Column(name, kind, nullable=True)
    count = None if looks_personal(name.strip("_"), ()) else counted_since_1970(name, distinct)
    if count is not None:
        kind, is_local, form, personal = "instant", count.zone is not None, count, ""
    elif kind == "text" and distinct and (found := recognised(distinct, is_personal=bool(personal))):
        unsure, form = found.unsure, found.column
        kind, is_local = form.kind, form.zone is not None
    if personal in _DIGITS and kind in ("integer", "number"):
        kind, form = (
            "text",
            Column(name, "text", nullable=True),
        )  # nobody adds them up, and another export writes them with a plus or a leading zero
    closed = (
        kind == "text"
        and not personal
        and not unsure
        and 1 < len(distinct) <= _MOST_CATEGORIES  # of one value nobody knows the others
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
        written=form.written,
        decimal=form.decimal,
        thousands=form.thousands,
        unsure=unsure,
        personal=personal,
    )


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

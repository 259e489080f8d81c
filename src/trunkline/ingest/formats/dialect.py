"""The dialect of a CSV: what separates and quotes its fields, and which lines stand before its header.

Takes the beginning of a file and what the settings say. What they leave open is told from the text, and in doubt a CSV
is what most exports are: fields in double quotes, a quotation mark within them doubled, the header in the first line.
Another dialect is taken only where it alone makes sense of the text:

- single quotes where there are no double ones, and either every name of the header stands in them, or they give every
  row as many fields as the header, which the usual dialect does not;
- a backslash before quotation marks within a quoted field, which no text of the usual dialect can have;
- lines before the header: Excel's ``sep=;``, comments, and titles, which are lines of one field before lines that all
  have as many fields as each other, where an empty line stands between, or names of columns stand over numbers.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import Final

from trunkline.ingest.raw import truncated
from trunkline.spec.dialect import CsvDialect

__all__ = ["Dialect", "Header", "header_of"]

_DELIMITERS: Final = (",", ";", "\t", "|")
_COMMENT: Final = "#"
_SEPARATOR: Final = re.compile(r'"?sep=([\t !#-&(-\[\]-~])"?\s*', re.IGNORECASE)
"""Printable, and neither a quotation mark nor a backslash."""
_NAME: Final = re.compile(r"(?!\s*(?:nan?|n/a|null|none|[-+]?inf)\s*\Z).*[^\W\d]", re.IGNORECASE | re.DOTALL)
"""What may be the name of a column: it has a letter, and is no word for a missing value."""
_MEASURED: Final = re.compile(r"\s*[-+]?[.,]?\d")
"""How numbers, dates and times begin."""
_SAMPLED_ROWS: Final = 200
_MOST_BEFORE: Final = 50
"""Lines that may stand before a header that is looked for."""
_FEWEST_ALIKE: Final = 3
"""Lines that must be as wide as each other, header included, for the ones before them to be titles."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written.

    Attributes:
        delimiter: Between two fields.
        quote: Around fields; empty where nothing quotes.
        escape: Before a quotation mark that is none; None where it is doubled.
        comment: Lines that begin with it are passed over; None where there are none.
        passed: Lines before the header.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    comment: str | None = None
    passed: int = 0

    @property
    def is_usual(self) -> bool:
        """Whether it is the dialect that is taken in doubt, with any delimiter."""
        return replace(self, delimiter=",") == Dialect()

    def lines(self, lines: Iterable[str], *, delimiters: str = "") -> Iterator[str]:
        """Give the lines of a file without comments; a line within a quoted field is none, however it begins.

        Args:
            lines: The lines.
            delimiters: What may stand between two fields while that is not told yet; empty where it is.
        """
        if self.comment is None:
            yield from lines
            return
        is_quoted, begins = False, True
        for line in lines:
            if not (begins and not is_quoted and line.startswith(self.comment)):
                yield line
                if self.quote and self.quote in line:
                    is_quoted = _is_open(line, self, delimiters or self.delimiter, is_quoted=is_quoted)
            begins = line.endswith(("\n", "\r"))

    def rows(self, lines: Iterable[str], *, is_strict: bool = False) -> Iterator[list[str]]:
        """Give the rows of lines, those before the header left out already.

        Args:
            lines: The lines.
            is_strict: Take no field that goes on behind its quotation mark, or has none in the end.

        Raises:
            csv.Error: A field is longer than may be, or not as strictly as was asked.
        """
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=is_strict,
        )


@dataclass(frozen=True)
class Header:
    """What the beginning of a CSV tells.

    Attributes:
        dialect: How it is written.
        names: Of its columns, trimmed.
        lines: Physical lines up to the first row, those before the header among them, comments of the dialect not.
    """

    dialect: Dialect
    names: list[str]
    lines: int


def header_of(path: Path, head: str, settings: CsvDialect, *, is_cut: bool = False) -> Header:
    """Tell the dialect and the header from the beginning of a file.

    Args:
        path: For the error.
        head: The beginning.
        settings: What is said of the dialect; None of them is told from the text.
        is_cut: Whether the file goes on behind it.

    Raises:
        SourceError: A name never ends.
    """
    quote = '"' if settings.quote is None else settings.quote
    said = {settings.delimiter, quote, settings.escape, settings.comment}
    free = (settings.delimiter,) if settings.delimiter else tuple(one for one in _DELIMITERS if one not in said)
    base = Dialect(free[0], quote, settings.escape, settings.comment)
    if is_cut:  # the last line may be a part of one
        head = head[: max(head.rfind("\n"), head.rfind("\r")) + 1] or head
    text = base.lines(io.StringIO(head, newline=""), delimiters="".join(free))
    lines = list(islice(text, _MOST_BEFORE + _SAMPLED_ROWS))
    is_cut = is_cut or next(text, None) is not None
    separator = _SEPARATOR.fullmatch(lines[0]) if lines else None
    if separator and separator[1] in said - {settings.delimiter}:
        separator = None
    if settings.skip_lines is not None:
        base = replace(base, passed=settings.skip_lines)
    elif separator:
        base = replace(base, passed=1, delimiter=settings.delimiter or separator[1])
    else:
        base = replace(base, passed=_before(lines, settings, free))
    body = lines[base.passed :]
    delimiters = (base.delimiter,) if separator and base.passed else free
    first = _widest(path, body, base, delimiters)
    told = first.dialect
    if settings.escape is None and "\\" not in said and _is_escaped("".join(body), told):
        told = replace(told, escape="\\")
    if settings.quote is None and "'" not in said and _is_single_quoted(body, first, is_cut=is_cut):
        told = replace(told, quote="'")
    return first if told == first.dialect else _widest(path, body, told, (told.delimiter,))


def _widest(path: Path, body: list[str], base: Dialect, delimiters: Iterable[str]) -> Header:
    """Take the delimiter that gives the first line the most fields; the first one where none gives two."""
    best: Header | None = None
    for delimiter in delimiters:
        left = iter(body)
        dialect = replace(base, delimiter=delimiter)
        try:
            names = next(dialect.rows(left), [])
        except csv.Error:
            raise truncated(path, "its first line has a name without end") from None
        if best is None or len(names) > len(best.names):
            best = Header(dialect, [name.strip() for name in names], base.passed + len(body) - sum(1 for _ in left))
    assert best is not None, "there is a delimiter"
    return best


def _before(lines: list[str], settings: CsvDialect, delimiters: tuple[str, ...]) -> int:
    """Count the lines before the header: comments, or titles."""
    comments = next((place for place, line in enumerate(lines) if not line.startswith(_COMMENT)), 0)
    if comments and settings.comment is None:
        last = lines[comments - 1 :]
        return comments - any(_is_marked_header([_fields(line, one) for line in last]) for one in delimiters)
    if any(len(_fields(lines[0], one)) > 1 for one in delimiters if lines):
        return 0
    found = [_titles(lines, one) for one in delimiters]
    return min((titles for titles in found if titles), default=0)


def _is_marked_header(fields: list[list[str]]) -> bool:
    """Whether the first line is a header, such as ``#id,name``, though it begins as a comment does."""
    first, second, *rest = fields
    if len(first) != len(second):
        return False
    if len(first) < 2:
        return not _are_names(second)
    has_words = any(len(name.strip(f"{_COMMENT} ").split()) > 1 for name in first)
    return not (has_words and _are_names(second) and _stand_over(second, rest))


def _titles(lines: list[str], delimiter: str) -> int:
    """Count the lines of at most one field before lines that are a table of themselves; 0 where that is in doubt."""
    fields = [_fields(line, delimiter) for line in lines]
    titles = next((place for place, found in enumerate(fields) if len(found) > 1), 0)
    if not 0 < titles <= _MOST_BEFORE:
        return 0
    names, *rows = (found for found in fields[titles:] if found)
    is_table = len(rows) + 1 >= _FEWEST_ALIKE and all(len(row) == len(names) for row in rows) and _are_names(names)
    is_apart = not lines[titles - 1].strip()
    return titles if is_table and (is_apart or _stand_over(names, rows)) else 0


def _are_names(fields: list[str]) -> bool:
    """Whether fields may be names of columns: none is empty, a number, or a word for a missing value."""
    return all(_NAME.match(field) for field in fields)


def _stand_over(names: list[str], rows: list[list[str]]) -> bool:
    """Whether names differ from each other, and in kind from what is below: one column at least is of numbers."""
    columns = zip(*(row for row in rows if len(row) == len(names)), strict=True)
    below = ([field for field in column if field.strip()] for column in columns)
    is_measured = (bool(filled) and all(map(_MEASURED.match, filled)) for filled in below)
    return len(set(names)) == len(names) and any(
        found and not _MEASURED.match(name) for name, found in zip(names, is_measured, strict=False)
    )


def _fields(line: str, delimiter: str) -> list[str]:
    """Fields of a line by itself; one whose quotation mark is not closed has none."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _is_escaped(text: str, dialect: Dialect) -> bool:
    """Whether a quoted field has a backslash before a quotation mark that does not end it."""
    if not dialect.quote or f"\\{dialect.quote}" not in text:
        return False
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    field = rf"(?:^|{delimiter}){quote}(?:[^{quote}\\]|\\[^{quote}])*+\\{quote}(?!{quote}|{delimiter}|\r|\n|\Z)"
    return re.search(field, text, re.MULTILINE) is not None


def _is_single_quoted(body: list[str], first: Header, *, is_cut: bool) -> bool:
    """Whether single quotes alone make sense of a text; of one that is cut, its whole rows are looked at."""
    if any('"' in line for line in body) or not any("'" in line for line in body):
        return False
    if all(len(name) > 1 and name[0] == name[-1] == "'" for name in first.names):
        return True
    single = replace(first.dialect, quote="'")
    whole = body[: _whole_lines(single, body)] if is_cut else body
    wanted = {len(first.names)}
    return wanted == _widths(single, whole) != _widths(first.dialect, whole)


def _whole_lines(dialect: Dialect, body: list[str]) -> int:
    """Count the lines before a row that is open at the end; all of them where none is."""
    left = iter(body)
    whole = 0
    try:
        for _ in dialect.rows(left, is_strict=True):
            whole = len(body) - length_hint(left)
    except csv.Error:
        return len(body) if length_hint(left) else whole
    return whole


def _widths(dialect: Dialect, body: list[str]) -> set[int]:
    try:
        return {len(row) for row in islice(dialect.rows(body, is_strict=True), _SAMPLED_ROWS) if row}
    except csv.Error:
        return set()


@cache
def _quoted(delimiters: str, quote: str, escape: str | None) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Make the patterns of what goes up to the next quoted field, from within another one, and of one to its end."""
    between, mark, before = re.escape(delimiters), re.escape(quote), re.escape(escape or "")
    escaped = f"|{before}.?" if before else ""
    opens = rf"(?:[^{between}{before}]++{escaped}|[{between}](?!{mark}))*+[{between}]{mark}"
    closes = rf"(?:[^{mark}{before}]++{escaped}|{mark}{mark})*+{mark}"
    return re.compile(opens, re.DOTALL), re.compile(closes, re.DOTALL)


def _is_open(line: str, dialect: Dialect, delimiters: str, *, is_quoted: bool) -> bool:
    """Whether a quoted field goes on behind a line; a mark within a field that is not quoted is text."""
    opens, closes = _quoted(delimiters, dialect.quote, dialect.escape)
    end = 0
    if not is_quoted and line.startswith(dialect.quote):
        is_quoted, end = True, 1
    while True:
        if not is_quoted:
            found = opens.match(line, end)
            if found is None:
                return False
            end = found.end()
        closed = closes.match(line, end)
        if closed is None:
            return True
        is_quoted, end = False, closed.end()

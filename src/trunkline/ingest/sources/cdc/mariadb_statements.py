"""Statements of MariaDB's binary log that may take rows of a table, or give it some, and name none. Pure.

A log in row format names rows, except those of statements that define tables. Such a statement is read word by word:
comments are left out, what a comment has the server execute (``/*! */``, ``/*M! */``) is read, and what is quoted is
no keyword. In doubt a statement takes rows: a new snapshot is dear, and rows that stay behind are wrong.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

__all__ = ["takes_rows"]

_WORD: Final = re.compile(
    r"""
      (?: /\*M?!\d* | \*/ | /\*.*?\*/ | --(?=\s|\Z)[^\n]* | \#[^\n]* | \s+ )
    | (?P<text> '(?:[^'\\]|\\.|'')*' )
    | `(?P<name> (?:[^`]|``)* )`
    | "(?P<ansi> (?:[^"\\]|\\.|"")* )"
    | (?P<bare> [\w$]+ | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_SET: Final = r"(?:SET STATEMENT .*? FOR )?"
_DATABASE: Final = re.compile(_SET + r"DROP (?:DATABASE|SCHEMA) ")
_REPLACED: Final = re.compile(_SET + r"CREATE OR REPLACE TABLE ")
_EMPTIED: Final = re.compile(
    _SET + r"(?:TRUNCATE |DROP TABLES? |RENAME TABLES? "
    r"|ALTER (?:ONLINE |IGNORE )*TABLE (?=.* (?:RENAME (?!(?:COLUMN|INDEX|KEY|CONSTRAINT) )"
    r"|(?:DROP|TRUNCATE|EXCHANGE|CONVERT) PARTITION |CONVERT TABLE |(?:DISCARD|IMPORT) TABLESPACE )))"
)


def takes_rows(statement: str, *, table: str, schema: str, used: str) -> bool:
    r"""Tell whether a statement may take rows of a table, or give it some, without naming them.

    Args:
        statement: As the log holds it.
        table: The table, unquoted.
        schema: Its database.
        used: The database that the statement was made in.

    >>> takes_rows("-- nightly\nTRUNCATE TABLE `calls`", table="calls", schema="shop", used="shop")
    True
    >>> takes_rows("ALTER TABLE calls RENAME COLUMN a TO b", table="calls", schema="shop", used="shop")
    False
    """
    words = list(_words(statement))
    said = "".join(f"{word.keyword} " for word in words)
    found = _DATABASE.match(said) or _REPLACED.match(said) or _EMPTIED.match(said)
    if found is None:
        return False
    named = [word.name for word in words[found[0].count(" ") :]]
    if found.re is _DATABASE:
        return schema.lower() in named
    if found.re is _REPLACED:  # behind its name come columns, or a table that it is made like
        named = named[: 3 if named[1:2] == ["."] else 1]
    return _is_named(named, table=table.lower(), schema=schema.lower(), used=used.lower())


class _Word(NamedTuple):
    """A word or sign: as it may be a keyword, and as it may be a name."""

    keyword: str
    name: str


def _words(statement: str) -> Iterator[_Word]:
    for found in _WORD.finditer(statement):
        quoted = found["name"] if found["name"] is not None else found["ansi"]
        if quoted is not None:
            yield _Word("?", quoted.replace("``", "`").replace('""', '"').lower())
        elif found["text"] is not None:
            yield _Word("?", "")
        elif found["bare"] is not None:
            yield _Word(found["bare"].upper(), found["bare"].lower())


def _is_named(named: Sequence[str], *, table: str, schema: str, used: str) -> bool:
    for at, name in enumerate(named):
        if name == table and named[at + 1 : at + 2] != ["."]:
            owner = named[at - 2] if at >= 2 and named[at - 1] == "." else used
            if owner == schema:
                return True
    return False

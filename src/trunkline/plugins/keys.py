"""Which columns identify a row, told from the first rows of a file.

Takes guesses and the values they rest on, gives the columns of a key: one alone that never repeats, or an instant or a
day together with the fewest columns that say whose it is (one row per cell and quarter of an hour). Measured values are
never part of one: enough of them are unique together in any table, and rows that share them would be lost as
duplicates. A whole number says whose a row is where its name does (a sector), or where its few values all come again in
every period. Pure.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from trunkline.contracts.kinds import WHITE_SPACE
from trunkline.plugins.guessing import Guess

__all__ = ["IDENTIFIER", "guessed_key"]

IDENTIFIER: Final = re.compile(r"(^|_)(id|key|uuid|guid|ref)_*$")
"""Names of fields that say which of many something is."""

_ROW_NUMBER: Final = re.compile(r"|__index_level_\d+__|unnamed: ?\d+", re.IGNORECASE)
"""How pandas names the running number that it writes beside the rows; the next file begins anew with it."""

_OBJECT: Final = re.compile(
    r"(cell|sector|carrier|band|site|[eg]nodeb|node|port|slot|link|sensor|device|hour)(no|nr|num|number|index)?"
)
"""Names, without underscores, of whole numbers that say which object of a network, or which hour of a day."""

_MOST_OWNERS: Final = 8
_MOST_NUMBERED: Final = 4
_MOST_BESIDE: Final = {"instant": 2, "day": 3}
"""Columns of a key beside its time; a day may have one more, the time of day."""

_MOST_FEW: Final = 50
_FEW: Final = 0.01
"""Share of the rows below which the distinct values of a number are few."""

_LEAST_PERIODS: Final = 3
_COMPLETE: Final = 0.9
"""Share of all owners in all periods that have a row, from which on their values come again in every period."""

_NAMED, _OBJECTS, _NUMBERED = range(3)


def guessed_key(
    found: Sequence[Guess], values: Sequence[Sequence[str | None]], *, label: Guess | None = None
) -> tuple[Guess, ...]:
    """Find the columns that identify a row.

    Args:
        found: One guess per column.
        values: The texts of each column's first rows, in that order.
        label: The column to predict, which is no part of a key.

    Returns:
        The columns in the order of the file; none where no key can be told.
    """
    known = [
        (guess, [(value or "").strip(WHITE_SPACE) for value in texts])
        for guess, texts in zip(found, values, strict=True)
        if guess is not label and not guess.nullable
    ]
    alone = next(
        (guess for guess, _ in known if guess.unique and not _ROW_NUMBER.fullmatch(guess.source.strip())), None
    )
    if alone is not None:
        return (alone,)
    times = [one for one in known if one[0].kind in _MOST_BESIDE]
    owners = _owners(known)
    # a table without columns that are named for it is one series
    fewest = 0 if all(rank == _NUMBERED for rank, _, _ in owners) else 1
    for size in range(fewest, max(_MOST_BESIDE.values()) + 1):
        # what is named comes before what is numbered
        ranked = sorted(combinations(owners, size), key=lambda some: max((rank for rank, _, _ in some), default=0))
        for time, periods in times:
            for some in ranked if size <= _MOST_BESIDE[time.kind] else ():
                whose = [texts for _, _, texts in some]
                is_numbered = any(rank == _NUMBERED for rank, _, _ in some)
                if _is_unique([periods, *whose]) and (not is_numbered or _is_complete(periods, whose)):
                    chosen = {time.source, *(guess.source for _, guess, _ in some)}
                    return tuple(guess for guess in found if guess.source in chosen)
    return ()


def _owners(known: Sequence[tuple[Guess, Sequence[str]]]) -> list[tuple[int, Guess, Sequence[str]]]:
    """The columns that may say whose a row is, with their ranks, the likeliest first."""
    ranked = [(rank, guess, texts) for guess, texts in known if (rank := _rank(guess, texts)) is not None]
    named = [one for one in ranked if one[0] == _NAMED][:_MOST_OWNERS]
    numbered = sorted((one for one in ranked if one[0] != _NAMED), key=lambda one: one[0])
    return named + numbered[:_MOST_NUMBERED]


def _rank(guess: Guess, texts: Sequence[str]) -> int | None:
    distinct = len(set(texts))
    if guess.unique or guess.unsure or distinct < 2:
        return None
    is_whole = guess.kind in ("integer", "flag")
    if guess.kind in ("text", "category") or (is_whole and IDENTIFIER.search(guess.name)):
        return _NAMED
    if is_whole and _OBJECT.fullmatch(guess.name.replace("_", "")):
        return _OBJECTS
    is_few = distinct <= _MOST_FEW and distinct < _FEW * len(texts)
    return _NUMBERED if guess.kind == "integer" and is_few else None


def _is_unique(columns: Sequence[Sequence[str]]) -> bool:
    return len(set(zip(*columns, strict=True))) == len(columns[0])


def _is_complete(periods: Sequence[str], whose: Sequence[Sequence[str]]) -> bool:
    """Whether nearly every owner has a row in every period; measured values are others in each."""
    several, owners = len(set(periods)), len(set(zip(*whose, strict=True)))
    return several >= _LEAST_PERIODS and len(periods) >= _COMPLETE * several * owners

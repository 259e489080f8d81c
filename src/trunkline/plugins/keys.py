"""Which columns identify a row, told from the first rows of a file.

Takes guesses and the values they rest on, gives the columns of a key: one alone that never repeats, or an instant or a
day together with the fewest columns that say whose it is (one row per cell and quarter of an hour). Measured values are
never part of one: enough of them are unique together in any table, and rows that share them would be lost as
duplicates. Pure.
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

_MOST_OWNERS: Final = 8
_MOST_TOGETHER: Final = 2


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
        (guess, texts) for guess, texts in zip(found, values, strict=True) if guess is not label and not guess.nullable
    ]
    alone = next(
        (guess for guess, _ in known if guess.unique and not _ROW_NUMBER.fullmatch(guess.source.strip())), None
    )
    if alone is not None:
        return (alone,)
    times = [one for one in known if one[0].kind in ("instant", "day")]
    owners = [one for one in known if _says_whose(one[0], one[1])][:_MOST_OWNERS]
    sizes = range(1, _MOST_TOGETHER + 1) if owners else (0,)  # a table without owners is one series
    for size in sizes:
        for time in times:
            for some in combinations(owners, size):
                together = [time, *some]
                if _is_unique([texts for _, texts in together]):
                    chosen = {guess.source for guess, _ in together}
                    return tuple(guess for guess in found if guess.source in chosen)
    return ()


def _says_whose(guess: Guess, texts: Sequence[str | None]) -> bool:
    is_name = guess.kind in ("text", "category") or (guess.kind == "integer" and bool(IDENTIFIER.search(guess.name)))
    return is_name and not guess.unique and not guess.unsure and len(set(texts)) > 1


def _is_unique(columns: Sequence[Sequence[str | None]]) -> bool:
    trimmed = [[(value or "").strip(WHITE_SPACE) for value in column] for column in columns]
    return len(set(zip(*trimmed, strict=True))) == len(columns[0])

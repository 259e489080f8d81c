"""What lies behind a cursor, whatever gives the rows: what came already is left out, pieces end where nothing is lost.

Rows are asked for by ``cursor >= newest - overlap``, so rows that share the newest value, or were written late, are
found. Those that came already are told by their hashes, which lie in the position; where they are too many for that,
by a digest of all of them, so that a source with nothing new gives nothing.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from trunkline.ingest.sources.protocol import Position, Pulled

__all__ = ["CursorValue", "Digest", "Order", "Pieces", "Window", "follow", "known_rows"]

CursorValue = str | int | float
"""A value as it stands in a position."""

K = TypeVar("K")
R = TypeVar("R")
_R_contra = TypeVar("_R_contra", contravariant=True)

_MOST_HASHES: Final = 1_000
_MODULUS: Final = 1 << 128


class Order(Protocol[K]):
    """How the values of a cursor are compared."""

    @property
    def column(self) -> str:
        """Its name."""
        ...

    def key(self, value: CursorValue) -> K:
        """Give what is compared."""
        ...

    def within(self, key: K, newest: K) -> bool:
        """Tell whether the next pull reads a value again."""
        ...

    def newer(self, value: CursorValue, than: CursorValue | None) -> bool:
        """Tell whether a value lies behind another."""
        ...


class Pieces(Protocol[_R_contra]):
    """The files of a pull, one after the other."""

    @property
    def rows(self) -> int:
        """How many rows the open piece has."""
        ...

    def add(self, row: _R_contra) -> None:
        """Add a row to the open piece."""
        ...

    def cut(self, position: Position) -> Pulled:
        """End the open piece."""
        ...


class Digest:
    """What a set of rows holds, whatever their order; equal for equal sets, repeats counted."""

    def __init__(self) -> None:
        self._rows, self._sum = 0, 0

    def add(self, hashed: str) -> None:
        """Add a row by its hash."""
        self._rows += 1
        wide = hashlib.blake2b(hashed.encode(), digest_size=16).digest()  # sums of short hashes could cancel out
        self._sum = (self._sum + int.from_bytes(wide, "big")) % _MODULUS

    @property
    def text(self) -> str:
        """Rows and sum."""
        return f"{self._rows}:{self._sum:032x}"


class Window(Generic[K]):
    """The rows that the next pull reads again, by hash.

    Args:
        within: Tells whether the next pull reads a value again, by that value and the newest.
    """

    def __init__(self, within: Callable[[K, K], bool]) -> None:
        self._within = within
        self._held: deque[tuple[K, str]] = deque()
        self._dropped: K | None = None
        self._newest: K | None = None

    def add(self, key: K, hashed: str) -> None:
        """Add a row; rows come in the order of the cursor."""
        self._newest = key
        while self._held and not self._within(self._held[0][0], key):
            self._held.popleft()
        if len(self._held) == _MOST_HASHES:
            self._dropped = self._held.popleft()[0]
        self._held.append((key, hashed))

    @property
    def hashes(self) -> str | None:
        """The hashes, for a position; None when they are too many."""
        dropped, newest = self._dropped, self._newest
        if dropped is not None and newest is not None and self._within(dropped, newest):
            return None
        return ",".join(hashed for _, hashed in self._held)

    def begun(self, ahead: Iterable[str]) -> str:
        """Give the hashes for a position in the midst of a pull; where they are too many, the others come again.

        Args:
            ahead: Hashes of known rows that were not read again yet.
        """
        return ",".join([*(hashed for _, hashed in self._held), *ahead][-_MOST_HASHES:])


def known_rows(seen: object) -> Counter[str]:
    """Read the hashes of a position."""
    return Counter(seen.split(",")) if isinstance(seen, str) and seen and ":" not in seen else Counter()


def follow(
    order: Order[K],
    rows: Iterable[tuple[R, CursorValue, str]],
    *,
    position: Position | None,
    since: CursorValue | None,
    pieces: Pieces[R],
    most_rows: int,
    scan: Callable[[CursorValue], str],
) -> Iterator[Pulled]:
    """Give the new rows of a pull as pieces.

    Args:
        order: How the cursor is compared.
        rows: Each row with its cursor's value and its hash, in the order of the cursor, from ``since`` on.
        position: Of the newest piece that landed.
        since: The newest value that landed; None where everything is read.
        pieces: Takes the rows.
        most_rows: Rows of a piece; a piece has more where rows share a value.
        scan: Gives the digest of all rows from a value on, as the next pull would read them.

    Yields:
        The pieces; nothing where all rows came already.
    """
    known = known_rows(position.get("seen") if position and since is not None else None)
    window: Window[K] = Window(order.within)
    last: CursorValue | None = None

    def placed(last: CursorValue, hashes: str) -> Position:
        return {"cursor": order.column, "value": _newest(order, last, since), "seen": hashes}

    for row, value, hashed in rows:
        key = order.key(value)
        is_known = known[hashed] > 0
        # cut only before a new row: behind a cut with nothing but known rows no piece would hold the last place
        if last is not None and pieces.rows >= most_rows and not is_known and key != order.key(last):
            yield pieces.cut(placed(last, window.begun(known.elements())))
        last = value
        window.add(key, hashed)
        if is_known:
            known[hashed] -= 1
        else:
            pieces.add(row)
    if pieces.rows and last is not None:
        hashes = window.hashes
        yield pieces.cut(placed(last, scan(_newest(order, last, since)) if hashes is None else hashes))


def _newest(order: Order[K], last: CursorValue, since: CursorValue | None) -> CursorValue:
    """Give the newer value: late rows, or none left at the newest value of before, do not take a source back."""
    return last if since is None or order.newer(last, since) else since

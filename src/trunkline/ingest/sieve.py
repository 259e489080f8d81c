"""Rows that repeat a key, found before they are written.

Takes the good rows of a file in its order and holds some megabytes of them back. Of those it holds it drops the rows
that are not the one to keep of their key, and hands on the oldest. Most files repeat keys close by, if at all: then no
row is written that has to be taken out again. What repeats further apart is only noticed here, by 64 bits of each
key; whoever commits the rows finds it in what was written.
"""

from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from trunkline.checks import ROW
from trunkline.ingest.repeats import KeyOrder, Keys, between, marked_twice

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["Sieve"]

_HELD_BYTES: Final = 96 << 20
"""Rows that are held back; some blocks more may be on their way to the disk."""

_WRITTEN_BYTES: Final = 12 << 20
"""Rows that are written at once, more or less: what Parquet reads at once again."""

_MOST_MARKS: Final = 1 << 24
"""Rows up to which all keys of a file are remembered, at eight bytes each."""


class Sieve:
    """Holds rows back, and leaves out what repeats a key; leave its ``with`` block, and no thread of it works any more.

    Args:
        keys: Of the rows' contract.
        write: Takes the rows that are left (``_row`` and the contract's columns), from several threads.
        threads: How many of them.
    """

    def __init__(self, keys: Keys, *, write: "Callable[[pa.Table], None]", threads: int) -> None:
        self._keys, self._write = keys, write
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingest-write")
        self._most_writing = 2 * threads
        self._writing: deque[Future[None]] = deque()
        self._held: deque[pa.Table] = deque()
        self._ready: list[pa.Table] = []
        self._ready_size = 0
        self._marks: deque[npt.NDArray[np.int64]] = deque()
        self._size = 0
        self._handed = array("q")
        self._handed_rows = 0

    def add(self, rows: "pa.Table") -> None:
        """Take rows: those that follow the ones before, ``_row`` growing from each to the next.

        Raises:
            OSError: Earlier ones could not be written.
        """
        if not rows.num_rows:
            return
        if not self._keys.names:
            self._handed_on(rows)
            return
        self._held.append(rows)
        self._size += rows.nbytes
        if self._size >= _HELD_BYTES:
            self._sift()
            self._hand_on(_HELD_BYTES // 2)

    def hand_on_rest(self, *, order: KeyOrder) -> None:
        """Hand on what is held, and do not wait until it is written; no rows follow.

        Args:
            order: Of all rows that were taken.

        Raises:
            OSError: Earlier ones could not be written.
        """
        if self._held and not order.is_growing:
            self._sift()
            self._hand_on(0)
        while self._held:
            self._handed_on(self._held.popleft())
        self._let_write()

    def finish(self, *, order: KeyOrder) -> bool:
        """Hand on what is held, and wait until all is written.

        Args:
            order: Of all rows that were taken.

        Returns:
            Whether some of the rows handed on may still repeat a key.

        Raises:
            OSError: Rows could not be written.
        """
        import numpy as np

        self.hand_on_rest(order=order)
        while self._writing:
            self._writing.popleft().result()
        if order.is_growing or not self._handed_rows:
            return False
        if self._handed_rows > _MOST_MARKS:
            return True
        return len(marked_twice(np.frombuffer(self._handed, dtype=np.int64))) > 0

    def __enter__(self) -> Self:
        """Enter a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._held.clear()
        self._ready.clear()

    def _sift(self) -> None:
        """Drop what repeats a key among the rows that are held."""
        import numpy as np
        import pyarrow as pa

        self._marks += [self._keys.marks(rows) for rows in islice(self._held, len(self._marks), None)]
        found = self._keys.repeats(list(zip(self._held, self._marks, strict=True)))
        if found is None:
            return
        doomed = np.sort(found.to_numpy())
        for place, (rows, marks) in enumerate(zip(self._held, self._marks, strict=True)):
            numbers = rows.column(ROW).to_numpy()
            here = between(doomed, numbers[0], numbers[-1]) if len(numbers) else doomed[:0]
            if len(here):
                is_kept = np.ones(len(numbers), dtype=bool)
                is_kept[numbers.searchsorted(here)] = False
                self._held[place], self._marks[place] = rows.filter(pa.array(is_kept)), marks[is_kept]
        self._size = sum(rows.nbytes for rows in self._held)

    def _hand_on(self, left: int) -> None:
        """Hand the oldest rows on, until no more bytes are held than these."""
        while self._held and self._size > left:
            rows, marks = self._held.popleft(), self._marks.popleft()
            self._size -= rows.nbytes
            self._handed_rows += len(marks)
            if self._handed_rows <= _MOST_MARKS:
                self._handed.frombytes(marks.tobytes())
            else:
                self._handed = array("q")
            self._handed_on(rows)

    def _handed_on(self, rows: "pa.Table") -> None:
        """Let rows be written once there are enough of them."""
        self._ready.append(rows)
        self._ready_size += rows.nbytes
        if self._ready_size >= _WRITTEN_BYTES:
            self._let_write()

    def _let_write(self) -> None:
        """Let a thread write what is ready; few blocks wait for that."""
        import pyarrow as pa

        if not self._ready:
            return
        rows = pa.concat_tables(self._ready)
        self._ready.clear()
        self._ready_size = 0
        if len(self._writing) >= self._most_writing:
            self._writing.popleft().result()
        self._writing.append(self._pool.submit(self._write, rows))

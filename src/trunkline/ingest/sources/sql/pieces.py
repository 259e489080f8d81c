"""Rows of texts into Parquet files, in bounded memory."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import UnavailableError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["Digest", "Piece", "TextRow", "row_hash"]

TextRow = Sequence[str | None]
"""One text per column, None for null."""

_GROUP_ROWS: Final = 50_000
_GROUP_CHARS: Final = 16 << 20
_HASH_BYTES: Final = 8
_MODULUS: Final = 1 << 128


class Piece:
    """One file on its way; a row group is in memory at a time.

    Args:
        path: The file.
        columns: Names of its columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.rows = path, 0
        self._columns = columns
        self._held: list[TextRow] = []
        self._held_chars = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: TextRow) -> None:
        """Add a row.

        Raises:
            UnavailableError: The disk did not take it.
        """
        self._held.append(row)
        self.rows += 1
        self._held_chars += sum(len(text) for text in row if text is not None)
        if len(self._held) >= _GROUP_ROWS or self._held_chars >= _GROUP_CHARS:
            self._write()

    def close(self) -> None:
        """Write what is held and end the file.

        Raises:
            UnavailableError: The disk did not take it.
        """
        if self._held:
            self._write()
        try:
            if self._writer is not None:
                self._writer.close()
        except OSError as error:
            raise self._full(error) from error

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([pa.field(name, pa.string()) for name in self._columns])
        arrays = [pa.array(values, pa.string()) for values in zip(*self._held, strict=True)]
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self.path, schema, compression="zstd")
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        except OSError as error:
            raise self._full(error) from error
        self._held, self._held_chars = [], 0

    def _full(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"the disk did not take a piece: {error.strerror or type(error).__name__}",
            where=str(self.path.parent),
            next_step="make room on the disk; what landed stays",
        )


class Digest:
    """What a set of rows holds, whatever their order; equal for equal sets, repeats counted."""

    def __init__(self) -> None:
        self._rows, self._sum = 0, 0

    def add(self, hashed: str) -> None:
        """Add a row by its :func:`row_hash`."""
        self._rows += 1
        wide = hashlib.blake2b(hashed.encode(), digest_size=16).digest()  # sums of short hashes could cancel out
        self._sum = (self._sum + int.from_bytes(wide, "big")) % _MODULUS

    @property
    def text(self) -> str:
        """Rows and sum."""
        return f"{self._rows}:{self._sum:032x}"


def row_hash(row: TextRow) -> str:
    """Give a hash of a row, 16 hexadecimal digits."""
    said = "\x1f".join("\x00" if text is None else text for text in row)
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()

"""Rows of texts into Parquet files, in bounded memory."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import UnavailableError
from trunkline.ingest.sources.protocol import Position, Pulled

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["Piece", "Pieces", "TextRow", "row_hash"]

TextRow = Sequence[str | None]
"""One text per column, None for null."""

_GROUP_ROWS: Final = 50_000
_GROUP_CHARS: Final = 16 << 20
_HASH_BYTES: Final = 8


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


class Pieces:
    """The files of a pull, one after the other.

    Args:
        folder: Where they go.
        columns: Names of the columns.
        origin: Where the rows came from, for people.
    """

    def __init__(self, folder: Path, columns: Sequence[str], origin: str) -> None:
        self._folder, self._columns, self._origin = folder, columns, origin
        self.number, self.rows = 1, 0
        self._piece: Piece | None = None

    def add(self, row: TextRow) -> None:
        """Add a row."""
        if self._piece is None:
            self._piece = Piece(self._folder / f"{self.number:06d}.parquet", self._columns)
        self._piece.add(row)
        self.rows += 1

    def cut(self, position: Position) -> Pulled:
        """End the open file, which has at least one row."""
        assert self._piece is not None
        self._piece.close()
        pulled = Pulled(self._piece.path, origin=self._origin, position=position)
        self._piece, self.rows = None, 0
        self.number += 1
        return pulled


def row_hash(row: TextRow) -> str:
    """Give a hash of a row, 16 hexadecimal digits."""
    said = "\x1f".join("\x00" if text is None else text for text in row)
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()

"""What every form of file becomes: a header, and batches of texts with the numbers of their rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BLOCK_BYTES", "FILE_SUFFIXES", "MalformedLine", "RawFile", "byte_stream", "truncated", "unreadable"]

FILE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".parquet")
"""Forms that are understood; CSV and NDJSON also with .gz, .bz2 or .zst behind."""

BLOCK_BYTES: Final = 1 << 22
"""How much of a file is in memory at once."""

_LONGEST_DETAIL: Final = 160


@dataclass(frozen=True)
class MalformedLine:
    """A line that is no row.

    Attributes:
        row_number: 1-based position among the data rows; empty lines do not count.
        text: The line as it stands.
        fields: How many fields it has.
    """

    row_number: int
    text: str
    fields: int


@dataclass
class RawFile:
    """An opened file.

    Attributes:
        path: Where it is.
        header: Column names as the file spells them.
        batches: Text columns under those names; to be consumed once, here or by ``numbered``.
        malformed: Lines that are no rows; complete once ``batches`` is consumed.
    """

    path: Path
    header: tuple[str, ...]
    batches: "Iterator[pa.RecordBatch]"
    malformed: list[MalformedLine] = field(default_factory=list)

    def numbered(self) -> "Iterator[tuple[pa.Array, pa.RecordBatch]]":
        """Give each batch with the numbers of its rows, int64 from 1; malformed lines keep theirs to themselves.

        Raises:
            SourceError: The file turns out to be truncated or not of its form.
        """
        import numpy as np
        import pyarrow as pa

        after, passed = 1, 0
        for batch in self.batches:
            skipped: list[int] = []
            end = after + batch.num_rows
            while passed < len(self.malformed) and self.malformed[passed].row_number < end:
                skipped.append(self.malformed[passed].row_number)
                passed += 1
                end += 1
            numbers = np.arange(after, end, dtype=np.int64)
            yield pa.array(np.setdiff1d(numbers, skipped, assume_unique=True)), batch
            after = end


def byte_stream(path: Path, compression: str | None) -> "pa.NativeFile":
    """Open a file as a stream of decompressed bytes.

    Raises:
        SourceError: It cannot be opened.
    """
    import pyarrow as pa

    try:
        return pa.input_stream(str(path), compression=compression)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> SourceError:
    """Say that a file is missing or may not be read."""
    what = "the file does not exist" if isinstance(error, FileNotFoundError) else "the file cannot be read"
    detail = error.strerror or type(error).__name__
    return SourceError(what, where=f"{path} ({detail})", next_step="check the path and its permissions")


def truncated(path: Path, detail: str) -> SourceError:
    """Say that a file ends too early or is not what its name says.

    Args:
        path: The file.
        detail: Which part of the form is broken; no values of rows.
    """
    return SourceError(
        "the file is truncated or not of its form",
        where=f"{path} ({detail[:_LONGEST_DETAIL]})",
        next_step="let its export finish, or export it again; nothing of it was taken in",
    )

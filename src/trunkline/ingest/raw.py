"""What every form of file becomes: a header, and batches of texts with the numbers of their rows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BLOCK_BYTES",
    "FILE_SUFFIXES",
    "MALFORMED",
    "SUSPECT",
    "Aside",
    "MalformedLine",
    "RawFile",
    "empty",
    "refuse_twins",
    "told_suffixes",
    "truncated",
    "unreadable",
]

FILE_SUFFIXES: Final = (
    ".csv",
    ".tsv",
    ".txt",
    ".json",
    ".ndjson",
    ".jsonl",
    ".parquet",
    ".avro",
    ".xlsx",
    ".xls",
    ".xlsb",
    ".ods",
    ".xml",
    ".zip",
    ".tar",
    ".tgz",
    ".tbz2",
    ".txz",
    ".tzst",
)
"""Forms that are understood; CSV, JSON, NDJSON, XML and tar also with .gz, .bz2, .xz or .zst behind, the first four
also with .zip."""

BLOCK_BYTES: Final = 1 << 22
"""How much of a file is in memory at once."""

MALFORMED: Final = "line.malformed"
"""The reason of a line that is no row."""

SUSPECT: Final = "suspect"
"""The reason of a row whose own source says that its values cannot be relied on."""

_LONGEST_DETAIL: Final = 160


@dataclass(frozen=True)
class MalformedLine:
    """A line that is no row, or a row that its source calls suspect.

    Attributes:
        row_number: 1-based position among the data rows; empty lines do not count.
        text: The line as it stands.
        fields: How many fields it has.
        reason: Why it goes to the quarantine.
    """

    row_number: int
    text: str
    fields: int
    reason: str = MALFORMED


class Aside:
    """Lines on their way to the quarantine, bounded in size.

    Args:
        path: The file they are of.
        most_bytes: How much text they may have altogether.
    """

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        self.lines: list[MalformedLine] = []
        self._path, self._left = path, most_bytes

    def fits(self, text: str) -> bool:
        """Say whether a line still fits, and count it."""
        self._left -= len(text) + _LONGEST_DETAIL  # a line is an object too
        return self._left >= 0

    def add(self, line: MalformedLine) -> None:
        """Put a line aside.

        Raises:
            SourceError: They take more memory than the settings allow.
        """
        if not self.fits(line.text):
            raise self.overflow()
        self.lines.append(line)

    def overflow(self) -> SourceError:
        """Say that too much of the file is unusable."""
        return SourceError(
            f"more of its lines are unusable than can be held ({len(self.lines):,} so far)",
            where=str(self._path),
            next_step="check its delimiter and its header, or raise the setting ingest.max_refused_mb",
        )


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


def told_suffixes(name: str) -> list[str]:
    """Give the suffixes that tell a file's form: at most two, short, in lower case.

    >>> told_suffixes("calls/Day 3.CSV.gz")
    ['.csv', '.gz']
    """
    return [suffix.lower() for suffix in PurePath(name).suffixes[-2:] if len(suffix) <= 8 and suffix[1:].isalnum()]


def unreadable(path: Path, error: OSError) -> SourceError:
    """Say that a file is missing or may not be read."""
    what = "the file does not exist" if isinstance(error, FileNotFoundError) else "the file cannot be read"
    detail = error.strerror or type(error).__name__
    return SourceError(what, where=f"{path} ({detail})", next_step="check the path and its permissions")


def empty(path: Path) -> SourceError:
    """Say that a file holds nothing."""
    return SourceError("the file is empty", where=str(path), next_step="check whether its export has finished")


def refuse_twins(path: Path, names: Sequence[str]) -> None:
    """Look for columns that share a name.

    Raises:
        SourceError: There are some.
    """
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise SourceError(
            f"column names occur twice: {', '.join(map(repr, twice))}",
            where=str(path),
            next_step="give each column a name of its own",
        )


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

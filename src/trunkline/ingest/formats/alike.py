"""Small CSV files with one and the same first line, read as one.

Takes files one by one and tells which of them are as plain as most exports are: UTF-8 without quotation marks, every
line ended. The lines of plain files that begin alike can be parsed in one go, which costs a tenth of opening each of
them. What is not plain, or turns out to have a line of another width, is for :func:`~.delimited.open_csv`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.ingest.byte_stream import ByteStream
from trunkline.ingest.formats.delimited import open_csv
from trunkline.ingest.formats.dialect import header_of
from trunkline.ingest.raw import unreadable
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FirstLines", "PlainCsv", "read_alike"]

_SUFFIXES: Final = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class PlainCsv:
    """A plain file.

    Attributes:
        header: Column names as the file spells them.
        delimiter: Between them.
        body: All lines but the first.
        rows: How many these are.
    """

    header: tuple[str, ...]
    delimiter: str
    body: bytes
    rows: int


class FirstLines:
    """Looks at files, and at each first line only once. Threads may share it.

    Args:
        limits: How long, wide and large a file may be.
    """

    def __init__(self, limits: IngestSettings) -> None:
        self._limits = limits
        self._known: dict[bytes, tuple[tuple[str, ...], str]] = {}

    def plain(self, path: Path) -> PlainCsv | None:
        """Read a small file, if it is a plain one with rows.

        Raises:
            SourceError: It cannot be read, or its first line is none of column names.
        """
        if path.suffix.lower() not in _SUFFIXES:
            return None
        try:
            data = path.read_bytes()
        except IsADirectoryError:
            return None
        except OSError as error:
            raise unreadable(path, error) from error
        line, _, body = data.partition(b"\n")
        if not body.endswith(b"\n") or not _is_plain(data):
            return None
        known = self._known.get(line)
        if known is None:
            opened = open_csv(ByteStream(path, None, self._limits))
            dialect = header_of(path, data.decode(), self._limits.csv).dialect
            if not dialect.is_usual:
                return None
            known = self._known[line] = opened.header, dialect.delimiter
        return PlainCsv(*known, body, body.count(b"\n"))


def read_alike(files: Sequence[PlainCsv]) -> "pa.Table | None":
    """Parse files with one first line as one; columns are texts, named by position.

    Returns:
        The rows of all files, one after the other; None where a line has another number of fields, or is empty.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    names = [f"c{position}" for position in range(len(files[0].header))]
    data = b"".join(file.body for file in files)
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data)),
            parse_options=pa_csv.ParseOptions(delimiter=files[0].delimiter),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == sum(file.rows for file in files) else None


def _is_plain(data: bytes) -> bool:
    """Whether there is nothing in a text that a second look would have to be taken at."""
    if b'"' in data or b"\x00" in data or data[:1] in (b"<", b"\xef") or data.count(b"\r") != data.count(b"\r\n"):
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

"""Records of pieces whose raw files are gone, folded into one compressed file per source.

A source that gives a piece a minute leaves half a million records a year; each was a file of its own. Takes and gives
the records as lines of JSON; what they mean is the landing zone's business.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from trunkline.errors import TamperedError
from trunkline.files import replacing

__all__ = ["FOLDED", "read_folded", "write_folded"]

FOLDED: Final = "folded.piece-records"
"""Name of the file, in the folder of its source; no piece can have it."""


def read_folded(folder: Path) -> list[bytes]:
    """Read the folded records of a source; none where nothing was folded.

    Raises:
        TamperedError: The file is not what was written.
    """
    import pyarrow as pa

    path = folder / FOLDED
    if not path.exists():
        return []
    try:
        with pa.input_stream(str(path), compression="zstd") as stream:
            return bytes(stream.read()).splitlines()
    except OSError as error:
        raise TamperedError(
            "the folded records of the landing zone are damaged",
            where=str(path),
            next_step="restore the file, or remove it: sources of objects then look at their last day again",
        ) from error


def write_folded(folder: Path, records: Iterable[bytes]) -> None:
    """Put records in the place of the folded ones, at once; no records leave no file.

    Raises:
        OSError: The disk did not take them.
    """
    import pyarrow as pa

    lines = list(records)
    path = folder / FOLDED
    if not lines:
        path.unlink(missing_ok=True)
        return
    with replacing(path, durable=True) as part, pa.CompressedOutputStream(str(part), "zstd") as out:
        out.write(b"\n".join(lines) + b"\n")

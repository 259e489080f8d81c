"""The directory of a ZIP archive, opened only where it lists as many files as it says it does.

The library reads as many entries as it finds: one whose length is damaged swallows those behind it without a word. It
also holds the whole directory in memory, so that one which is too long is told beforehand.
"""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["DIRECTORY_BYTES", "directory_bytes", "opened_zip"]

DIRECTORY_BYTES: Final = 64 << 20
"""How long a directory may be."""

_TAIL_BYTES: Final = (1 << 16) + 128
_WIDE: Final = (1 << 32) - 1


def directory_bytes(path: Path) -> int:
    """How much the directory of a ZIP says it takes.

    Raises:
        OSError: The file cannot be read.
    """
    return _told(path)[0]


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Lend an archive.

    Raises:
        OSError: The file cannot be read.
        zipfile.BadZipFile: It is no archive, or its directory does not list what it says.
    """
    with zipfile.ZipFile(path) as archive:
        if (len(archive.infolist()) - _told(path)[1]) % (1 << 16):  # some tools write no more than 16 bits of it
            raise zipfile.BadZipFile("the directory does not list as many files as it says")
        yield archive


def _told(path: Path) -> tuple[int, int]:
    """How many bytes the directory says it takes, and how many files it says it lists."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read()
    large, short = tail.rfind(b"PK\x06\x06"), tail.rfind(b"PK\x05\x06")
    told = listed = 0
    if short >= 0 and len(tail) >= short + 16:
        listed, told = struct.unpack_from("<HI", tail, short + 10)
    if large >= 0 and len(tail) >= large + 48:
        told = max(told if told != _WIDE else 0, struct.unpack_from("<Q", tail, large + 40)[0])
        if tail[max(0, short - 20) : short].startswith(b"PK\x06\x07"):
            listed = struct.unpack_from("<Q", tail, large + 32)[0]
    return int(told), int(listed)

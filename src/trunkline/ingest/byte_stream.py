"""A file as a stream of unpacked bytes: plain, gzip, bzip2, xz, Zstandard, or a ZIP archive of one file.

What a packed file gives is counted while it is read, so that a small file that unpacks to terabytes is refused after a
bounded part of it. Every fault of a packed stream is an ``OSError`` to its reader, as for a plain one; all bytes that
can be unpacked before the fault are given first.
"""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, cast

from typing_extensions import Buffer

from trunkline.errors import SourceError
from trunkline.ingest.raw import unreadable
from trunkline.ingest.xz_stream import XzStream
from trunkline.ingest.zip_directory import opened_zip
from trunkline.settings.ingest import IngestSettings

__all__ = ["PACKINGS", "TAR_PACKINGS", "ByteStream", "Expanding", "Packing", "Soundness", "inner_name", "refuse_width"]

Packing = Literal["gzip", "bz2", "xz", "zstd", "zip"]
"""How a file is packed."""

Soundness = Literal["whole", "breaks off", "damaged"]
"""What the checksums and the end mark of a packed stream tell of it."""

PACKINGS: Final[dict[str, Packing]] = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
"""Suffix to packing."""

TAR_PACKINGS: Final[dict[str, Packing | None]] = {
    ".tar": None,
    ".tgz": "gzip",
    ".tbz2": "bz2",
    ".txz": "xz",
    ".tzst": "zstd",
}
"""Suffixes of tar archives to how the whole is packed; ``.tar.gz`` and the like beside them."""

_BUFFER_BYTES: Final = 1 << 18
_RATIO_FREE_BYTES: Final = 64 << 20
_MARKS: Final[dict[Packing, bytes]] = {
    "gzip": b"\x1f\x8b",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "zip": b"PK",
}
_CUT: Final = "Truncated compressed stream"  # what Arrow says where bytes are missing at the end
_FAULTS: Final = (
    EOFError,
    LookupError,
    NotImplementedError,  # a way of packing that nobody here can undo
    RuntimeError,  # encrypted
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class ByteStream:
    """A file to be read.

    Attributes:
        path: Where it is.
        packing: How it is packed; None for plain bytes.
        limits: How much it may give.
    """

    path: Path
    packing: Packing | None
    limits: IngestSettings

    @property
    def longest_record(self) -> int:
        """Bytes that one record may have."""
        return self.limits.max_record_mb << 20

    @contextmanager
    def stream(self) -> Iterator[io.BufferedReader]:
        """Open it as unpacked bytes.

        Yields:
            The bytes. Reading raises ``OSError`` where the packing is broken.

        Raises:
            SourceError: It cannot be opened, or becomes larger than the settings allow.
        """
        try:
            plain = cast("io.BufferedReader", self.path.open("rb", buffering=_BUFFER_BYTES))
        except OSError as error:
            raise unreadable(self.path, error) from error
        with plain:
            if self.packing is None:
                yield plain
                return
            with io.BufferedReader(_Unpacked(self, plain), _BUFFER_BYTES) as unpacked:
                yield cast("io.BufferedReader", unpacked)

    def soundness(self) -> Soundness:
        """Unpack it to its end, and say how it is packed: what its checksums and its end mark tell.

        A stream that breaks off is not damaged: what was packed before that place is as it was. One without a checksum
        tells of hardly any damage: Zstandard has them only where they were asked for.

        Raises:
            SourceError: It cannot be opened, or becomes larger than the settings allow.
        """
        try:
            with self.stream() as stream:
                while stream.read(_BUFFER_BYTES):
                    pass
        except _BreaksOffError:
            return "breaks off"
        except OSError:
            return "damaged"
        return "whole"

    def head(self, size: int) -> bytes:
        """Give the first unpacked bytes, or none where the packing is broken.

        Raises:
            SourceError: It cannot be opened.
        """
        try:
            with self.stream() as stream:
                return stream.read(size)
        except OSError:
            return b""


class _BreaksOffError(OSError):
    """A packed stream ends before its end mark, and nothing before that speaks of damage."""


class Expanding:
    """Counts what a packed file gives.

    Args:
        source: The file, with its limits.

    Attributes:
        given: Bytes so far.
    """

    def __init__(self, source: ByteStream) -> None:
        self._source, self.given = source, 0
        self._size = source.path.stat().st_size

    def add(self, size: int) -> None:
        """Count bytes that it gave.

        Raises:
            SourceError: They are more than the settings allow.
        """
        self.given += size
        limits = self._source.limits
        if self.given > _RATIO_FREE_BYTES and self.given > self._size * limits.max_expanded_ratio:
            raise _too_large(
                self._source, f"more than {limits.max_expanded_ratio} times its size", "max_expanded_ratio"
            )
        if self.given > limits.max_expanded_gb << 30:
            raise _too_large(self._source, f"more than {limits.max_expanded_gb} GiB", "max_expanded_gb")


class _Unpacked(io.RawIOBase):
    """Unpacks and counts."""

    def __init__(self, source: ByteStream, packed: io.BufferedReader) -> None:
        self._source, self._counted = source, Expanding(source)
        self._inner = _opened(source, packed)
        self._fault: OSError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, target: Buffer) -> int:
        view = memoryview(target).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        if self._fault is not None:
            raise self._fault
        most = min(size, _BUFFER_BYTES) if size >= 0 else _BUFFER_BYTES
        try:
            data = bytes(self._inner.read(most))
        except (OSError, *_FAULTS) as error:
            packing = self._source.packing
            is_cut = isinstance(error, EOFError) or _CUT in str(error)
            self._fault = _BreaksOffError(f"{packing}: breaks off") if is_cut else OSError(f"{packing}: damaged")
            data = _before_fault(self._source, self._counted.given, most)
            if not data:
                raise self._fault from None
        self._counted.add(len(data))
        return data


def inner_name(path: Path) -> str:
    """Give the name of the only file in a ZIP archive.

    Raises:
        SourceError: It is no such archive, or holds none or several files.
    """
    try:
        with opened_zip(path) as archive:
            return _only(path, archive).filename
    except (OSError, *_FAULTS) as error:
        raise _no_archive(path, type(error).__name__) from None


def refuse_width(source: ByteStream, columns: int) -> None:
    """Hold a number of columns against the limit.

    Raises:
        SourceError: There are too many.
    """
    if columns > source.limits.max_columns:
        raise SourceError(
            f"it has more than {source.limits.max_columns:,} different columns",
            where=str(source.path),
            next_step="give rows with one set of names; names may not hold values (setting ingest.max_columns)",
        )


def _opened(source: ByteStream, packed: io.BufferedReader) -> IO[bytes]:
    import pyarrow as pa

    mark = _MARKS[source.packing or "zip"]
    if packed.peek(len(mark))[: len(mark)] != mark:
        raise OSError(f"its bytes are not {source.packing}")
    if source.packing == "xz":
        return cast("IO[bytes]", XzStream(packed))
    if source.packing != "zip":
        return cast("IO[bytes]", pa.CompressedInputStream(packed, source.packing))
    try:
        archive = zipfile.ZipFile(packed)
        return archive.open(_only(source.path, archive))
    except _FAULTS as error:
        raise _no_archive(source.path, type(error).__name__) from None


def _before_fault(source: ByteStream, given: int, most: int) -> bytes:
    """Unpack once more what lies between the bytes that were given and a fault.

    A library drops what it has unpacked in the read that meets the fault, so this part is read byte by byte.
    """
    found = bytearray()
    with suppress(OSError, *_FAULTS), source.path.open("rb", buffering=_BUFFER_BYTES) as packed:
        inner = _opened(source, cast("io.BufferedReader", packed))
        while given and (block := inner.read(min(given, _BUFFER_BYTES))):
            given -= len(block)
        while not given and len(found) < most and (byte := inner.read(1)):
            found += byte
    return bytes(found)


def _only(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len(files) != 1:
        raise SourceError(
            f"the archive holds {len(files)} files instead of one",
            where=str(path),
            next_step="unpack it, and name its files or their folder",
        )
    return files[0]


def _no_archive(path: Path, detail: str) -> SourceError:
    return SourceError(
        "the archive cannot be opened",
        where=f"{path} ({detail})",
        next_step="let its export finish, or unpack it; encrypted archives are not read",
    )


def _too_large(source: ByteStream, what: str, setting: str) -> SourceError:
    return SourceError(
        f"the file unpacks to {what}",
        where=str(source.path),
        next_step=f"check where it comes from; if it is right, raise the setting ingest.{setting}",
    )

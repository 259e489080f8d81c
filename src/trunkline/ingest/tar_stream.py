"""The bytes of a tar archive, read forward, with what ``tarfile`` does not check: lengths of headers, and the end."""

import tarfile
from collections.abc import Iterator
from typing import IO, Final

__all__ = ["BrokenArchiveError", "TarStream"]

_BLOCK_BYTES: Final = 1 << 20
_HEADER_BYTES: Final = 1 << 20


class BrokenArchiveError(Exception):
    """What is wrong with an archive, in words that can be shown."""


class TarStream:
    """A stream as ``tarfile`` wants one that goes forward only.

    Args:
        stream: Gives the bytes of the archive.

    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._at = 0
        self._last = b""
        self._left = _HEADER_BYTES

    def begin_header(self) -> None:
        """Say that a header is read next; what stands before a file's content is held in memory, and so is bounded."""
        self._left = _HEADER_BYTES

    def tell(self) -> int:
        """Bytes that were read or passed over."""
        return self._at

    def seek(self, offset: int) -> None:
        """Pass over bytes.

        Raises:
            BrokenArchiveError: The offset lies behind.
        """
        if offset < self._at:
            raise BrokenArchiveError("a header leads backwards")
        while self._at < offset and (block := self._stream.read(min(_BLOCK_BYTES, offset - self._at))):
            self._at += len(block)

    def read(self, size: int) -> bytes:
        """Read bytes of a header.

        Raises:
            BrokenArchiveError: The header is longer than any that is meant well.
        """
        self._left -= size
        if size < 0 or self._left < 0:
            raise BrokenArchiveError("a header is too long")
        self._last = self._stream.read(size)
        self._at += len(self._last)
        return self._last

    def content(self, size: int) -> Iterator[bytes]:
        """Give the content of the file whose header was read last.

        Raises:
            BrokenArchiveError: The archive ends before it does.
        """
        left = size
        while left > 0:
            block = self._stream.read(min(_BLOCK_BYTES, left))
            if not block:
                raise BrokenArchiveError("it breaks off")
            self._at += len(block)
            left -= len(block)
            yield block

    def refuse_rest(self) -> None:
        """Look at what ended the archive: its end mark and nothing behind it, or a header that is none.

        The library takes a damaged header, and a file that breaks off between two members, for the end.

        Raises:
            BrokenArchiveError: It is no end.
        """
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise BrokenArchiveError("it breaks off, or a header is damaged")
        while block := self._stream.read(_BLOCK_BYTES):
            if block.count(0) != len(block):
                raise BrokenArchiveError("something follows its end")

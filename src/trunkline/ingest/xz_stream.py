"""The streams of an xz file, unpacked one after another; none is left out.

The standard library's reader takes a later stream whose beginning is damaged for bytes that do not belong to the file:
it leaves it out, and whatever stands behind it, without a word.
"""

import io
import lzma
from typing import Final

__all__ = ["XzStream"]

_BLOCK_BYTES: Final = 1 << 16


class XzStream:
    """An xz file, unpacked.

    Args:
        packed: Gives its bytes.
    """

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed = packed
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def close(self) -> None:
        """Close the file."""
        self._packed.close()

    def read(self, size: int) -> bytes:
        """Give unpacked bytes, at most so many; none at the end of the last stream.

        Raises:
            EOFError: The file breaks off.
            lzma.LZMAError: It is damaged.
        """
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data.lstrip(b"\0")  # streams may be padded
                while not rest and (block := self._packed.read(_BLOCK_BYTES)):
                    rest = block.lstrip(b"\0")
                if not rest:
                    return b""
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
                data = self._stream.decompress(rest, size)
            elif self._stream.needs_input:
                block = self._packed.read(_BLOCK_BYTES)
                if not block:
                    raise EOFError("the file breaks off")
                data = self._stream.decompress(block, size)
            else:
                data = self._stream.decompress(b"", size)
            if data:
                return data

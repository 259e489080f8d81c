"""The container of an Avro file: its schema, and its blocks unpacked one by one under a limit.

After the specification of Apache Avro 1.12, "Object Container Files": https://avro.apache.org/docs/1.12.0/specification/
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream
from trunkline.ingest.raw import truncated

__all__ = ["Container", "open_container"]

_MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_MOST_HEADER_BYTES: Final = 4 << 20
_MOST_HEADER_ENTRIES: Final = 10_000
_CODECS: Final = ("null", "deflate", "snappy", "bzip2", "xz", "zstandard")


@dataclass(frozen=True)
class Container:
    """An opened container, standing at its first block.

    Attributes:
        source: The file.
        stream: Its bytes.
        schema: The writer's schema as JSON.
        codec: How blocks are packed.
        sync: What stands behind each block.
    """

    source: ByteStream
    stream: io.BufferedReader
    schema: bytes
    codec: str
    sync: bytes

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Give the number of records and the unpacked bytes of each block.

        Raises:
            SourceError: A block is cut, damaged, or larger than the settings allow.
        """
        most = self.source.limits.max_block_mb << 20
        while self.stream.peek(1):
            count, size = _long(self.source, self.stream), _long(self.source, self.stream)
            if count < 0 or size < 0:
                raise truncated(self.source.path, "a block has a negative size")
            if size > most:
                raise self._too_large()
            data = self._unpacked(_exactly(self.source, self.stream, size), most)
            if len(data) > most:
                raise self._too_large()
            # every record of a schema that is taken has at least one byte
            if count > len(data):
                raise truncated(self.source.path, "a block says that it has more records than bytes")
            if _exactly(self.source, self.stream, _SYNC_BYTES) != self.sync:
                raise truncated(self.source.path, "a block does not end where it should")
            yield count, data

    def _unpacked(self, data: bytes, most: int) -> bytes:
        """Unpack a block, one byte beyond the limit at most."""
        try:
            if self.codec == "deflate":
                return zlib.decompressobj(-15).decompress(data, most + 1)
            if self.codec == "bzip2":
                return bz2.BZ2Decompressor().decompress(data, most + 1)
            if self.codec == "xz":
                return lzma.LZMADecompressor(memlimit=most + (64 << 20)).decompress(data, most + 1)
            if self.codec == "snappy":
                return self._unsnapped(data, most)
            if self.codec == "zstandard":
                import pyarrow as pa

                with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
                    return bytes(stream.read(most + 1))
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise truncated(self.source.path, f"a block is damaged: {type(error).__name__}") from None
        return data

    def _unsnapped(self, data: bytes, most: int) -> bytes:
        import pyarrow as pa

        size, shift = 0, 0
        for byte in data[:5]:  # the unpacked size stands first
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if size > most:
            raise self._too_large()
        unpacked = bytes(pa.Codec("snappy").decompress(data[:-4], decompressed_size=size, asbytes=True))
        if zlib.crc32(unpacked) != int.from_bytes(data[-4:], "big"):
            raise truncated(self.source.path, "a block's checksum is wrong")
        return unpacked

    def _too_large(self) -> SourceError:
        return SourceError(
            f"a block is larger than {self.source.limits.max_block_mb} MiB",
            where=str(self.source.path),
            next_step="write smaller blocks, or raise the setting ingest.max_block_mb",
        )


def open_container(source: ByteStream, stream: io.BufferedReader) -> Container:
    """Read a container's header.

    Raises:
        SourceError: It is no Avro, or ends within.
    """
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise truncated(source.path, "not an Avro container")
    entries: dict[bytes, bytes] = {}
    left = _MOST_HEADER_BYTES
    while count := _long(source, stream):
        if count < 0:
            count = -count
            _long(source, stream)
        for _ in range(count):
            pair = []
            for _ in range(2):
                size = _long(source, stream)
                left -= size
                if size < 0 or left < 0 or len(entries) > _MOST_HEADER_ENTRIES:
                    raise truncated(source.path, "its header is too large")
                pair.append(_exactly(source, stream, size))
            entries[pair[0]] = pair[1]
    codec = entries.get(b"avro.codec", b"null").decode("utf-8", errors="replace")
    if codec not in _CODECS:
        raise SourceError("its blocks are packed in an unknown way", where=str(source.path), allowed=_CODECS)
    return Container(source, stream, entries.get(b"avro.schema", b""), codec, _exactly(source, stream, _SYNC_BYTES))


def _exactly(source: ByteStream, stream: io.BufferedReader, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise truncated(source.path, "it ends too early")
    return data


def _long(source: ByteStream, stream: io.BufferedReader) -> int:
    """Read a whole number of variable length in zig-zag coding."""
    number = 0
    for shift in range(0, 70, 7):
        byte = _exactly(source, stream, 1)[0]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1)
    raise truncated(source.path, "a number is too long")

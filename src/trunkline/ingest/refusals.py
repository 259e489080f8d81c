"""Refused rows on their way to the quarantine: a few stay in memory, many wait in a temporary file."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final, cast

from trunkline.ingest.raw import MalformedLine

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Refusals"]

_HELD_BYTES: Final = 32 << 20
_LINES: Final = 20_000


class Refusals:
    """Refused rows: ``number`` (int64), ``reasons`` and ``row`` (JSON texts)."""

    def __init__(self) -> None:
        self.rows = 0
        self._held: list[pa.RecordBatch] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._stream: pa.ipc.RecordBatchStreamWriter | None = None

    @staticmethod
    def batch(numbers: "pa.Array", reasons: Sequence[str], rows: Sequence[str]) -> "pa.RecordBatch":
        """Build a batch of refused rows.

        Args:
            numbers: Their numbers in the file, int64; 1 is the first data row.
            reasons: A JSON list of each row's reason codes.
            rows: A JSON object of each row's raw texts.
        """
        import pyarrow as pa

        texts = [pa.array(parts, pa.large_string()) for parts in (reasons, rows)]
        return pa.RecordBatch.from_arrays([numbers, *texts], names=["number", "reasons", "row"])

    def add(self, batch: "pa.RecordBatch") -> None:
        """Put rows aside.

        Raises:
            OSError: The temporary file cannot be written.
        """
        self.rows += batch.num_rows
        if self._stream is None:
            self._held.append(batch)
            self._size += batch.nbytes
            if self._size < _HELD_BYTES:
                return
            self._spill(batch.schema)
            return
        self._stream.write_batch(batch)

    def add_lines(self, lines: Sequence[MalformedLine]) -> None:
        """Put lines aside that are no rows."""
        import pyarrow as pa

        for start in range(0, len(lines), _LINES):
            part = lines[start : start + _LINES]
            self.add(
                self.batch(
                    pa.array([line.row_number for line in part], pa.int64()),
                    [json.dumps([line.reason]) for line in part],
                    [json.dumps({"line": line.text}, ensure_ascii=False) for line in part],
                )
            )

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """Give all rows back, as often as asked; nothing can be added any more.

        Raises:
            OSError: The temporary file cannot be read.
        """
        import pyarrow as pa

        if self._file is None:
            yield from self._held
            return
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._file.seek(0)
        yield from cast("Iterator[pa.RecordBatch]", pa.ipc.open_stream(self._file))

    def close(self) -> None:
        """Forget the rows; closing twice is allowed."""
        self._held.clear()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self, schema: "pa.Schema") -> None:
        import pyarrow as pa

        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object, see close
        self._stream = pa.ipc.new_stream(self._file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        for held in self._held:
            self._stream.write_batch(held)
        self._held.clear()

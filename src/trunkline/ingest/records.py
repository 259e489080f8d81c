"""Records of a stream as rows of text: whatever a sender sends is a row, or goes to the quarantine, and stops nothing.

Takes the values of a chunk's records and the contract; gives what an opened file is. Every field of the contract and
every name of the user's mapping has a column, so that a record is judged alone and not by what others of its chunk
have. A line that is no object is a malformed line. Beyond the most columns that a file may have, names that no field
claims are left out. Flat objects, a line each, are read in columns; all else record by record, with the same result.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Contract
from trunkline.ingest.formats.flat_lines import FlatLines
from trunkline.ingest.formats.json_values import json_record, scalar_texts
from trunkline.ingest.raw import BLOCK_BYTES, MalformedLine, RawFile
from trunkline.ingest.unfolding import Unfold

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Records", "read_records"]

_BATCH_ROWS: Final = 10_000
_BATCH_CELLS: Final = 2_000_000
_BATCH_BYTES: Final = 4 * BLOCK_BYTES
_FLAT_ROWS: Final = 1 << 16


@dataclass(frozen=True)
class Records:
    """The records of a chunk.

    Attributes:
        lines: Their JSON, one value a line.
        open: Opens them as rows of text; may be asked again.
    """

    lines: bytes
    open: Callable[[], RawFile]


def read_records(
    values: Sequence[bytes],
    contract: type[Contract],
    *,
    where: str,
    most_columns: int,
    mapping: Mapping[str, str] | None = None,
    unfold: Unfold | None = None,
) -> Records:
    """Read the records of a chunk.

    Args:
        values: What the topic holds: JSON, one value a line, or what ``unfold`` makes such lines of.
        contract: What they must look like.
        where: The topic, for errors.
        most_columns: Most columns of a source.
        mapping: Name in the records to field name; wins over the contract's own names.
        unfold: Gives the lines that a value stands for.
    """
    reader = FlatLines(contract, mapping)
    lines, flat = b"\n".join(values), None
    if unfold is None or unfold.leaves_flat:
        flat = reader.read(lines)
    if flat is None and unfold is not None:
        lines = b"\n".join(part for part in map(unfold, values) if part)
        flat = reader.read(lines)

    def opened() -> RawFile:
        if flat is not None:
            header = header_of(name for name in flat.column_names if flat.column(name).null_count < flat.num_rows)
            return RawFile(Path(where), header, _slices(flat, header))
        rows, malformed = _objects(lines)
        header = header_of(chain.from_iterable(dict.fromkeys(map(tuple, rows))))
        written_freely = {name for name in header if reader.field(name) in reader.free_numbers}
        return RawFile(Path(where), header, _batches(header, rows, len(lines), written_freely), malformed)

    def header_of(seen: Iterable[str]) -> tuple[str, ...]:
        """Names that are of some field, then those that are of none, as far as there is room."""
        names = dict.fromkeys(chain(mapping or (), seen))
        claimed = {name: field for name in names if (field := reader.field(name)) is not None}
        own = set(claimed.values())
        header = [*claimed, *(column.name for column in contract.columns if column.name not in own)]
        unclaimed = [name for name in names if name not in claimed]
        return (*header, *unclaimed[: max(0, most_columns - len(header))])

    return Records(lines, opened)


def _slices(flat: "pa.Table", header: tuple[str, ...]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    held = set(flat.column_names)
    absent = pa.nulls(flat.num_rows, pa.string())
    columns = [flat.column(name) if name in held else pa.chunked_array([absent]) for name in header]
    yield from pa.table(columns, names=list(header)).to_batches(max_chunksize=_FLAT_ROWS)


def _objects(lines: bytes) -> tuple[list[dict[str, object]], list[MalformedLine]]:
    """The objects of all lines that are one, and the others; empty lines do not count."""
    rows: list[dict[str, object]] = []
    malformed: list[MalformedLine] = []
    told = [line for line in lines.split(b"\n") if line and not line.isspace()]
    for number, record in enumerate(_decoded(told), start=1):
        if isinstance(record, dict):
            rows.append(record)
        else:
            malformed.append(MalformedLine(number, told[number - 1].decode("utf-8", errors="replace").strip(), 0))
    return rows, malformed


def _decoded(lines: Sequence[bytes]) -> Sequence[object]:
    """The value of each line; None for one that is no JSON."""
    import orjson

    try:
        return list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return list(map(json_record, lines))


def _batches(
    header: tuple[str, ...], rows: Sequence[dict[str, object]], size: int, numbers: Collection[str]
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    most = max(1, min(_BATCH_ROWS, _BATCH_CELLS // len(header), _BATCH_BYTES * len(rows) // max(size, 1)))
    for start in range(0, len(rows), most):
        part = rows[start : start + most]
        arrays = [scalar_texts([row.get(name) for row in part], is_number=name in numbers) for name in header]
        yield pa.RecordBatch.from_arrays(arrays, names=list(header))

"""Records of a stream as rows of text: whatever a sender sends is a row, or goes to the quarantine, and stops nothing.

Takes lines of JSON and the contract; gives what an opened file is. Every field of the contract and every name of the
user's mapping has a column, so that a record is judged alone and not by what others of its chunk have. A line that is
no object is a malformed line. Beyond the most columns that a file may have, names that no field claims are left out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Contract
from trunkline.contracts.judging import is_judged_by_text, names_of
from trunkline.contracts.written import form_of
from trunkline.ingest.formats.json_values import json_record, scalar_texts
from trunkline.ingest.raw import BLOCK_BYTES, MalformedLine, RawFile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_records"]

_BATCH_ROWS: Final = 10_000
_BATCH_CELLS: Final = 2_000_000
_BATCH_BYTES: Final = 4 * BLOCK_BYTES


def open_records(
    lines: Sequence[bytes],
    contract: type[Contract],
    *,
    where: str,
    most_columns: int,
    mapping: Mapping[str, str] | None = None,
) -> RawFile:
    """Open the records of a chunk.

    Args:
        lines: Their JSON, one value a line; empty lines do not count.
        contract: What they must look like.
        where: The topic, for errors.
        most_columns: Most columns of a source.
        mapping: Name in the records to field name; wins over the contract's own names.
    """
    names = {**names_of(contract.columns), **{name.strip().lower(): field for name, field in (mapping or {}).items()}}
    seen: dict[str, str | None] = dict(mapping or {})
    rows: list[dict[str, object]] = []
    malformed: list[MalformedLine] = []
    size = number = 0
    for line, record in _records([line for line in lines if line and not line.isspace()]):
        number += 1
        if record is None:
            malformed.append(MalformedLine(number, line.decode("utf-8", errors="replace").strip(), 0))
            continue
        rows.append(record)
        size += len(line)
    for name in chain.from_iterable(dict.fromkeys(map(tuple, rows))):
        if name not in seen:
            seen[name] = names.get(name.strip().lower())
    claimed = [name for name, field in seen.items() if field is not None]
    found = {seen[name] for name in claimed}
    header = [*claimed, *(column.name for column in contract.columns if column.name not in found)]
    numbers = {
        column.name
        for column in contract.columns
        if column.kind == "number" and form_of(column) is None and not is_judged_by_text(contract.table, column)
    }
    unclaimed = [name for name, field in seen.items() if field is None]
    header += unclaimed[: max(0, most_columns - len(header))]
    written_freely = {name for name in header if (seen.get(name) or name) in numbers}
    return RawFile(Path(where), tuple(header), _batches(tuple(header), rows, size, written_freely), malformed)


def _records(lines: Sequence[bytes]) -> "Iterable[tuple[bytes, dict[str, object] | None]]":
    """Each line with its object; None where it is none."""
    import orjson

    try:
        records = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        records = list(map(json_record, lines))
    return [(line, record if type(record) is dict else None) for line, record in zip(lines, records, strict=True)]


def _batches(
    header: tuple[str, ...], rows: Sequence[dict[str, object]], size: int, numbers: Collection[str]
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    most = max(1, min(_BATCH_ROWS, _BATCH_CELLS // len(header), _BATCH_BYTES * len(rows) // max(size, 1)))
    for start in range(0, len(rows), most):
        part = rows[start : start + most]
        arrays = [scalar_texts([row.get(name) for row in part], is_number=name in numbers) for name in header]
        yield pa.RecordBatch.from_arrays(arrays, names=list(header))

"""Records of a stream as rows of text: whatever a sender sends is a row, or goes to the quarantine, and stops nothing.

Takes lines of JSON and the contract; gives what an opened file is. Every field of the contract and every name of the
user's mapping has a column, so that a record is judged alone and not by what others of its chunk have. A line that is
no object is a malformed line. Beyond the most columns that a file may have, names that no field claims are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.contracts import Contract
from trunkline.contracts.judging import names_of
from trunkline.ingest.formats.json_values import TextRows, json_record, scalar_text
from trunkline.ingest.raw import MalformedLine, RawFile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["open_records"]


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
    rows: list[tuple[dict[str, object], int]] = []
    malformed: list[MalformedLine] = []
    number = 0
    for line in lines:
        if not line.strip():
            continue
        number += 1
        record = json_record(line)
        if record is None:
            malformed.append(MalformedLine(number, line.decode("utf-8", errors="replace").strip(), 0))
            continue
        rows.append((record, len(line)))
        for name in record:
            if name not in seen:
                seen[name] = names.get(name.strip().lower())
    claimed = [name for name, field in seen.items() if field is not None]
    found = {seen[name] for name in claimed}
    header = [*claimed, *(column.name for column in contract.columns if column.name not in found)]
    unclaimed = [name for name, field in seen.items() if field is None]
    header += unclaimed[: max(0, most_columns - len(header))]
    return RawFile(Path(where), tuple(header), _batches(tuple(header), rows), malformed)


def _batches(header: tuple[str, ...], rows: Sequence[tuple[dict[str, object], int]]) -> "Iterator[pa.RecordBatch]":
    texts = TextRows(header, scalar_text)
    for record, size in rows:
        if texts.add(record, size=size):
            yield texts.batch()
    if texts.rows:
        yield texts.batch()

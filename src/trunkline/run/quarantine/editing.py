"""Refused rows on their way to a second judgement, with what a person has mended.

Takes the open rows of a batch and edits: a text for a column, or a corrected file with the rows' numbers in ``_row``.
Gives the rows as they are to be judged, in bounded batches. Refuses columns that neither the source nor the contract
knows, and corrected rows that the quarantine never held.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, resolve_columns
from trunkline.contracts import Contract
from trunkline.contracts.contract import column_names
from trunkline.contracts.records import QUARANTINE
from trunkline.errors import InputError, UnknownNameError
from trunkline.ingest.files import open_file
from trunkline.ingest.privacy import opening
from trunkline.run.quarantine.listing import shown_text
from trunkline.run.quarantine.states import BATCH_ROWS, Held, has_reason, is_whole, newest_states

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.run.workspace import Workspace

__all__ = ["LINE_COLUMN", "REASONS_COLUMN", "Candidates", "Edits", "candidates", "open_rows"]

REASONS_COLUMN: Final = "_reasons"
"""Column of an exported file with the reasons; ignored when it comes back."""

LINE_COLUMN: Final = "_line"
"""Column of an exported file with the text of a line that is no row; ignored when it comes back."""

_RESERVED: Final = (ROW, REASONS_COLUMN, LINE_COLUMN)


@dataclass(frozen=True)
class Edits:
    """What is changed in refused rows before they are judged again.

    Attributes:
        columns: Column, by its name in the source or by its field, to the raw text it is given in every row.
        file: A file with ``_row`` and columns to replace; only its rows are handed in. None leaves all as they are.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True)
class Candidates:
    """Some rows that are to be judged.

    Attributes:
        numbers: Their numbers in the source, int64.
        rows: JSON objects of their raw texts, edited.
        changed: Whether the text is another than the one that is kept.
    """

    numbers: "pa.Array"
    rows: list[str]
    changed: list[bool]


def open_rows(table: "ir.Table", batch: str, *, reason: str | None = None) -> "ir.Table":
    """Give the rows of a batch that nobody has dealt with.

    Args:
        table: The quarantine's table.
        batch: Id of the batch.
        reason: Only rows that failed for it.
    """
    rows = newest_states(table, batch=batch)
    rows = rows.filter(rows["state"] == "open")
    return rows if reason is None else rows.filter(has_reason(rows, reason))


def candidates(
    workspace: "Workspace",
    held: Held,
    *,
    contract: type[Contract],
    mapping: Mapping[str, str] | None,
    edits: Edits,
    reason: str | None = None,
) -> Iterator[Candidates]:
    """Give the open rows of a batch that can be judged, edited, in the order of their source.

    Lines that are no rows are left out, unless the corrected file says what their columns hold.

    Args:
        workspace: The workspace.
        held: The batch.
        contract: The contract as it is now.
        mapping: Source column to field name, which the batch came with.
        edits: What is changed.
        reason: Only rows that failed for it.

    Raises:
        UnknownNameError: A column is neither one of the source nor a field.
        InputError: The corrected file has no column ``_row``, or rows that the batch does not have.
        SourceError: The corrected file cannot be read whole.
    """
    header = _header(workspace, held)
    names = _Names(header, contract, mapping or {})
    told = {names.column(name): text for name, text in edits.columns.items()}
    table = workspace.lake.read(QUARANTINE)
    rows = open_rows(table, held.batch_id, reason=reason)
    rows = rows.mutate(_whole=is_whole(rows)).select("row_number", "row", "_whole")
    replaced: tuple[str, ...] = ()
    if edits.file is None:
        rows = rows.filter(rows["_whole"])
    else:
        corrected, replaced = _corrected(workspace, edits.file, names)
        _refuse_strangers(workspace, corrected, newest_states(table, batch=held.batch_id), file=edits.file, held=held)
        rows = rows.join(corrected, rows["row_number"] == corrected[ROW])
    opened = opening(workspace.keys, usecase=held.usecase, dataset=held.dataset, batch_id=held.batch_id)
    for batch in workspace.engine.batches(rows.order_by("row_number"), rows=BATCH_ROWS):
        texts = list(map(opened, batch.column("row_number").to_pylist(), batch.column("row").to_pylist()))
        yield from _edited(batch, texts, header, replaced, told)


def _edited(
    batch: "pa.RecordBatch",
    texts: list[str],
    header: tuple[str, ...],
    replaced: tuple[str, ...],
    told: Mapping[str, str],
) -> Iterator[Candidates]:
    import pyarrow as pa

    numbers = batch.column("row_number")
    if not replaced and not told:
        yield Candidates(numbers, texts, [False] * len(texts))
        return
    whole = batch.column("_whole").to_pylist()
    places = [batch.column(f"c{place}").to_pylist() for place in range(len(replaced))]
    kept: list[int] = []
    made: list[str] = []
    for place, text in enumerate(texts):
        values = {name: column[place] for name, column in zip(replaced, places, strict=True)}
        if not whole[place] and not any(values.values()):
            continue  # still a line that is no row
        before = json.loads(text) if whole[place] else dict.fromkeys(header)
        kept.append(place)
        made.append(json.dumps(_with(_with(before, values), told), ensure_ascii=False))
    if kept:
        changed = [one != texts[place] for one, place in zip(made, kept, strict=True)]
        yield Candidates(numbers.take(pa.array(kept)), made, changed)


def _with(row: dict[str, str | None], values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Replace texts; one that says the same as before stays as it is, mark and all."""
    for name, text in values.items():
        before = row.get(name)
        if text != before and text != shown_text(before) and (text or before):
            row[name] = text
    return row


class _Names:
    """Which column of the raw rows a name means.

    Args:
        header: The columns of the raw rows.
        contract: The contract.
        mapping: Source column to field name, which the batch came with.
    """

    def __init__(self, header: tuple[str, ...], contract: type[Contract], mapping: Mapping[str, str]) -> None:
        fields = [column.name for column in contract.columns]
        known = {column.strip().lower() for column in header}
        present = {column: name for column, name in mapping.items() if column.strip().lower() in known}
        self._sources = resolve_columns(contract, header, mapping=present, optional=fields).source_of
        self._header = header
        self._folded = {column.strip().lower(): column for column in header}
        self._fields = column_names(contract)

    def column(self, name: str) -> str:
        """Give the column.

        Raises:
            UnknownNameError: It is neither a column of the source nor a field.
        """
        folded = name.strip().lower()
        if name in self._header:
            return name
        if folded in self._folded:
            return self._folded[folded]
        if folded not in self._fields:
            raise UnknownNameError(
                f"there is no column {name[:80]!r}", where="the refused rows", allowed=self._header or self._fields
            )
        return self._sources.get(self._fields[folded], name)


def _header(workspace: "Workspace", held: Held) -> tuple[str, ...]:
    """The columns of the raw rows; none where the batch has only lines that are no rows."""

    def first(table: "ir.Table") -> "ir.Table":
        rows = newest_states(table, batch=held.batch_id)
        return rows.filter(is_whole(rows)).order_by("row_number").select("row_number", "row").limit(1)

    found = workspace.lake.collect(first, QUARANTINE).to_pylist()
    if not found:
        return ()
    opened = opening(workspace.keys, usecase=held.usecase, dataset=held.dataset, batch_id=held.batch_id)
    return tuple(json.loads(opened(found[0]["row_number"], found[0]["row"])))


def _corrected(workspace: "Workspace", path: Path, names: _Names) -> "tuple[ir.Table, tuple[str, ...]]":
    """Bring the corrected file into the engine: ``_row``, and its columns by position.

    Returns:
        The table, and the columns of the raw rows that its columns replace.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    opened = open_file(path)
    if ROW not in opened.header:
        raise InputError(
            f"the corrected file has no column {ROW}",
            where=str(path),
            allowed=opened.header,
            next_step="write one with `trunkline quarantine export`, and mend that",
        )
    columns = [name for name in opened.header if name not in _RESERVED]
    replaced = tuple(names.column(name) for name in columns)
    if len(set(replaced)) < len(replaced):
        raise InputError("two columns of the corrected file mean one", where=str(path), allowed=replaced)
    schema = pa.schema(
        [pa.field(ROW, pa.int64()), *(pa.field(f"c{place}", pa.string()) for place in range(len(columns)))]
    )
    wrong: list[InputError] = []

    def texts() -> "Iterator[pa.RecordBatch]":
        for batch in opened.batches:
            try:
                numbers = pc.cast(pc.utf8_trim_whitespace(batch.column(ROW)), pa.int64())
            except pa.ArrowInvalid:
                wrong.append(_not_rows(path))
                raise wrong[0] from None
            if numbers.null_count:
                wrong.append(_not_rows(path))
                raise wrong[0]
            yield pa.RecordBatch.from_arrays([numbers, *(batch.column(name) for name in columns)], schema=schema)

    try:
        table = workspace.engine.table(pa.RecordBatchReader.from_batches(schema, texts()))
    except Exception:
        if wrong:
            raise wrong[0] from None
        raise
    if opened.malformed:
        raise InputError(
            f"{len(opened.malformed)} lines of the corrected file are no rows",
            where=f"{path}, row {opened.malformed[0].row_number}",
            next_step="mend them; nothing was handed in",
        )
    return table, replaced


def _not_rows(path: Path) -> InputError:
    return InputError(
        f"the column {ROW} holds what is no row number",
        where=str(path),
        next_step="leave the numbers as they were exported",
    )


def _refuse_strangers(
    workspace: "Workspace", corrected: "ir.Table", known: "ir.Table", *, file: Path, held: Held
) -> None:
    engine = workspace.engine
    (counts,) = engine.arrow(corrected.aggregate(rows=corrected.count(), numbers=corrected[ROW].nunique())).to_pylist()
    if counts["rows"] != counts["numbers"]:
        raise InputError(f"a number occurs twice in the column {ROW}", where=str(file))
    strange = corrected.anti_join(known, corrected[ROW] == known["row_number"]).select(ROW).order_by(ROW).limit(1)
    found = engine.arrow(strange).column(ROW).to_pylist()
    if found:
        raise InputError(
            f"the quarantine never held row {found[0]} of batch {held.batch_id}",
            where=str(file),
            next_step=f"see `trunkline quarantine show {held.batch_id}`",
        )

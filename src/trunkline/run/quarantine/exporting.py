"""Open rows of a batch as a file that a person can mend and hand back.

The values are in clear, personal ones too: that is what mending takes. So it must be asked for in so many words, the
file is readable by its owner alone, and an existing one is not touched.
"""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from trunkline.checks import ROW
from trunkline.contracts.records import QUARANTINE
from trunkline.errors import InputError
from trunkline.ingest.privacy import opening
from trunkline.run.outputs import refuse_unwritable
from trunkline.run.quarantine.editing import LINE_COLUMN, REASONS_COLUMN, open_rows
from trunkline.run.quarantine.listing import shown_text
from trunkline.run.quarantine.states import BATCH_ROWS, LINE, held_batch, is_whole

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["FORMS", "export_batch"]

FORMS: Final = (".csv", ".ndjson", ".jsonl")
"""Suffixes that say which form the file has."""


def export_batch(workspace: "Workspace", batch: str, path: Path, *, reason: str | None = None) -> int:
    """Write the open rows of a batch: ``_row``, ``_reasons``, the raw texts, and ``_line`` of lines that are no rows.

    Args:
        workspace: The workspace.
        batch: Id of the batch.
        path: The file; it must not exist.
        reason: Only rows that failed for it.

    Returns:
        How many rows were written.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, or no row of it failed for that reason.
        InputError: The file exists, its folder does not, or its suffix is unknown.
    """
    held_batch(workspace, batch, reason=reason)
    if path.suffix.lower() not in FORMS:
        raise InputError("the form of the file is not known", where=str(path), allowed=FORMS)
    refuse_unwritable(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists():
            raise _there(path)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            write = _csv if path.suffix.lower() == ".csv" else _ndjson
            count = sum(1 for _ in write(workspace, batch, reason, out))
        try:
            os.link(part, path)  # unlike a rename it does not replace a file that has come meanwhile
        except FileExistsError:
            raise _there(path) from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _there(path: Path) -> InputError:
    return InputError("the file exists", where=str(path), next_step="name another one, or remove it")


def _rows(
    workspace: "Workspace", batch: str, reason: str | None
) -> Iterator[tuple[int, tuple[str, ...], dict[str, str | None], bool]]:
    """Number, reasons, raw texts and whether it is a row, in the order of the source."""
    held = held_batch(workspace, batch)
    opened = opening(workspace.keys, usecase=held.usecase, dataset=held.dataset, batch_id=batch)
    rows = open_rows(workspace.lake.read(QUARANTINE), batch, reason=reason)
    rows = rows.mutate(_whole=is_whole(rows)).select("row_number", "reasons", "row", "_whole").order_by("row_number")
    for part in workspace.engine.batches(rows, rows=BATCH_ROWS):
        for number, reasons, row, whole in zip(*(column.to_pylist() for column in part.columns), strict=True):
            yield number, tuple(json.loads(reasons)), json.loads(opened(number, row)), whole


def _csv(workspace: "Workspace", batch: str, reason: str | None, out: TextIO) -> Iterator[int]:
    header: dict[str, None] = {}
    has_lines = False
    for _, _, row, whole in _rows(workspace, batch, reason):
        has_lines |= not whole
        if whole and row.keys() - header.keys():
            header.update(dict.fromkeys(row))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([ROW, REASONS_COLUMN, *header, *([LINE_COLUMN] if has_lines else [])])
    for number, reasons, row, whole in _rows(workspace, batch, reason):
        texts = [shown_text(row.get(name)) if whole else None for name in header]
        line = [None if whole else row[LINE]] if has_lines else []
        writer.writerow([number, " ".join(reasons), *texts, *line])
        yield number


def _ndjson(workspace: "Workspace", batch: str, reason: str | None, out: TextIO) -> Iterator[int]:
    for number, reasons, row, whole in _rows(workspace, batch, reason):
        texts = {name: shown_text(text) for name, text in row.items()} if whole else {LINE_COLUMN: row[LINE]}
        # texts, as every source of texts gives them: a list would be judged as one
        record = {ROW: str(number), REASONS_COLUMN: " ".join(reasons), **texts}
        out.write(json.dumps(record, ensure_ascii=False) + "\n")
        yield number

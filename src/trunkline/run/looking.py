"""Files that are looked at and not taken in: their good rows, and why the others were refused."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import RowsRefusedError

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["FittingRows", "fitting_rows"]


@dataclass(frozen=True)
class FittingRows:
    """The rows of files that fit the contract.

    Attributes:
        rows: Typed rows, in the files' order; at least one.
        read: Rows read, malformed lines included.
        reasons: How many rows failed for each reason; a row may have several.
    """

    rows: "pa.Table"
    read: int
    reasons: Mapping[str, int]

    @property
    def refused(self) -> int:
        """Rows that broke the contract."""
        return self.read - int(self.rows.num_rows)


def fitting_rows(
    workspace: "Workspace",
    usecase: "UseCase",
    *,
    files: Sequence[Path],
    mapping: Mapping[str, str],
    protected: bool = True,
) -> FittingRows:
    """Split files of the main dataset by its contract; nothing is written.

    Args:
        workspace: Lends its engine.
        usecase: The use case; the label may be absent.
        files: Files of known forms.
        mapping: Source column to field name.
        protected: Give pseudonyms where the lake has them, so that rows can be compared with it; else identifiers
            stay as the files have them.

    Raises:
        SourceError: A file cannot be read whole, or has no rows.
        SchemaError: The columns of a file do not fit.
        RowsRefusedError: No row fits.
    """
    import pyarrow as pa

    from trunkline.ingest import checked_rows

    tables, reasons, read = [], Counter[str](), 0
    label = (usecase.task.label,) if usecase.task is not None else ()
    for path in files:
        good, raw, refused = checked_rows(
            path,
            usecase.contract,
            lake=workspace.lake,
            mapping=mapping,
            optional=label,
            limits=workspace.settings.ingest,
            protected=protected,
        )
        tables.append(good)
        reasons += refused
        read += raw.num_rows + refused.get("line.malformed", 0)
    rows = pa.concat_tables(tables)
    if rows.num_rows == 0:
        shown = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(6))
        raise RowsRefusedError(
            f"none of the {read} rows fits the contract: {shown}",
            reasons=dict(reasons),
            where=", ".join(map(str, files)),
            next_step="a mapping (--map) may be missing",
        )
    return FittingRows(rows, read, dict(reasons.most_common()))

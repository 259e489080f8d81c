"""Files that are looked at and not taken in: their good rows, and why the others were refused."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import RowsRefusedError

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["FittingRows", "fitting_rows"]

_PLACE: Final = "_place_in_files"


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
    featured: bool = True,
) -> FittingRows:
    """Split files of the main dataset by its contract; nothing is written.

    Args:
        workspace: Lends its engine.
        usecase: The use case; the label may be absent.
        files: Files of known forms.
        mapping: Source column to field name.
        protected: Give pseudonyms where the lake has them, so that rows can be compared with it; else identifiers
            stay as the files have them.
        featured: Give them with the use case's table features, else as the contract has them.

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
    return FittingRows(_featured(workspace, usecase, rows) if featured else rows, read, dict(reasons.most_common()))


def _featured(workspace: "Workspace", usecase: "UseCase", rows: "pa.Table") -> "pa.Table":
    """Add the use case's table features, beside the rows of the lake; order and number stay.

    Rows of the main table of the lake stand beside those of the file, so that one period of a cell is compared with
    what the cell usually does; where the table has a key, the file's row takes the place of the lake's.
    """
    if usecase.table_features is None:
        return rows
    import ibis
    import pyarrow as pa

    from trunkline.lake.versions import current_rows

    engine, lake = workspace.engine, workspace.lake
    given = engine.table(rows.append_column(_PLACE, pa.array(range(rows.num_rows), pa.int64())))
    tables = {}
    for dataset, contract in usecase.contracts.items():
        name = usecase.table_name(dataset)
        if not lake.exists(name):
            continue
        tables[dataset] = current_rows(lake.read(name), contract, table=name)
    if usecase.main in tables:
        known = tables[usecase.main]
        if usecase.contract.table.key:
            known = known.anti_join(given, list(usecase.contract.table.key))
        absent = {name: ibis.null(given[name].type()) for name in given.columns if name not in known.columns}
        given = given.union(known.mutate(**absent).select(*given.columns))
    features = usecase.table_features({**tables, usecase.main: given})
    kept = features.filter(features[_PLACE].notnull()).order_by(_PLACE)
    return engine.arrow(kept).drop_columns([_PLACE])

"""Rows of the lake's tables for people: a page of them, or a file, with personal data masked by role.

Takes a lake, a table with its contract, and who asks. Columns that the contract marks as personal data (``pii``) are
shown to admins only; readers look, operators also take files, both see these columns hidden. Every file that is handed
out is noted in ``platform.exports`` first, and none is handed out when that cannot be written.
"""

import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.console.paging import Listing, Page
from trunkline.contracts import Contract
from trunkline.contracts.records import EXPORTS, Export
from trunkline.lake import Stock
from trunkline.lake.versions import current_rows
from trunkline.serve import Holder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.lake import Lake

__all__ = ["ExportedFile", "Form", "TablePage", "TableRow", "export_table", "table_page"]

Form = Literal["csv", "parquet"]
"""The forms of an exported file."""

_LINEAGE: Final = ("_ingested_at", "_batch_id")
_LONGEST_TEXT: Final = 120


@dataclass(frozen=True)
class TableRow:
    """A lake table of an installed use case.

    Attributes:
        usecase: The use case.
        dataset: The dataset or derived table.
        version: Its newest version; None before the first row.
        rows: Rows, of which several may share a key; None before the first row.
        personal: Columns with personal data.
        stock: What it takes on disk; None before the first row.
        cost_per_month: Of all of that; None before the first row.
    """

    usecase: str
    dataset: str
    version: int | None
    rows: int | None
    personal: tuple[str, ...]
    stock: Stock | None = None
    cost_per_month: float | None = None


@dataclass(frozen=True)
class TablePage(Listing[tuple[str | None, ...]]):
    """A page of the current rows of a table: texts by column, None is null; the newest of each key count.

    Attributes:
        usecase: The use case.
        dataset: The dataset or derived table.
        columns: Columns in the contract's order, then when and by which batch the row came.
        units: Column to its unit.
        masked: Columns that are hidden from who asks.
    """

    usecase: str
    dataset: str
    columns: tuple[str, ...]
    units: Mapping[str, str]
    masked: frozenset[str]


@dataclass(frozen=True)
class ExportedFile:
    """A file that may be handed out: it is noted.

    Attributes:
        name: Its name.
        content: Its bytes.
        media_type: Its media type.
        rows: Its rows.
        total: Current rows of the table; more than ``rows`` when the limit cut it.
        masked: Columns whose values were left out.
    """

    name: str
    content: bytes
    media_type: str
    rows: int
    total: int
    masked: tuple[str, ...]


def table_page(
    lake: "Lake", usecase: str, dataset: str, *, contract: type[Contract], holder: Holder, page: Page
) -> TablePage:
    """Read one page of the current rows, those that came last first.

    Args:
        lake: The lake.
        usecase: The use case.
        dataset: The dataset or derived table.
        contract: Its contract.
        holder: Who asks.
        page: Which page.
    """
    name = f"{usecase}.{dataset}"
    masked = _masked(contract, holder)
    columns = (*(column.name for column in contract.columns), *_LINEAGE)
    total = 0
    rows: tuple[tuple[str | None, ...], ...] = ()
    if lake.exists(name):
        total = _count(lake, name, contract, version=None)
        shown = [column for column in columns if column not in masked]
        found = lake.collect(
            lambda table: (
                current_rows(table, contract, table=name)
                .order_by(_order(contract))
                .limit(page.rows, offset=page.offset)
                .select(*shown)
            ),  # what is hidden is not even read
            name,
            schemas={name: _schema(contract)},
        )
        rows = tuple(
            tuple(None if column in masked else _text(row[column]) for column in columns) for row in found.to_pylist()
        )
    units = {column.name: column.unit for column in contract.columns if column.unit}
    return TablePage(
        rows=rows,
        total=total,
        page=page,
        usecase=usecase,
        dataset=dataset,
        columns=columns,
        units=units,
        masked=masked,
    )


def export_table(
    lake: "Lake",
    usecase: str,
    dataset: str,
    *,
    contract: type[Contract],
    holder: Holder,
    form: Form,
    most_rows: int,
    now: datetime,
) -> ExportedFile:
    """Make a file of the current rows, and note that it was made.

    Args:
        lake: The lake.
        usecase: The use case.
        dataset: The dataset or derived table; it exists.
        contract: Its contract.
        holder: Who asks.
        form: The file's form.
        most_rows: Rows beyond which the table is cut.
        now: UTC.

    Raises:
        UnknownNameError: The table does not exist.
        BusyError: The note could not be written in time; there is no file then.
    """
    name = f"{usecase}.{dataset}"
    version = lake.version(name)
    masked = _masked(contract, holder)
    columns = [column.name for column in contract.columns]
    shown = [column for column in columns if column not in masked]
    found = lake.collect(
        lambda table: (
            current_rows(table, contract, table=name).order_by(_order(contract)).limit(most_rows).select(*shown, "_row")
        ),
        name,
        versions={} if version is None else {name: version},
        schemas={name: _schema(contract)},
    )
    total = _count(lake, name, contract, version=version)
    schema = arrow_schema(contract)
    rows = _with_hidden(found, schema, columns)
    hidden = tuple(column for column in columns if column in masked)
    note = {
        "export_id": secrets.token_hex(12),
        "holder": holder.name,
        "role": holder.role,
        "usecase": usecase,
        "dataset": dataset,
        "table_version": version,
        "form": form,
        "rows": rows.num_rows,
        "masked": json.dumps(hidden),
        "exported_at": now,
    }
    lake.append(EXPORTS, table_from_rows(Export, [note]))
    return ExportedFile(
        name=f"{usecase}-{dataset}-v{version}.{form}",
        content=_bytes(rows, form),
        media_type="text/csv; charset=utf-8" if form == "csv" else "application/vnd.apache.parquet",
        rows=rows.num_rows,
        total=total,
        masked=hidden,
    )


def _masked(contract: type[Contract], holder: Holder) -> frozenset[str]:
    if holder.role == "admin":
        return frozenset()
    return frozenset(column.name for column in contract.columns if column.pii)


def _schema(contract: type[Contract]) -> "pa.Schema":
    import pyarrow as pa

    schema = arrow_schema(contract)
    lineage = (("_ingested_at", pa.timestamp("us", tz="UTC")), ("_batch_id", pa.string()), ("_row", pa.int64()))
    for name, kind in lineage:
        schema = schema.append(pa.field(name, kind))
    return schema


def _order(contract: type[Contract]) -> "list[ir.Value]":
    import ibis

    newest_first = [ibis.desc("_ingested_at"), ibis.asc("_batch_id"), ibis.asc("_row")]
    return [*newest_first, *(ibis.asc(name) for name in contract.table.key)]


def _count(lake: "Lake", name: str, contract: type[Contract], *, version: int | None) -> int:
    """Count the things of a table: its keys, or its rows where they have no key."""

    def counted(rows: "ir.Table") -> "ir.Table":
        key = list(contract.table.key)
        kept = rows.select(*key).distinct() if key else rows
        return kept.aggregate(total=kept.count())

    versions = {} if version is None else {name: version}
    found = lake.collect(counted, name, versions=versions, schemas={name: _schema(contract)})
    return int(found.column("total")[0].as_py())


def _with_hidden(found: "pa.Table", schema: "pa.Schema", columns: list[str]) -> "pa.Table":
    import pyarrow as pa

    return pa.table(
        {
            name: found.column(name)
            if name in found.column_names
            else pa.nulls(found.num_rows, schema.field(name).type)
            for name in columns
        }
    )


def _bytes(rows: "pa.Table", form: Form) -> bytes:
    sink = io.BytesIO()
    if form == "csv":
        import pyarrow.csv as pc

        pc.write_csv(rows, sink)
    else:
        import pyarrow.parquet as pq

        pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"

"""A row, found by its key or by its batch and record: where it came from, what supersedes it, what learned from it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_type
from trunkline.contracts import Contract
from trunkline.contracts.records import RUNS, RunRecord
from trunkline.errors import InputError, UnknownNameError
from trunkline.run.links import Link
from trunkline.run.row_tracing.batches import batch_link, read_records, receipt_of_batch
from trunkline.run.row_tracing.refused import refused_row, replayed_from
from trunkline.run.row_tracing.trainings import Row, trainings

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["row_by_key", "row_by_record"]

_MOST_ROWS: Final = 20
_KEY: Final = re.compile(r"([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)#(.+)", re.DOTALL)
_RECORD: Final = re.compile(r"([0-9a-f]{24})/([0-9]{1,18})")


def row_by_key(workspace: "Workspace", identity: str) -> Iterator[Link]:
    """Trace the rows of a key, the one that counts first; nothing where the id is not of that form.

    Raises:
        UnknownNameError: There is no such table, key field or row.
        InputError: A value is not of its field's kind.
    """
    parts = _KEY.fullmatch(identity)
    if parts is None:
        return
    table, said = parts.groups()
    contract = _contract(workspace, table)
    key = _key_values(contract, said, table=table)
    pseudonyms = workspace.keys.pseudonyms(contract)
    if pseudonyms is not None:  # a person is asked for as a source spells them
        key = {name: pseudonyms.value(name, value) if isinstance(value, str) else value for name, value in key.items()}
    rows = _rows(workspace, table, contract, key)
    if not rows:
        raise UnknownNameError(f"{table} has no row of that key", where=workspace.lake.root)
    yield from _row_links(workspace, table, rows, place=0)


def row_by_record(workspace: "Workspace", identity: str) -> Iterator[Link]:
    """Trace ``BATCH/RECORD``: a row of the lake, or a refused one; nothing where the id is not of that form.

    Raises:
        UnknownNameError: Nothing became of that record of the batch.
    """
    parts = _RECORD.fullmatch(identity)
    if parts is None:
        return
    batch, record = parts[1], int(parts[2])
    receipt = receipt_of_batch(workspace, batch)
    if receipt is None:
        return
    table = f"{receipt.usecase}.{receipt.dataset}"
    contract = _contract(workspace, table)
    found = []
    if workspace.lake.exists(table):
        found = workspace.lake.arrow(
            table,
            columns=["_row", *contract.table.key],
            where=lambda rows: (rows["_batch_id"] == batch) & (rows["_row"] == record),
        ).to_pylist()
    if found:
        key = {name: found[0][name] for name in contract.table.key}
        rows = (
            _rows(workspace, table, contract, key)
            if key
            else _rows(workspace, table, contract, {}, only=(batch, record))
        )
        place = next(n for n, row in enumerate(rows) if (row.batch_id, row.record) == (batch, record))
        yield from _row_links(workspace, table, rows, place=place)
        return
    yield from refused_row(workspace, receipt, record)


def _contract(workspace: "Workspace", table: str) -> type[Contract]:
    usecase, _, dataset = table.partition(".")
    contract = workspace.usecase(usecase).datasets.get(dataset)
    if contract is None:
        raise UnknownNameError(f"{usecase!r} has no dataset {dataset!r}", allowed=workspace.usecase(usecase).datasets)
    return contract


def _key_values(contract: type[Contract], said: str, *, table: str) -> dict[str, object]:
    """Read ``key=value,key2=value2``; the name may be left out where the key has one field."""
    import pyarrow as pa

    names = contract.table.key
    if not names:
        raise InputError("rows of that table have no key", where=table, next_step="name the row as BATCH/RECORD")
    marks = "|".join(map(re.escape, names))
    texts = {part[0]: part[1] for part in re.findall(rf"(?:^|,)({marks})=(.*?)(?=,(?:{marks})=|$)", said, re.DOTALL)}
    if not texts and len(names) == 1:
        texts = {names[0]: said}
    missing = [name for name in names if name not in texts]
    if missing:
        raise UnknownNameError(
            f"the key lacks {', '.join(missing)}", where=table, allowed=(",".join(f"{name}=..." for name in names),)
        )
    values: dict[str, object] = {}
    for column in contract.columns:
        if column.name in texts:
            try:
                values[column.name] = pa.array([texts[column.name]]).cast(arrow_type(column.kind))[0].as_py()
            except pa.ArrowInvalid:
                raise InputError(
                    f"the value of {column.name} is no {column.kind}",
                    where=table,
                    next_step="write it as ISO 8601 says",
                ) from None
    return values


def _rows(
    workspace: "Workspace",
    table: str,
    contract: type[Contract],
    key: Mapping[str, object],
    *,
    only: tuple[str, int] | None = None,
) -> list[Row]:
    """The rows of a key as the lake holds them, the one that counts first."""
    if not workspace.lake.exists(table):
        return []

    def matching(rows: "ir.Table") -> "ir.Table":
        for name, value in key.items():
            rows = rows.filter(rows[name] == value)
        if only is not None:
            rows = rows.filter((rows["_batch_id"] == only[0]) & (rows["_row"] == only[1]))
        order = [*contract.table.version_order, "_ingested_at", "_batch_id", "_row"]
        rows = rows.order_by([rows[name].desc(nulls_first=False) for name in order])
        return rows.select("_batch_id", "_row", "_run_id", "_ingested_at").limit(_MOST_ROWS)

    found = workspace.lake.collect(matching, table).to_pylist()
    receipts = {row["_batch_id"]: receipt_of_batch(workspace, row["_batch_id"]) for row in found}
    return [
        Row(
            batch_id=row["_batch_id"],
            record=row["_row"],
            run_id=row["_run_id"],
            ingested_at=row["_ingested_at"].isoformat(),
            since=receipt.table_version if (receipt := receipts[row["_batch_id"]]) else None,
        )
        for row in found
    ]


def _row_links(workspace: "Workspace", table: str, rows: Sequence[Row], *, place: int) -> Iterator[Link]:
    row = rows[place]
    yield Link(
        kind="row",
        identity=f"{row.batch_id}/{row.record}",
        facts={
            "table": table,
            "batch": row.batch_id,
            "record": str(row.record),
            "state": "the newest of its key" if place == 0 else f"superseded by {rows[0].batch_id}/{rows[0].record}",
            "ingested_at": row.ingested_at,
            "run_id": row.run_id,
            **_code_version(workspace, row.run_id),
            "table_version": str(row.since),
        },
    )
    for other, older in enumerate(rows):
        if other > place:
            yield Link(
                kind="superseded row",
                identity=f"{older.batch_id}/{older.record}",
                facts={"ingested_at": older.ingested_at, "table_version": str(older.since)},
            )
    receipt = receipt_of_batch(workspace, row.batch_id)
    if receipt is not None:
        yield batch_link(workspace, receipt)
        yield from replayed_from(workspace, receipt, row.record)
    yield from trainings(workspace, table.partition(".")[0], table, rows=rows, row=row)


def _code_version(workspace: "Workspace", run_id: str) -> dict[str, str]:
    found = read_records(workspace, RUNS, RunRecord, lambda rows: rows["run_id"] == run_id, columns=("code_version",))
    return {"code_version": str(found[0]["code_version"])} if found else {}

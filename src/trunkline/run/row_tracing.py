"""Lineage of rows and tables.

From a row of the lake, or of the quarantine, to its batch, file and record, and on to the models that learned from it;
from a version of a table to its batches.

A row is named by its batch and record (``BATCH/RECORD``) or by its key (``usecase.dataset#key=value``), a version by
``usecase.dataset@VERSION``. What is told are ids, versions and places, never values of rows.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema, arrow_type
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, RECEIPTS, QuarantinedRow, Receipt, RunRecord, StepRecord
from trunkline.errors import InputError, UnknownNameError
from trunkline.run.links import Link
from trunkline.run.quarantine.replaying import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["batch_link", "receipt_of_batch", "row_by_key", "row_by_record", "table_version"]

_STEPS: Final = "platform.steps"
_RUNS: Final = "platform.runs"
_MOST: Final = 20
_KEY: Final = re.compile(r"([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)#(.+)", re.DOTALL)
_VERSION: Final = re.compile(r"([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)@([0-9]{1,9})")
_RECORD: Final = re.compile(r"([0-9a-f]{24})/([0-9]{1,18})")


@dataclass(frozen=True)
class _Row:
    """A row of the lake: where it came from, and since which version of its table it is there."""

    batch_id: str
    record: int
    run_id: str
    ingested_at: str
    since: int | None


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
    yield from _refused(workspace, receipt, record)


def table_version(workspace: "Workspace", identity: str) -> Iterator[Link]:
    """Trace ``usecase.dataset@VERSION``: its batches and the models; nothing where the id is not of that form.

    Raises:
        UnknownNameError: There is no such table or version.
    """
    parts = _VERSION.fullmatch(identity)
    if parts is None:
        return
    table, version = parts[1], int(parts[2])
    lake = workspace.lake
    counted = lake.collect(
        lambda rows: rows.aggregate(rows=rows.count(), batches=rows["_batch_id"].nunique()),
        table,
        versions={table: version},
    ).to_pylist()[0]
    commit = next((commit for commit in lake.history(table) if commit.version == version), None)
    usecase, dataset = table.split(".")
    receipts = [receipt for receipt in _receipts(workspace, usecase, dataset) if _since(receipt) <= version]
    yield Link(
        kind="table version",
        identity=identity,
        facts={
            "rows": str(counted["rows"]),
            "batches": str(counted["batches"]),
            "committed_at": str(commit.at.isoformat()) if commit else "its log entry was cleaned up",
            "newest version": str(lake.version(table)),
        },
    )
    yield from _trainings(workspace, usecase, table, version=version)
    for receipt in receipts[:_MOST]:
        yield batch_link(workspace, receipt)
    if len(receipts) > _MOST:
        yield Link(kind="batches", identity=f"{len(receipts) - _MOST} earlier ones", facts={})


def receipt_of_batch(workspace: "Workspace", batch: str) -> Receipt | None:
    """Read the receipt of a batch; None where there is none."""
    found = _read(workspace, RECEIPTS, Receipt, lambda rows: rows["batch_id"] == batch)
    return Receipt.model_validate(found[0]) if found else None


def batch_link(workspace: "Workspace", receipt: Receipt) -> Link:
    """Say what is known of a batch, and where its raw file is."""
    names = ("usecase", "dataset", "source", "content_sha256", "contract_fingerprint", "mapping")
    counts = ("read", "accepted", "quarantined", "duplicates", "table_version", "run_id")
    facts = {name: str(getattr(receipt, name)) for name in names + counts if getattr(receipt, name) is not None}
    facts["finished_at"] = receipt.finished_at.isoformat()
    facts["raw file"] = _raw_file(workspace, receipt)
    return Link(kind="batch", identity=receipt.batch_id, facts=facts)


def _raw_file(workspace: "Workspace", receipt: Receipt) -> str:
    if receipt.piece is None:
        is_path = receipt.source.startswith("/")
        there = is_path and Path(receipt.source).exists()
        return "no copy was kept" + (f"; the source is {'there' if there else 'gone'}" if is_path else "")
    source = receipt.piece.rpartition("/")[0]
    if not (workspace.root / "landing" / f"{receipt.usecase}.{receipt.dataset}").is_dir():
        return f"{receipt.piece}, removed"
    for piece in workspace.landing(f"{receipt.usecase}.{receipt.dataset}").pieces(source):
        if piece.piece_id == receipt.piece and piece.path is not None:
            return str(piece.path)
    return f"{receipt.piece}, removed"


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
) -> list[_Row]:
    """The rows of a key as the lake holds them, the one that counts first."""
    if not workspace.lake.exists(table):
        return []
    event_at = contract.table.event_at

    def matching(rows: "ir.Table") -> "ir.Table":
        for name, value in key.items():
            rows = rows.filter(rows[name] == value)
        if only is not None:
            rows = rows.filter((rows["_batch_id"] == only[0]) & (rows["_row"] == only[1]))
        order = [*([event_at] if event_at else []), "_ingested_at", "_batch_id", "_row"]
        rows = rows.order_by([rows[name].desc(nulls_first=False) for name in order])
        return rows.select("_batch_id", "_row", "_run_id", "_ingested_at").limit(_MOST)

    found = workspace.lake.collect(matching, table).to_pylist()
    receipts = {row["_batch_id"]: receipt_of_batch(workspace, row["_batch_id"]) for row in found}
    return [
        _Row(
            batch_id=row["_batch_id"],
            record=row["_row"],
            run_id=row["_run_id"],
            ingested_at=row["_ingested_at"].isoformat(),
            since=receipt.table_version if (receipt := receipts[row["_batch_id"]]) else None,
        )
        for row in found
    ]


def _row_links(workspace: "Workspace", table: str, rows: Sequence[_Row], *, place: int) -> Iterator[Link]:
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
        yield from _replayed_from(workspace, receipt, row.record)
    yield from _trainings(workspace, table.partition(".")[0], table, rows=rows, row=row)


def _code_version(workspace: "Workspace", run_id: str) -> dict[str, str]:
    found = _read(workspace, _RUNS, RunRecord, lambda rows: rows["run_id"] == run_id, columns=("code_version",))
    return {"code_version": str(found[0]["code_version"])} if found else {}


def _replayed_from(workspace: "Workspace", receipt: Receipt, record: int) -> Iterator[Link]:
    """The refused row that a replayed one was, and its batch."""
    origin = origin_of(receipt.source)
    if origin is None:
        return
    marks = _read(
        workspace,
        QUARANTINE,
        QuarantinedRow,
        lambda rows: (rows["batch_id"] == origin) & (rows["state"] == "replayed") & (rows["run_id"] == receipt.run_id),
        columns=("row_number",),
    )
    numbers = sorted(int(str(row["row_number"])) for row in marks)  # a piece holds its rows in this order
    first = receipt_of_batch(workspace, origin)
    if record <= len(numbers) and first is not None:
        yield from _refused(workspace, first, numbers[record - 1], follow=False)


def _refused(workspace: "Workspace", receipt: Receipt, record: int, *, follow: bool = True) -> Iterator[Link]:
    """The states of a refused row, its batch, and what it became."""
    states = _read(
        workspace,
        QUARANTINE,
        QuarantinedRow,
        lambda rows: (rows["batch_id"] == receipt.batch_id) & (rows["row_number"] == record),
    )
    if not states:
        what = "a duplicate, or not there" if 0 < record <= receipt.read else "not there"
        raise UnknownNameError(
            f"record {record} of batch {receipt.batch_id} is neither in the lake nor in the quarantine: {what}",
            where=f"read {receipt.read}, accepted {receipt.accepted}, quarantined {receipt.quarantined}, "
            f"duplicates {receipt.duplicates}",
        )
    states.sort(key=lambda row: str(row["changed_at"]))
    first, last = states[0], states[-1]
    yield Link(
        kind="refused row",
        identity=f"{receipt.batch_id}/{record}",
        facts={
            "state": str(last["state"]),
            "reasons": ", ".join(json.loads(str(first["reasons"]))),
            "reasons now": ", ".join(json.loads(str(last["reasons"]))),
            "edited": "yes" if any(row["row"] != first["row"] for row in states) else "no",
            "history": "; ".join(f"{row['state']} since {row['changed_at']}" for row in states),
        },
    )
    yield batch_link(workspace, receipt)
    if follow and last["state"] == "replayed":
        run_id = str(last["run_id"])
        taken = _read(
            workspace,
            RECEIPTS,
            Receipt,
            lambda rows: (rows["run_id"] == run_id) & (rows["source"] == f"quarantine {receipt.batch_id}"),
        )
        for row in taken:
            yield batch_link(workspace, Receipt.model_validate(row))


def _trainings(
    workspace: "Workspace",
    usecase: str,
    table: str,
    *,
    version: int | None = None,
    rows: Sequence[_Row] = (),
    row: _Row | None = None,
) -> Iterator[Link]:
    """The trainings that read a table in that version, or in one that holds a row, and the model versions they made."""
    steps = _read(
        workspace, _STEPS, StepRecord, lambda table: (table["usecase"] == usecase) & (table["step"] == "train")
    )
    versions = {found.run_id: found.version for found in workspace.registry.versions(usecase)} if steps else {}
    for step in sorted(steps, key=lambda found: str(found["finished_at"])):
        document = json.loads(str(step["document"]))
        read = document["table_versions"].get(table)
        if read is None or (version is not None and read != version):
            continue
        facts = {"table_version": str(read)}
        if row is not None:
            held = [
                one
                for one in rows
                if one.since is not None
                and one.since <= read
                and (not document["batches"] or one.batch_id in document["batches"])
                and one.batch_id not in document.get("left_out", ())
            ]
            if row not in held:
                continue
            facts["learned from"] = "the row" if held[0] == row else "a newer row of its key"
        run_id = str(step["run_id"])
        facts["model version"] = f"{usecase}/{versions[run_id]}" if run_id in versions else "a candidate only"
        yield Link(kind="training", identity=run_id, facts=facts)


def _receipts(workspace: "Workspace", usecase: str, dataset: str) -> list[Receipt]:
    """The receipts of a dataset that brought rows, the newest first."""
    found = _read(
        workspace,
        RECEIPTS,
        Receipt,
        lambda rows: (rows["usecase"] == usecase) & (rows["dataset"] == dataset) & rows["table_version"].notnull(),
    )
    return sorted((Receipt.model_validate(row) for row in found), key=_since, reverse=True)


def _since(receipt: Receipt) -> int:
    return -1 if receipt.table_version is None else receipt.table_version


def _read(
    workspace: "Workspace",
    table: str,
    contract: type[Contract],
    where: "Callable[[ir.Table], ir.BooleanValue]",
    *,
    columns: Sequence[str] | None = None,
) -> list[dict[str, object]]:
    if not workspace.lake.exists(table):
        return []
    found = workspace.lake.arrow(table, schema=arrow_schema(contract), where=where, columns=columns)
    rows: list[dict[str, object]] = found.to_pylist()
    return rows

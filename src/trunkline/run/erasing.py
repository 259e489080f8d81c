"""One person erased from everything that a workspace keeps, and told where else they may be.

Goes by identifier type (``subscriber``, ``phone``): every column that a contract marks with it, in every dataset of
every installed use case. Covered are the datasets' tables, answers and outcomes, the quarantine, the durable log and
the raw copies in the landing zone; each is erased from all versions, whatever pins them. Raw copies are read, all of
them, because not every row of a file is in the lake. What cannot be erased is listed: models that learned from the
person's batches, files that were handed over and still lie where they lay, and the sources that had brought the person.

Killed on the way, the same call completes it: it looks for the person again, erases what is left, and lists what that
shows.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import or_
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.checks.sealing import TEXT_MARK
from trunkline.contracts import Column
from trunkline.contracts.keys import escaped_part, key_parts
from trunkline.contracts.kinds import Scalar
from trunkline.contracts.records import QUARANTINE, RECEIPTS, VAULT, QuarantinedRow, Receipt, StepRecord
from trunkline.errors import InputError, TrunklineError, UnavailableError, UnknownNameError
from trunkline.ingest.files import split_sheet
from trunkline.ingest.landing import FILES, Landed
from trunkline.ingest.privacy import opening
from trunkline.run.raw_copies import Sought, pieces_with
from trunkline.run.wanted import Wanted
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["CRASH_POINTS", "Erased", "erase_person"]

CRASH_POINTS: Final = ("erase.after_raw", "erase.after_log", "erase.after_quarantine", "erase.after_table")
"""Points at which a drill kills an erasure."""

_RAW_TOPICS: Final = "ingest."
_QUARANTINED_ROWS: Final = 20_000
_FLUSH_S: Final = 30.0
_LOOK_S: Final = 0.2


class Erased(BaseModel):
    """What was erased, and what is out of reach.

    Attributes:
        kind: Identifier type.
        tables: Lake table to rows that went, over all versions as far as they were in the newest.
        log_records: Records of the durable log that went.
        raw_files: Raw copies in the landing zone that went, because the person was in them.
        models: Versions that learned from batches with the person, as ``usecase/version``; retrain to let them forget.
        files: Absolute paths of files that were handed over, held the person, and still exist where they were.
        sources: Every source that had brought the person, as text: a path as it was handed over (absolute where the
            file still exists), or ``NAME: ORIGIN`` of a source that was pulled. Archives and systems behind them may
            hold the person still.
        unread: Archives that cannot be looked into now, and raw copies that stay because nobody can see into them:
            encrypted, damaged, or of a form whose reader is not installed.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    tables: dict[str, int]
    log_records: int
    raw_files: int
    models: tuple[str, ...]
    files: tuple[str, ...]
    sources: tuple[str, ...]
    unread: tuple[str, ...]


@dataclass
class _Found:
    """What was found on the way."""

    tables: dict[str, int] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    log_records: int = 0
    raw_files: int = 0
    pieces: list[tuple[str, Landed]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    archives_unread: list[str] = field(default_factory=list)

    def count(self, table: str, rows: int) -> None:
        if rows:
            self.tables[table] = self.tables.get(table, 0) + rows


def erase_person(workspace: "Workspace", kind: str, value: str, *, progress: Callable[[str, float], None]) -> Erased:
    """Erase one person.

    Args:
        workspace: The workspace.
        kind: Identifier type, as contracts mark it with ``pii``.
        value: The identifier, as sources spell it.
        progress: Told what is being looked at.

    Returns:
        What was erased and what is out of reach.

    Raises:
        InputError: No contract marks a column with that type.
        UnavailableError: A running server did not bring its log into the lake in time; try again.
        BusyError: A writer held a table for too long.
    """
    usecases = [workspace.usecase(name) for name in workspace.usecases()]
    marked = [
        (usecase, dataset, column)
        for usecase in usecases
        for dataset, contract in usecase.contracts.items()
        for column in contract.columns
        if column.pii == kind
    ]
    if not marked:
        known = {column.pii for one in usecases for contract in one.contracts.values() for column in contract.columns}
        raise InputError(f"no contract marks a column as {kind[:40]!r}", where="--erase", allowed=sorted(known - {""}))
    found = _Found()
    wanted = Wanted(workspace, kind, value, [column for _, _, column in marked])
    progress("looking", 0.0)
    quarantined: list[str] = []
    for usecase, dataset, column in marked:
        found.batches |= _batches(workspace, usecase.table_name(dataset), column, wanted)
        quarantined += _quarantined(workspace, usecase.name, dataset, wanted, found)
    for table, columns in _columns_by_table(marked).items():
        progress(f"landing zone of {table}", 0.0)
        _look_through(workspace, table, Sought(wanted.text, columns), found)
    receipts = _receipts(workspace, found)
    models = _models(workspace, receipts)
    # The rows go last: they say which raw files held the person, also to a second call after the first was killed.
    progress("landing zone", 0.1)
    _erase_raw(workspace, receipts, found)
    sources = _sources(receipts, found)
    point("erase.after_raw")
    progress("durable log", 0.2)
    keyed = {usecase.name: at for usecase in usecases if (at := _key_part(usecase, kind)) is not None}
    contracts = [contract for usecase in usecases for contract in usecase.contracts.values()]
    _erase_log(workspace, keyed, wanted, found, seals=workspace.keys.is_encrypted(*contracts))
    point("erase.after_log")
    for table, identity in (("platform.predictions", "prediction_id"), ("platform.outcomes", "outcome_id")):
        _erase_answers(workspace, table, identity, keyed, wanted, found)
    if quarantined:
        found.count(QUARANTINE, workspace.lake.erase(QUARANTINE, "quarantine_id", sorted(set(quarantined))).rows)
    point("erase.after_quarantine")
    for position, (usecase, dataset, column) in enumerate(marked):
        progress(f"{usecase.name}.{dataset}", 0.3 + 0.7 * position / len(marked))
        _erase_dataset(workspace, usecase.table_name(dataset), column, wanted, found)
        point("erase.after_table")
    progress("archives", 1.0)
    _erase_archives(workspace, marked, keyed, wanted, found)
    if wanted.pseudonyms and workspace.lake.exists(VAULT):
        found.count(VAULT, workspace.lake.erase(VAULT, "pseudonym", list(wanted.pseudonyms)).rows)
    return Erased(
        kind=kind,
        tables=found.tables,
        log_records=found.log_records,
        raw_files=found.raw_files,
        models=models,
        files=tuple(sorted({path for path in map(_file_of, sources.values()) if path is not None})),
        sources=tuple(sorted(sources)),
        unread=tuple(sorted([path for path in found.unread if Path(path).exists()] + found.archives_unread)),
    )


class _Part(NamedTuple):
    """Place of an identifier in a key, and how many parts the key has."""

    at: int
    of: int


def _key_part(usecase: "UseCase", kind: str) -> _Part | None:
    """Where the entity's key holds the identifier; None where it does not."""
    marked = {column.name for column in usecase.contract.columns if column.pii == kind}
    fields = usecase.entity_key
    return next((_Part(at, len(fields)) for at, name in enumerate(fields) if name in marked), None)


def _erase_log(workspace: "Workspace", keyed: dict[str, _Part], wanted: Wanted, found: _Found, *, seals: bool) -> None:
    """Take the person's records out of the durable log, and let a running server finish what it has read of it."""
    from trunkline.brokers import EmbeddedLog

    path = workspace.root / "log" / "log.db"
    if not path.exists():
        return

    def without(message: bytes, is_theirs: Callable[[object], bool]) -> bytes:
        lines = message.split(b"\n")
        kept = [line for line in lines if not (line and is_theirs(json.loads(line)))]
        return message if len(kept) == len(lines) else b"\n".join(kept)

    def records(topic: str) -> Callable[[object], bool]:
        """Say which lines of a topic are the person's: of answers and outcomes by key, of what came in by any cell."""
        if topic.startswith(_RAW_TOPICS):
            return wanted.sought.is_in
        return lambda record: isinstance(record, dict) and _is_of(record, keyed, wanted)

    log = EmbeddedLog(path, settings=workspace.settings.broker, clock=workspace.clock, keys=workspace.keys, seals=seals)
    try:
        ends = {topic: log.end(topic) for topic in log.topics()}
        for topic in ends:
            found.log_records += log.erase(topic, partial(without, is_theirs=records(topic)))
        until = monotonic() + _FLUSH_S
        while workspace.is_flushing() and any(log.committed(topic, group="lake") < end for topic, end in ends.items()):
            if monotonic() > until:
                raise UnavailableError(
                    "the running server does not bring its log into the lake", next_step="see its log, then try again"
                )
            sleep(_LOOK_S)
    finally:
        log.close()


def _is_of(record: dict[str, object], keyed: dict[str, _Part], wanted: Wanted) -> bool:
    part, key = keyed.get(str(record.get("usecase"))), record.get("entity_key")
    if part is None or not isinstance(key, str):
        return False
    parts = (key,) if part.of == 1 else key_parts(key)
    return part.at < len(parts) and parts[part.at] in wanted.texts


def _batches(workspace: "Workspace", table: str, column: Column, wanted: Wanted) -> set[str]:
    """The batches that brought rows of the person, superseded ones as well."""
    lake, values = workspace.lake, wanted.values(column)
    if not values or not lake.exists(table) or column.name not in lake.schema(table).names:
        return set()
    if "_batch_id" not in lake.schema(table).names:
        return set()
    rows = lake.arrow(table, columns=["_batch_id"], where=lambda rows: rows[column.name].isin(values))
    return set(rows.column("_batch_id").to_pylist())


def _erase_dataset(workspace: "Workspace", table: str, column: Column, wanted: Wanted, found: _Found) -> None:
    lake, values = workspace.lake, wanted.values(column)
    if not values or not lake.exists(table) or column.name not in lake.schema(table).names:
        return
    found.count(table, lake.erase(table, column.name, values).rows)


def _quarantined(workspace: "Workspace", usecase: str, dataset: str, wanted: Wanted, found: _Found) -> list[str]:
    """Refused rows that hold the identifier in any cell: what a raw cell means is not known for sure."""
    lake = workspace.lake
    if not lake.exists(QUARANTINE):
        return []
    rows = lake.read(QUARANTINE, schema=arrow_schema(QuarantinedRow))
    rows = rows.filter((rows["usecase"] == usecase) & (rows["dataset"] == dataset))
    if not wanted.sought.patterns:  # else a row may have it in another spelling
        named = [rows["row"].contains(text) for text in sorted(wanted.texts)]
        rows = rows.filter(reduce(or_, named, rows["row"].startswith(TEXT_MARK)))
    theirs: list[str] = []
    for batch in lake.engine.batches(
        rows.select("quarantine_id", "batch_id", "row_number", "row"), rows=_QUARANTINED_ROWS
    ):
        for row in batch.to_pylist():
            opened = opening(workspace.keys, usecase=usecase, dataset=dataset, batch_id=row["batch_id"])
            if _holds(json.loads(opened(row["row_number"], row["row"])), wanted):
                theirs.append(row["quarantine_id"])
                found.batches.add(row["batch_id"])
    return theirs


def _holds(row: dict[str, str | None], wanted: Wanted) -> bool:
    if set(row) == {"line"}:  # a line that was no row: nobody knows its cells
        return wanted.is_in_line(str(row["line"]))
    return any(cell is not None and wanted.is_cell(cell) for cell in row.values())


def _erase_answers(
    workspace: "Workspace",
    table: str,
    identity: str,
    keyed: dict[str, _Part],
    wanted: Wanted,
    found: _Found,
) -> None:
    lake = workspace.lake
    if not keyed or not lake.exists(table):
        return
    written = {*wanted.texts, *map(escaped_part, wanted.texts)}
    rows = lake.arrow(
        table,
        columns=[identity, "usecase", "entity_key"],
        where=lambda rows: (
            rows["usecase"].isin(sorted(keyed))
            & reduce(or_, [rows["entity_key"].contains(text) for text in sorted(written)])
        ),
    ).to_pylist()
    ids = [row[identity] for row in rows if _is_of(row, keyed, wanted)]
    if ids:
        found.count(table, lake.erase(table, identity, ids).rows)


def _erase_archives(
    workspace: "Workspace",
    marked: "list[tuple[UseCase, str, Column]]",
    keyed: dict[str, _Part],
    wanted: Wanted,
    found: _Found,
) -> None:
    """Erase the person from the rows that retention has moved out of the tables."""
    import pyarrow as pa

    from trunkline.run.upkeep.archive_erasing import Theirs, erase_archived

    def erase(table: str, columns: list[str], theirs: Theirs) -> None:
        erased = erase_archived(workspace, table, columns, theirs)
        found.count(f"archive of {table}", erased.rows)
        found.archives_unread += erased.unread

    for usecase, dataset, column in marked:
        if values := wanted.values(column):
            erase(usecase.table_name(dataset), [column.name], partial(_is_among, values=values))
    for table in ("platform.predictions", "platform.outcomes"):
        erase(
            table,
            ["usecase", "entity_key"],
            lambda batch: pa.array([_is_of(row, keyed, wanted) for row in batch.to_pylist()], pa.bool_()),
        )
    named = {(usecase.name, dataset) for usecase, dataset, _ in marked}

    def is_refused(row: dict[str, str]) -> bool:
        if (row["usecase"], row["dataset"]) not in named:
            return False
        opened = opening(workspace.keys, usecase=row["usecase"], dataset=row["dataset"], batch_id=row["batch_id"])
        return _holds(json.loads(opened(int(row["row_number"]), row["row"])), wanted)

    erase(
        QUARANTINE,
        ["usecase", "dataset", "batch_id", "row_number", "row"],
        lambda batch: pa.array([is_refused(row) for row in batch.to_pylist()], pa.bool_()),
    )


def _is_among(batch: "pa.RecordBatch", *, values: list[Scalar]) -> "pa.BooleanArray":
    import pyarrow as pa

    return pa.array([cell in values for cell in batch.column(0).to_pylist()], pa.bool_())


def _columns_by_table(marked: "list[tuple[UseCase, str, Column]]") -> dict[str, list[Column]]:
    tables: dict[str, list[Column]] = {}
    for usecase, dataset, column in marked:
        tables.setdefault(usecase.table_name(dataset), []).append(column)
    return tables


def _look_through(workspace: "Workspace", table: str, sought: Sought, found: _Found) -> None:
    """Find the raw copies of a dataset that hold the person, whether or not a row of theirs is anywhere."""
    landing = workspace.landing(table)
    landing.tidy(older_than=workspace.settings.lake.vacuum_grace)  # copies that a killed process left
    for piece, is_there in pieces_with(landing, sought, limits=workspace.settings.ingest):
        if is_there:
            found.pieces.append((table, piece))
        else:
            found.unread.append(str(piece.path))


def _receipts(workspace: "Workspace", found: _Found) -> list[Receipt]:
    """The receipts of the batches and of the raw copies that had the person."""
    if not (found.batches or found.pieces) or not workspace.lake.exists(RECEIPTS):
        return []
    contents = {piece.content_sha256 for _, piece in found.pieces}
    rows = workspace.lake.arrow(
        RECEIPTS,
        schema=arrow_schema(Receipt),
        where=lambda table: (
            table["batch_id"].isin(sorted(found.batches) or [""])
            | table["content_sha256"].isin(sorted(contents) or [""])
        ),
    ).to_pylist()
    tables = {table for table, _ in found.pieces}
    receipts = [Receipt(**row) for row in rows]
    return [one for one in receipts if one.batch_id in found.batches or f"{one.usecase}.{one.dataset}" in tables]


def _erase_raw(workspace: "Workspace", receipts: list[Receipt], found: _Found) -> None:
    """Remove the raw copies that hold the person, and those of the batches that brought the person."""
    for table, piece in found.pieces:
        found.raw_files += workspace.landing(table).remove(piece)
    for receipt in receipts:
        landing = workspace.landing(f"{receipt.usecase}.{receipt.dataset}")
        with suppress(UnknownNameError):  # never kept, or gone already
            found.raw_files += landing.remove(landing.find(receipt.content_sha256))


def _sources(receipts: list[Receipt], found: _Found) -> dict[str, str]:
    """What had brought the person: how it is told, to its path or address."""
    brought = [(piece.source, piece.origin) for _, piece in found.pieces]
    brought += [((receipt.piece or FILES).partition("/")[0], receipt.source) for receipt in receipts]
    return {
        (_file_of(origin) or origin) if source == FILES else f"{source}: {origin}": origin for source, origin in brought
    }


def _file_of(source: str) -> str | None:
    """The absolute path of a file that exists, also where one of its sheets was named."""
    with suppress(OSError, ValueError):
        path = split_sheet(Path(source))[0]
        if path.is_file():
            return str(path.absolute())
    return None


def _models(workspace: "Workspace", receipts: list[Receipt]) -> tuple[str, ...]:
    """Versions of the registry whose training read one of the batches."""
    if not receipts or not workspace.lake.exists("platform.steps"):
        return ()
    documents = workspace.lake.arrow(
        "platform.steps",
        schema=arrow_schema(StepRecord),
        columns=["run_id", "usecase", "document"],
        where=lambda table: table["step"] == "train",
    ).to_pylist()
    runs = {row["run_id"] for row in documents if _has_read(json.loads(row["document"]), row["usecase"], receipts)}
    return tuple(_versions(workspace, runs))


def _has_read(trained: dict[str, object], usecase: str, receipts: list[Receipt]) -> bool:
    batches, versions = trained["batches"], trained["table_versions"]
    assert isinstance(batches, list)
    assert isinstance(versions, dict)
    for receipt in receipts:
        if receipt.usecase != usecase or receipt.table_version is None:
            continue
        if batches and receipt.batch_id not in batches:
            continue
        if int(versions.get(f"{receipt.usecase}.{receipt.dataset}", -1)) >= receipt.table_version:
            return True
    return False


def _versions(workspace: "Workspace", runs: set[str]) -> Iterator[str]:
    for usecase in workspace.usecases():
        try:
            versions = workspace.registry.versions(usecase)
        except TrunklineError:
            continue
        for version in versions:
            if version.run_id in runs:
                yield f"{usecase}/{version.version}"

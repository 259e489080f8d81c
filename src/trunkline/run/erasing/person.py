"""One person erased, in an order in which a second call completes what a killed one left."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Column
from trunkline.contracts.records import QUARANTINE, VAULT
from trunkline.errors import InputError
from trunkline.publish import Outbox
from trunkline.run.erasing.archives import erase_archives
from trunkline.run.erasing.log import erase_log
from trunkline.run.erasing.origins import (
    erase_archived_files,
    erase_copies,
    erase_raw,
    file_of,
    look_through,
    look_through_archived,
    models_of,
    receipts_of,
    sources_of,
)
from trunkline.run.erasing.rows import batches_of, erase_answers, erase_rows, forget_pushes, refused_ids
from trunkline.run.erasing.theirs import Erased, Found, key_part
from trunkline.run.raw_copies import Sought
from trunkline.run.wanted import Wanted
from trunkline.settings import Settings
from trunkline.settings.drills import point
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["CRASH_POINTS", "brokers_of", "erase_person"]

CRASH_POINTS: Final = ("erase.after_raw", "erase.after_log", "erase.after_quarantine", "erase.after_table")
"""Points at which a drill kills an erasure."""


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
        BusyError: A writer held a table for too long, or the pseudonyms are being changed.
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
    with ExitStack() as stack:
        if any(column.is_protected for _, _, column in marked):
            stack.enter_context(workspace.keys.naming())  # a rotation would rename the person while they are looked for
        return _erased(workspace, kind, value, usecases, marked, progress)


def _erased(
    workspace: "Workspace",
    kind: str,
    value: str,
    usecases: "list[UseCase]",
    marked: "list[tuple[UseCase, str, Column]]",
    progress: Callable[[str, float], None],
) -> Erased:
    found = Found()
    wanted = Wanted(workspace, kind, value, [column for _, _, column in marked])
    progress("looking", 0.0)
    _look_for_rows(workspace, marked, wanted, found)
    for table, columns in _columns_by_table(marked).items():
        progress(f"landing zone of {table}", 0.0)
        look_through(workspace, table, Sought(wanted.text, columns), found)
        look_through_archived(workspace, table, Sought(wanted.text, columns), found)
    receipts = receipts_of(workspace, found)
    # The rows go last: they say which raw files held the person, also to a second call after the first was killed.
    progress("landing zone", 0.1)
    erase_raw(workspace, receipts, found)
    erase_archived_files(workspace, found)
    point("erase.after_raw")
    progress("durable log", 0.2)
    keyed = {usecase.name: at for usecase in usecases if (at := key_part(usecase, kind)) is not None}
    contracts = [contract for usecase in usecases for contract in usecase.contracts.values()]
    erase_log(workspace, keyed, wanted, found, seals=workspace.keys.is_encrypted(*contracts))
    point("erase.after_log")
    # a running server has brought what it had read of the log into the lake meanwhile, or has refused it
    quarantined = _look_for_rows(workspace, marked, wanted, found)
    known = {receipt.batch_id for receipt in receipts}
    late = [receipt for receipt in receipts_of(workspace, found) if receipt.batch_id not in known]
    erase_copies(workspace, late, found)
    receipts += late
    sources, models = sources_of(receipts, found), models_of(workspace, receipts)
    for table, identity in workspace.entity_tables().items():
        erase_answers(workspace, table, identity, keyed, wanted, found)
    forget_pushes(workspace, keyed, wanted, found)
    if quarantined:
        found.count(QUARANTINE, workspace.lake.erase(QUARANTINE, "quarantine_id", quarantined).rows)
    point("erase.after_quarantine")
    for position, (usecase, dataset, column) in enumerate(marked):
        progress(f"{usecase.name}.{dataset}", 0.3 + 0.7 * position / len(marked))
        erase_rows(workspace, usecase.table_name(dataset), column, wanted, found)
        point("erase.after_table")
    progress("archives", 1.0)
    erase_archives(workspace, marked, keyed, wanted, found)
    if wanted.pseudonyms and workspace.lake.exists(VAULT):
        found.count(VAULT, workspace.lake.erase(VAULT, "pseudonym", list(wanted.pseudonyms)).rows)
    copies_unread = [path for path in found.unread if Path(path).exists()]  # others went with their batches
    files_unread = found.archived_unread.difference(found.archived_gone)
    return Erased(
        kind=kind,
        tables=found.tables,
        log_records=found.log_records,
        raw_files=found.raw_files,
        models=models,
        files=tuple(sorted({path for path in map(file_of, [*sources.values(), *map(str, found.archived)]) if path})),
        sources=tuple(sorted(sources)),
        unread=tuple(sorted([*copies_unread, *files_unread, *found.archives_unread])),
        brokers=brokers_of(workspace.settings),
        sinks=Outbox(workspace.root / "publish" / "outbox.db").sinks(),
        archived=tuple(sorted(found.archived_gone)),
    )


def brokers_of(settings: Settings) -> tuple[str, ...]:
    """Name, by their settings, the brokers and topics that hold what Trunkline wrote and cannot take out again."""
    own = () if settings.broker.url is None else ("broker.url",)
    told = (
        f"sources.{name}.dead_letters"
        for name, source in settings.sources.items()
        if isinstance(source, TopicSource) and source.dead_letters is not None
    )
    return (*own, *sorted(told))


def _look_for_rows(
    workspace: "Workspace", marked: "list[tuple[UseCase, str, Column]]", wanted: Wanted, found: Found
) -> list[str]:
    """Note the batches that brought the person; gives the ids of the person's refused rows."""
    refused: set[str] = set()
    for usecase, dataset, column in marked:
        found.batches |= batches_of(workspace, usecase.table_name(dataset), column, wanted, found)
    for name, dataset in sorted({(usecase.name, dataset) for usecase, dataset, _ in marked}):
        refused |= set(refused_ids(workspace, name, dataset, wanted, found))
    return sorted(refused)


def _columns_by_table(marked: "list[tuple[UseCase, str, Column]]") -> dict[str, list[Column]]:
    tables: dict[str, list[Column]] = {}
    for usecase, dataset, column in marked:
        tables.setdefault(usecase.table_name(dataset), []).append(column)
    return tables

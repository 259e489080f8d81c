"""What brought a person: raw copies, which go, and sources and models, which can only be named."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.contracts.records import RECEIPTS, STEPS, Receipt, StepRecord
from trunkline.errors import TrunklineError, UnknownNameError
from trunkline.ingest.archives import archive_of
from trunkline.ingest.files import split_sheet
from trunkline.ingest.landing import FILES
from trunkline.run.archived import ArchivedFiles
from trunkline.run.erasing.theirs import Found
from trunkline.run.raw_copies import Sought, is_in_file, pieces_with
from trunkline.run.scratch import scratch_folder

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = [
    "erase_archived_files",
    "erase_copies",
    "erase_raw",
    "file_of",
    "look_through",
    "look_through_archived",
    "models_of",
    "receipts_of",
    "sources_of",
]


def look_through(workspace: "Workspace", table: str, sought: Sought, found: Found) -> None:
    """Find the raw copies of a dataset that hold the person, whether or not a row of theirs is anywhere."""
    landing = workspace.landing(table)
    landing.tidy(older_than=workspace.settings.lake.vacuum_grace)  # copies that a killed process left
    limits = workspace.settings.ingest
    with scratch_folder(workspace.folder("tmp"), purpose="erasing") as folder:
        for piece, is_there in pieces_with(landing, sought, limits=limits, folder=folder):
            if is_there:
                found.pieces.append((table, piece))
            else:
                found.unread.append(str(piece.path))


def look_through_archived(workspace: "Workspace", table: str, sought: Sought, found: Found) -> None:
    """Find the files that hold the person among those that watched folders moved into their archives."""
    with scratch_folder(workspace.folder("tmp"), purpose="erasing") as folder:
        files = ArchivedFiles(workspace.root)
        for one in files.of(table):
            if files.forget_gone(one):
                continue
            limits = workspace.settings.ingest.model_copy(update={"csv": one.csv})
            is_there = None
            with suppress(OSError):  # a share that does not answer
                is_there = is_in_file(one.path, sought, limits=limits, folder=folder)
            if is_there:
                found.archived[one.path] = one
            elif is_there is None:
                found.archived_unread.add(str(one.path))


def erase_archived_files(workspace: "Workspace", found: Found) -> None:
    """Remove the archived files that hold the person; one that is no longer what was moved there stays."""
    if workspace.settings.landing.archived_files == "list":
        return
    for one in found.archived.values():
        try:
            if one.is_as_moved:
                one.path.unlink()
                ArchivedFiles(workspace.root).forget(one.path)
                found.archived_gone.append(str(one.path))
        except FileNotFoundError:  # out of sight since it was looked into
            found.archived_unread.add(str(one.path))


def receipts_of(workspace: "Workspace", found: Found) -> list[Receipt]:
    """Read the receipts of the batches and of the raw copies that had the person."""
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


def erase_raw(workspace: "Workspace", receipts: list[Receipt], found: Found) -> None:
    """Remove the raw copies that hold the person, and those of the batches that brought the person."""
    for table, piece in found.pieces:
        found.raw_files += workspace.landing(table).remove(piece)
    erase_copies(workspace, receipts, found)


def erase_copies(workspace: "Workspace", receipts: list[Receipt], found: Found) -> None:
    """Remove the raw copies of the batches that brought the person."""
    for receipt in receipts:
        landing = workspace.landing(f"{receipt.usecase}.{receipt.dataset}")
        with suppress(UnknownNameError):  # never kept, or gone already
            found.raw_files += landing.remove(landing.find(receipt.content_sha256))


def sources_of(receipts: list[Receipt], found: Found) -> dict[str, str]:
    """Say what had brought the person: how it is told, to its path or address."""
    brought = [(piece.source, piece.origin) for _, piece in found.pieces]
    brought += [((receipt.piece or FILES).partition("/")[0], receipt.source) for receipt in receipts]
    return {
        (file_of(origin) or origin) if source == FILES else f"{source}: {origin}": origin for source, origin in brought
    }


def file_of(source: str) -> str | None:
    """Give the absolute path of a file that exists, also where a sheet or a file in it was named; else None."""
    with suppress(OSError, ValueError):
        path = archive_of(split_sheet(Path(source))[0])[0]
        if path.is_file():
            return str(path.absolute())
    return None


def models_of(workspace: "Workspace", receipts: list[Receipt]) -> tuple[str, ...]:
    """Name the versions of the registry whose training read one of the batches."""
    if not receipts or not workspace.lake.exists(STEPS):
        return ()
    documents = workspace.lake.arrow(
        STEPS,
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

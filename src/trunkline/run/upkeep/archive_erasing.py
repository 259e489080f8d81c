"""Rows taken out of archives: a person is erased from what has left the tables as well.

A file that holds such rows is written anew without them under another name, the manifest is replaced, and the old file
goes; killed on the way, the same call completes it. What lies in the folder of an archive and is not in its manifest
goes in any case, and so does an archive whose rows are still in their table.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import TrunklineError, UnknownNameError
from trunkline.ingest.raw_files import SEALED, nameless_file
from trunkline.run.upkeep.archive_files import ArchiveFiles
from trunkline.run.upkeep.archive_list import archives_of, list_archive
from trunkline.run.upkeep.archives import (
    MANIFEST,
    Manifest,
    Part,
    archive_place,
    folder_of,
    manifest_of,
    put_manifest,
)
from trunkline.run.upkeep.retiring import APP_ID
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

    from trunkline.run.upkeep.places import ArchivePlace
    from trunkline.run.workspace import Workspace

__all__ = ["CRASH_POINTS", "ErasedArchives", "erase_archived"]

CRASH_POINTS: Final = ("erase.after_archive_part", "erase.after_archive_manifest")
"""Points at which a drill kills an erasure."""

_BATCH_ROWS: Final = 65_536

Theirs = Callable[["pa.RecordBatch"], "pa.BooleanArray"]
"""Says of each row of a batch, which has some columns, whether it is to go."""


@dataclass(frozen=True)
class ErasedArchives:
    """What was erased.

    Attributes:
        rows: Rows that went.
        unread: Archives that could not be looked into, with the reason; they may hold such rows still.
    """

    rows: int
    unread: tuple[str, ...]


def erase_archived(workspace: "Workspace", table: str, columns: Sequence[str], theirs: Theirs) -> ErasedArchives:
    """Take rows out of all archives of a table, wherever they lie.

    Args:
        workspace: The workspace.
        table: The table that the rows had left.
        columns: What ``theirs`` looks at; an archive without one of them holds no such row.
        theirs: Which rows go.
    """
    from trunkline.lake import held

    rows, unread = 0, []
    lock = workspace.folder("locks") / f"retention-{table}.lock"
    with held(lock, what=f"retention of {table}", timeout_s=workspace.settings.lake.lock_timeout_s):
        found = {
            one.place: [each.folder for each in archives_of(workspace, table) if each.place == one.place]
            for one in archives_of(workspace, table)
        }
        here = archive_place(workspace)
        found.setdefault(here.address, [])
        for address, folders in found.items():
            try:
                place = here if address == here.address else archive_place(workspace, address)
                lying = {name.rpartition("/")[0] for name in place.names(table)}
            except TrunklineError as error:
                unread += [f"{address}/{folder}: {error.what}" for folder in folders or [table]]
                continue
            for folder in sorted({*folders, *lying}):
                try:
                    rows += _erase(workspace, place, folder, columns, theirs)
                except TrunklineError as error:
                    unread.append(f"{address}/{folder}: {error.what}")
    return ErasedArchives(rows, tuple(unread))


def _erase(workspace: "Workspace", place: "ArchivePlace", folder: str, columns: Sequence[str], theirs: Theirs) -> int:
    manifest = manifest_of(place, folder)
    if manifest is None or _is_pending(workspace, manifest):
        _sweep(place, folder, keep=())
        return 0
    drafts = workspace.folder("tmp")
    files = ArchiveFiles(place, folder, keys=workspace.keys, drafts=drafts)
    gone, parts = 0, []
    for part in manifest.parts:
        with files.opened(part) as found:
            size = 0
            if set(columns) <= set(found.schema.names):
                size = sum(theirs(batch).true_count for batch in _batches(found, columns))
            if not size:
                parts.append(part)
                continue
            gone += size
            if part.rows > size:
                parts.append(_without(files, part, found, columns, theirs, rows=part.rows - size, drafts=drafts))
                point("erase.after_archive_part")
    if gone:
        left = manifest.model_copy(update={"parts": tuple(parts), "erased": manifest.erased + gone})
        put_manifest(place, left)
        point("erase.after_archive_manifest")
        list_archive(workspace, place, left, changed_at=workspace.clock())
        manifest = left
    _sweep(place, folder, keep=[part.name for part in manifest.parts])
    return gone


def _is_pending(workspace: "Workspace", manifest: Manifest) -> bool:
    """Whether the rows of an archive are in their table still: it was never finished."""
    lake = workspace.lake
    if not lake.exists(manifest.table):
        return False
    if manifest.folder != folder_of(manifest.table, lake.identity(manifest.table), manifest.number):
        return False
    return (lake.transaction_version(manifest.table, APP_ID) or 0) < manifest.number


def _batches(found: "ds.Dataset", columns: Sequence[str] | None) -> "Iterator[pa.RecordBatch]":
    yield from found.to_batches(columns=None if columns is None else list(columns), batch_size=_BATCH_ROWS)


def _without(
    files: ArchiveFiles,
    part: Part,
    found: "ds.Dataset",
    columns: Sequence[str],
    theirs: Theirs,
    *,
    rows: int,
    drafts: Path,
) -> Part:
    """Write a file anew without some rows, encrypted if it was."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    stem = part.name.partition(".")[0].rpartition("-")[0]
    name = f"{stem}-{secrets.token_hex(4)}.parquet"
    with nameless_file(drafts, name, ()) as draft:
        with pq.ParquetWriter(draft, found.schema, compression="zstd") as writer:
            for batch in _batches(found, None):
                writer.write_batch(batch.filter(pc.invert(theirs(batch.select(list(columns))))))
        return files.store(draft, name, rows, seals=part.name.endswith(SEALED))


def _sweep(place: "ArchivePlace", folder: str, *, keep: Sequence[str]) -> None:
    """Remove what lies in the folder of an archive, but its files; without any, the manifest goes first."""
    names = place.names(folder)
    kept = {f"{folder}/{name}" for name in (*keep, *((MANIFEST,) if keep else ()))}
    for name in sorted(set(names) - kept, key=lambda name: not name.endswith(MANIFEST)):
        try:
            place.remove(name)
        except UnknownNameError:
            continue

"""What keeps tables small: compaction, vacuum, log clean-up.

Every function works on one table whose lock the caller holds. Compaction changes no row that a reader of the newest
version sees. Vacuum and log clean-up never touch what a pin names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trunkline.lake import delta, log, writing
from trunkline.lake.place import Place
from trunkline.settings import drills
from trunkline.settings.lake import LakeSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

CRASH_POINTS: tuple[str, ...] = (
    "lake.compact.before_commit",
    "lake.compact.after_commit",
    "lake.remove.before_commit",
    "lake.remove.after_commit",
    "lake.vacuum.before_delete",
    "lake.vacuum.after_delete",
    "lake.log.before_delete",
    "lake.log.after_delete",
)


@dataclass(frozen=True)
class Upkeep:
    """What maintenance did to one table.

    Attributes:
        table: The table.
        version: Its newest version afterwards.
        folded_files: Data files that compaction made fewer.
        removed_files: Data files that vacuum removed.
        removed_log_files: Log files that were removed.
    """

    table: str
    version: int
    folded_files: int
    removed_files: int
    removed_log_files: int


def fold_files(place: Place, *, settings: LakeSettings) -> int:
    """Fold small data files into large ones; rows stay as they are.

    Args:
        place: The table.
        settings: The size of the files aimed at.

    Returns:
        The newest version; the old one if there was nothing to fold.

    Raises:
        ConflictError: Writers outside Trunkline won every attempt.
        UnavailableError: The store refused.
    """
    for attempt in writing.attempts(settings.commit_attempts):
        with attempt:
            table = place.newest()
            if len(delta.files(table)) < 2:
                return int(table.version())
            drills.point("lake.compact.before_commit")
            with delta.translated(place.uri):
                table.optimize.compact(
                    target_size=settings.target_file_mb * 1024 * 1024,
                    writer_properties=delta.writer_properties(delta.schema(table)),
                    commit_properties=writing.commit_properties({}),
                )
            drills.point("lake.compact.after_commit")
            return int(table.version())
    raise AssertionError("attempts either return or raise")


def vacuum(place: Place, *, pins: Collection[int], settings: LakeSettings) -> int:
    """Remove data files that neither the newest version, nor a pinned one, nor a recent reader needs.

    Args:
        place: The table.
        pins: Versions to keep readable; those that are gone already are passed over.
        settings: Retention and grace; the longer one counts, in whole hours, rounded up.

    Returns:
        How many files were removed.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    hours, keep = _kept(place, pins=pins, settings=settings)
    return remove_files(place, hours=hours, keep=keep)


def removable(place: Place, *, pins: Collection[int], settings: LakeSettings) -> list[str]:
    """Name the data files that :func:`vacuum` would remove; nothing is touched.

    Raises:
        UnavailableError: The store refused.
    """
    hours, keep = _kept(place, pins=pins, settings=settings)
    with delta.translated(place.uri):
        return sorted(_doomed(place.newest(), place, hours=hours, keep=keep))


def _kept(place: Place, *, pins: Collection[int], settings: LakeSettings) -> tuple[int, list[int]]:
    """Least age of a removed file in hours, and the versions whose files stay."""
    age = max(settings.vacuum_grace, settings.retention(place.name).deleted_file_retention)
    keep = sorted(set(pins) & set(log.openable(log.listing(delta.filesystem(place.uri, place.options)))))
    return math.ceil(age / timedelta(hours=1)), keep


def _doomed(table: DeltaTable, place: Place, *, hours: int, keep: list[int]) -> set[str]:
    listed = table.vacuum(hours, enforce_retention_duration=False, full=True, keep_versions=keep or None)
    # Delta goes on listing removed files that are gone already, and would commit a vacuum of nothing each time.
    return set(listed) & {path.lstrip("/") for path in data_files(place)}


def remove_files(place: Place, *, hours: int, keep: list[int]) -> int:
    """Remove data files that the newest version and the kept ones do not use, and orphans of killed writers.

    Args:
        place: The table.
        hours: Least age of a removed file; 0 breaks readers of older versions.
        keep: Versions to keep readable; each must be openable.

    Returns:
        How many files were removed.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    table = place.newest()
    with delta.translated(place.uri):
        doomed = _doomed(table, place, hours=hours, keep=keep)
        if doomed:
            drills.point("lake.vacuum.before_delete")
            table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True, keep_versions=keep or None)
            drills.point("lake.vacuum.after_delete")
    return len(doomed)


def data_files(place: Place) -> list[str]:
    """Paths below the table of all Parquet files, of old versions and orphans, too."""
    import pyarrow.fs as pafs

    store = delta.filesystem(place.uri, place.options)
    return sorted(
        entry.path
        for entry in store.get_file_info(pafs.FileSelector("", recursive=True))
        if entry.extension == "parquet" and not entry.path.lstrip("/").startswith(log.FOLDER)
    )


def clean_log(place: Place, *, pins: Collection[int], now: datetime, settings: LakeSettings) -> int:
    """Remove files of the log that are older than its retention and that no pinned version needs.

    Args:
        place: The table.
        pins: Versions to keep readable.
        now: The current instant.
        settings: Retention, and the number of commits after which a log needs a checkpoint.

    Returns:
        How many files were removed.

    Raises:
        UnavailableError: The store refused.
    """
    store = delta.filesystem(place.uri, place.options)
    files = log.listing(store)
    newest = max((file.version for file in files if file.is_commit), default=0)
    checkpoint = max((file.version for file in files if file.is_checkpoint), default=0)
    if newest - checkpoint >= settings.checkpoint_every:  # a writer was killed before it made its checkpoint
        with delta.translated(place.uri):
            place.newest().create_checkpoint()
        files = log.listing(store)
    doomed = log.expendable(files, pins=pins, cutoff=now - settings.retention(place.name).log_retention)
    if doomed:
        drills.point("lake.log.before_delete")
    for file in doomed:
        store.delete_file(file.path)
    if doomed:
        drills.point("lake.log.after_delete")
    return len(doomed)


def remove(place: Place, column: str, value: str, *, metadata: Mapping[str, str]) -> int:
    """Take the rows with one text out of the newest version, in one commit; older versions keep them.

    Args:
        place: The table.
        column: A column of text.
        value: The text.
        metadata: Noted in the commit.

    Returns:
        How many rows went; 0 makes no commit.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    quoted = value.replace("'", "''")
    drills.point("lake.remove.before_commit")
    with delta.translated(place.uri):
        told = place.newest().delete(f"{column} = '{quoted}'", commit_properties=writing.commit_properties(metadata))
    drills.point("lake.remove.after_commit")
    return int(told["num_deleted_rows"] or 0)


def sync_properties(place: Place, *, settings: LakeSettings) -> None:
    """Bring the properties of a table to the settings, which may have changed since it was made.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    table = place.newest()
    wanted = writing.table_properties(settings, place.name)
    present = table.metadata().configuration
    changed = {name: value for name, value in wanted.items() if present.get(name) != value}
    if changed:
        with delta.translated(place.uri):
            table.alter.set_table_properties(changed)


def rewrite(
    place: Place,
    kept: pa.RecordBatchReader,
    *,
    base: int,
    event: str,
    metadata: Mapping[str, str],
    settings: LakeSettings,
) -> int:
    """Replace all rows by some of them, in one commit that names no value.

    Args:
        place: The table.
        kept: The rows that stay.
        base: The version that they were read from.
        event: Prefix of the crash points.
        metadata: Noted in the commit.
        settings: Table properties.

    Returns:
        The version that holds the rows.

    Raises:
        ConflictError: Another writer's commit won.
        UnavailableError: The store refused.
    """
    return writing.write(
        place, kept, mode="overwrite", transactions=(), metadata=metadata, settings=settings, event=event, base=base
    )

"""A table's log as files: which versions can still be opened, and which files nobody needs any more.

Delta's own clean-up knows only age. Here a version that something pins keeps its own segment of the log (the checkpoint
before it and the commits between), and everything else that is old goes, also between two pinned versions. Pure, except
for :func:`listing`, which lists the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.fs as pafs

FOLDER = "_delta_log"
_VERSIONED = re.compile(r"(\d{20})\..+\Z")
_COMMIT = re.compile(r"\d{20}\.json\Z")
_PART = re.compile(r".*\.checkpoint\.\d{10}\.\d{10}\.parquet\Z")
_CHECKPOINT = re.compile(r"\d{20}\.checkpoint(\..+)?\.parquet\Z")


@dataclass(frozen=True)
class LogFile:
    """One file of a log that belongs to a version.

    Attributes:
        path: Path below the table.
        version: The version it belongs to.
        is_commit: It holds a commit.
        is_checkpoint: It holds a checkpoint, or a part of one.
        at: When it was written, UTC.
    """

    path: str
    version: int
    is_commit: bool
    is_checkpoint: bool
    at: datetime


@dataclass(frozen=True)
class Commit:
    """One commit in a table's log.

    Attributes:
        version: The version that it made.
        at: When, UTC.
        operation: What Delta calls it: ``WRITE``, ``OPTIMIZE``, ...
        metadata: What the writer noted, e.g. the run id.
    """

    version: int
    at: datetime
    operation: str
    metadata: Mapping[str, str]


def listing(store: pafs.FileSystem) -> list[LogFile]:
    """List the versioned files of a log.

    Args:
        store: Files below the table's folder.

    Returns:
        The files by version, oldest first.
    """
    import pyarrow.fs as pafs

    found = []
    for entry in store.get_file_info(pafs.FileSelector(FOLDER, allow_not_found=True)):
        match = _VERSIONED.match(entry.base_name)
        if match is None:
            continue
        written = entry.mtime_ns or 0
        found.append(
            LogFile(
                path=f"{FOLDER}/{entry.base_name}",
                version=int(match.group(1)),
                is_commit=bool(_COMMIT.match(entry.base_name)),
                is_checkpoint=bool(_CHECKPOINT.match(entry.base_name)),
                at=datetime.fromtimestamp(written / 1e9, tz=UTC),
            )
        )
    return sorted(found, key=lambda file: (file.version, file.path))


def openable(files: Iterable[LogFile]) -> list[int]:
    """Say which versions a reader can open.

    Args:
        files: From :func:`listing`.

    Returns:
        Versions for which there is a checkpoint, or version 0, and every commit from there on; ascending.
    """
    known = list(files)
    commits = {file.version for file in known if file.is_commit}
    checkpoints = {file.version for file in known if file.is_checkpoint}
    found = []
    is_reached = False
    for version in range(max(commits | checkpoints, default=-1) + 1):
        is_reached = version in checkpoints or (version in commits and (is_reached or version == 0))
        if is_reached:
            found.append(version)
    return found


def expendable(files: Sequence[LogFile], *, pins: Collection[int], cutoff: datetime) -> list[LogFile]:
    """Say which files of a log nobody needs any more.

    Kept are the newest version, every pinned one, every one written at the cutoff or later, and the version just
    before the first of these, which was the newest at the cutoff; each with the checkpoint and the commits that a
    reader needs to open it.

    Args:
        files: From :func:`listing`.
        pins: Versions that something still needs.
        cutoff: End of the retention.

    Returns:
        Files that may be deleted, in the order in which it is safe to delete them.
    """
    versions = openable(files)
    if not versions:
        return []
    written = {file.version: file.at for file in files if file.is_commit}
    recent = [version for version in versions if version in written and written[version] >= cutoff]
    at_cutoff = [version for version in versions if version < recent[0]][-1:] if recent else []
    checkpoints = sorted({file.version for file in files if file.is_checkpoint})
    kept: set[int] = set()
    for version in {versions[-1], *recent, *at_cutoff, *(set(pins) & set(versions))}:
        first = max((point for point in checkpoints if point <= version), default=0)
        kept.update(range(first, version + 1))
    return [file for file in files if file.version not in kept]


def history(store: pafs.FileSystem, *, limit: int | None) -> list[Commit]:
    """Read what the commits of a log say about themselves.

    Args:
        store: Files below the table's folder.
        limit: At most so many; None is all.

    Returns:
        The commits that are still in the log, newest first. There may be gaps between them.
    """
    commits = [file for file in reversed(listing(store)) if file.is_commit]
    return [_commit(store, file) for file in commits[:limit]]


def statistics(store: pafs.FileSystem) -> Iterator[Mapping[str, Mapping[str, object]]]:
    """Read the statistics of every data file that the log names, of vacuumed ones, too.

    Args:
        store: Files below the table's folder.

    Yields:
        What Delta keeps about one file: ``minValues`` and ``maxValues`` by column, and counts.
    """
    for file in listing(store):
        if file.is_commit or file.is_checkpoint:
            texts = [add.get("stats") for add in _actions(store, file, kind="add")]
            yield from (json.loads(text) for text in texts if text)


def transactions(store: pafs.FileSystem, *, version: int) -> dict[str, int] | None:
    """Read how far the sources of a table are, all at once: delta-rs reads the log again for each of them.

    Args:
        store: Files below the table's folder.
        version: Of the table.

    Returns:
        Application id to the version of its last transaction; None where the log was cut meanwhile, or a file of it
        cannot be read.
    """
    import pyarrow as pa

    files = [file for file in listing(store) if file.version <= version]
    checkpoints = [file for file in files if file.is_checkpoint and not _PART.match(file.path)]
    first = checkpoints[-1].version if checkpoints else -1
    commits = [file for file in files if file.is_commit and file.version > first]
    if [file.version for file in commits] != list(range(first + 1, version + 1)):
        return None
    try:
        told = [one for file in (*checkpoints[-1:], *commits) for one in _actions(store, file, kind="txn")]
    except (FileNotFoundError, ValueError, pa.ArrowInvalid):
        return None
    return {one["appId"]: one["version"] for one in told}


def _actions(store: pafs.FileSystem, file: LogFile, *, kind: str) -> list[dict[str, Any]]:
    """The actions of one kind in a commit or a checkpoint, in their order."""
    import pyarrow.parquet as pq

    if file.is_checkpoint:
        with store.open_input_file(file.path) as source:
            found: list[dict[str, Any]] = pq.read_table(source, columns=[kind]).column(kind).drop_null().to_pylist()
        return found
    with store.open_input_stream(file.path) as stream:
        lines = [line for line in stream.read().splitlines() if f'"{kind}"'.encode() in line]
    return [action[kind] for action in map(json.loads, lines) if kind in action]


def _commit(store: pafs.FileSystem, file: LogFile) -> Commit:
    infos = _actions(store, file, kind="commitInfo")
    facts = infos[0] if infos else {}
    # Delta's own facts are in camel case or no strings; what a Lake notes is in lower case.
    noted = {name: value for name, value in facts.items() if name.islower() and isinstance(value, str)}
    operation = noted.pop("operation", "")
    at = datetime.fromtimestamp(int(str(facts["timestamp"])) / 1000, tz=UTC) if "timestamp" in facts else file.at
    return Commit(version=file.version, at=at, operation=operation, metadata=noted)

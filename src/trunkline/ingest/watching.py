"""A watched folder: files are taken in as they arrive, each once, none while it is still being written.

The operating system's notices (watchdog) say when to look; what is there is always found by looking, so a notice that
was never sent costs a delay of one rescan and no file. A file is whole when its size and time have stood still for
``settle_s``, or, where the sender leaves markers, as soon as the marker is there. What was taken in is told by its
content (see ``ingest_file``): a process that is killed between taking a file in and archiving it archives it at the
next start. Each is told as soon as it is accounted for; those of a second are put away together, so that what is noted
of them is one commit.
"""

import fnmatch
import hashlib
import logging
import os
import queue
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

from trunkline.errors import InputError, SourceError, TrunklineError
from trunkline.files import replacing
from trunkline.ingest.beside_data import beside_data
from trunkline.settings.drills import point
from trunkline.spec.sources import FolderSource

__all__ = ["CRASH_POINTS", "Arrivals", "Taken", "watch"]

CRASH_POINTS: Final = (
    "watch.before_take",
    "watch.after_take",
    "watch.before_note",
    "watch.before_move",
    "watch.after_move",
)
"""Points at which a drill kills a process that watches."""

_MOST_AT_ONCE: Final = 500
_PUT_AWAY_EVERY_S: Final = 1.0
_logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Taken:
    """What became of one file.

    Attributes:
        path: The file as it was found.
        is_done: Whether its rows are accounted for, so that it may be put away; one that is not stays where it is and
            is looked at again when it changes.
        error: What was wrong with it; also where every row went to the quarantine, which accounts for them.
        again: Whether it is to be handed out once more although it has not changed: the fault was not its own.
    """

    path: Path
    is_done: bool = True
    error: TrunklineError | None = None
    again: bool = False


class Arrivals:
    """Tells which files of a folder are whole and have not been handed out; looks, and never waits.

    Args:
        declared: The folder, and what is said of its files.
    """

    def __init__(self, declared: FolderSource) -> None:
        self._declared = declared
        self._seen: dict[Path, tuple[_Stamp, float]] = {}
        self._given: dict[Path, _Stamp] = {}

    def whole(self, now_s: float) -> list[Path]:
        """Look at the folder.

        Args:
            now_s: Seconds on a clock that never goes back.

        Returns:
            Files that are whole and new, or changed since they were given; by time of change, then name.

        Raises:
            SourceError: The folder is not there or cannot be read.
        """
        found = dict(self._files())
        self._seen = {path: seen for path, seen in self._seen.items() if path in found}
        self._given = {path: stamp for path, stamp in self._given.items() if path in found}
        ready = []
        for path, stamp in found.items():
            if self._given.get(path) == stamp:
                continue
            if self._declared.done_marker:
                is_whole = Path(f"{path}{self._declared.done_marker}").exists()
            else:
                before = self._seen.get(path)
                if before is None or before[0] != stamp:
                    self._seen[path] = (stamp, now_s)
                    is_whole = self._declared.settle_s == 0
                else:
                    is_whole = now_s - before[1] >= self._declared.settle_s
            if is_whole:
                ready.append((stamp[1], path.name, path, stamp))
        ready.sort(key=lambda one: one[:2])
        for _, _, path, stamp in ready[:_MOST_AT_ONCE]:
            self._given[path] = stamp
            self._seen.pop(path, None)
        return [path for _, _, path, _ in ready[:_MOST_AT_ONCE]]

    def is_as_given(self, path: Path) -> bool:
        """Whether a file is still what was given; one that has changed since will be given again."""
        try:
            status = path.stat(follow_symlinks=False)
        except OSError:
            return False
        return self._given.get(path) == (status.st_size, status.st_mtime_ns, status.st_ino)

    def present(self) -> list[Path]:
        """List what is there by now, whole or not, sorted; for who takes a folder as it is.

        Raises:
            SourceError: The folder cannot be read.
        """
        return sorted(path for path, _ in self._files())

    def give_again(self, path: Path) -> None:
        """Forget that a file was given."""
        self._given.pop(path, None)

    def due_in(self, now_s: float) -> float | None:
        """Seconds until the next file may be whole; None when none is growing."""
        waits = [self._declared.settle_s - (now_s - since) for _, since in self._seen.values()]
        return max(0.0, min(waits)) if waits else None

    def _files(self) -> Iterator[tuple[Path, _Stamp]]:
        declared = self._declared
        folders = [declared.path]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if declared.recursive and entry.is_dir(follow_symlinks=False):
                            folders += [Path(entry.path)] * self._is_watched(Path(entry.path))
                            continue
                        if not fnmatch.fnmatch(entry.name, declared.pattern) or self._is_left(entry.name):
                            continue
                        try:
                            if not entry.is_file(follow_symlinks=False):
                                continue
                            status = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue  # it went while the folder was read
                        yield Path(entry.path), (status.st_size, status.st_mtime_ns, status.st_ino)
            except OSError as error:
                if folder != declared.path and isinstance(error, FileNotFoundError):
                    continue  # a folder below it went
                raise SourceError(
                    f"the watched folder cannot be read: {error.strerror}",
                    where=str(folder),
                    next_step="make the folder, or mend its rights",
                ) from error

    def _is_watched(self, folder: Path) -> bool:
        """Whether a folder below the watched one is meant: not hidden, not the archive."""
        archive = self._declared.archive
        return not folder.name.startswith(".") and (archive is None or folder.resolve() != archive.resolve())

    def _is_left(self, name: str) -> bool:
        """Whether a name says that the file is hidden, unfinished or a marker."""
        marker = self._declared.done_marker
        return beside_data(name) in ("hidden file", "unfinished file", "marker") or (
            bool(marker) and name.endswith(marker)
        )


def watch(
    declared: FolderSource,
    take: Callable[[Sequence[Path]], Iterable[Taken]],
    *,
    stop: Event,
    clock: Callable[[], datetime],
    rescan_s: float = 30.0,
    once: bool = False,
    archiving: Callable[[Mapping[Path, Path]], AbstractContextManager[None]] = lambda _moves: nullcontext(),
) -> Iterator[Taken]:
    """Take in what is in a folder and what comes.

    Args:
        declared: The folder, and what is said of its files.
        take: Takes files in, in order; says of each what became of it. Any other exception ends the watch.
        stop: Ends the watch when it is set.
        clock: Gives the current instant, for the day in the archive.
        rescan_s: Longest time between two looks at the folder, in seconds.
        once: End when everything that is there has been taken in, rather than wait for more.
        archiving: Told where files lie and where they will lie in the archive; they are moved within what this gives.

    Yields:
        Each file that was handed to ``take``, as soon as that says what became of it. One that is done is put away
        after that, where that is wanted: at once, or, where others were less than a second before, when the next one
        is done after that second; at the latest when all that this look at the folder found are done, or the watch
        ends, by whatever exception. So it may stay where it is while a long file after it is read.

    Raises:
        SourceError: The folder is not there.
        InputError: Archive and folder are the same.
        OSError: A file cannot be put away; the others of that second were, and the next watch tries again.
    """
    if declared.archive is not None and declared.archive.resolve() == declared.path.resolve():
        raise InputError("the archive cannot be the watched folder itself", where=str(declared.archive))
    arrivals = Arrivals(declared)
    put_away_s = -_PUT_AWAY_EVERY_S
    with _notices(declared.path, recursive=declared.recursive) as notices:
        while not stop.is_set():
            whole = arrivals.whole(monotonic())
            if whole:
                point("watch.before_take")
                held: list[Taken] = []
                try:
                    for taken in take(whole):
                        point("watch.after_take")
                        held.append(taken)
                        yield taken
                        if monotonic() - put_away_s >= _PUT_AWAY_EVERY_S:
                            due, held = held, []
                            _put_away(due, arrivals, declared, clock=clock, archiving=archiving)
                            put_away_s = monotonic()
                finally:
                    _put_away(held, arrivals, declared, clock=clock, archiving=archiving)
                continue
            due_s = arrivals.due_in(monotonic())
            if once and due_s is None:
                return
            _wait(notices, stop=stop, seconds=min(rescan_s, rescan_s if due_s is None else due_s + 0.01))


@contextmanager
def _notices(folder: Path, *, recursive: bool) -> "Iterator[queue.SimpleQueue[None]]":
    """Ask the operating system to say when something happens in a folder."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    notices: queue.SimpleQueue[None] = queue.SimpleQueue()

    class _Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type in ("created", "modified", "moved", "closed"):
                notices.put(None)

    logging.getLogger("watchdog").setLevel(logging.CRITICAL)  # it warns of events that come while it is stopped
    observer = Observer()
    try:
        observer.schedule(_Handler(), str(folder), recursive=recursive)
        observer.start()
    except OSError as error:  # no such folder, or no more watches to be had: looking every so often still works
        _logger.warning("no notices of %s (%s); looking every so often instead", folder, error.strerror)
        yield notices
        return
    try:
        yield notices
    finally:
        observer.stop()
        observer.join(5)


def _wait(notices: "queue.SimpleQueue[None]", *, stop: Event, seconds: float) -> None:
    """Wait for a notice, the end, or so many seconds; a burst of notices is one."""
    until = monotonic() + seconds
    while not stop.is_set() and (left := until - monotonic()) > 0:
        try:
            notices.get(timeout=min(left, 0.25))
        except queue.Empty:
            continue
        while not notices.empty():
            notices.get_nowait()
        return


def _put_away(
    taken: Sequence[Taken],
    arrivals: Arrivals,
    declared: FolderSource,
    *,
    clock: Callable[[], datetime],
    archiving: Callable[[Mapping[Path, Path]], AbstractContextManager[None]],
) -> None:
    """Archive or remove files that were taken in, and their markers; doing it again does no harm.

    Raises:
        OSError: The first of those that kept a file from being moved or removed; it kept none of the others.
    """
    for one in taken:
        if one.again:
            arrivals.give_again(one.path)
    done = [one.path for one in taken if one.is_done and not one.again and arrivals.is_as_given(one.path)]
    moves: dict[Path, Path] = {}
    if done and declared.afterwards == "archive" and declared.archive is not None:
        day = declared.archive / f"{clock():%Y-%m-%d}"
        day.mkdir(parents=True, exist_ok=True)
        moves = _targets(done, day)
        point("watch.before_note")
    failed: OSError | None = None
    with archiving(moves) if moves else nullcontext():
        for path in done:
            if not arrivals.is_as_given(path):  # what came in its place stays
                continue
            point("watch.before_move")
            try:
                if path in moves:
                    _move(path, moves[path])
                elif declared.afterwards == "delete":
                    path.unlink(missing_ok=True)
                if declared.afterwards != "keep" and declared.done_marker:
                    Path(f"{path}{declared.done_marker}").unlink(missing_ok=True)
            except OSError as error:
                failed = failed or error
            point("watch.after_move")
    if failed is not None:
        raise failed


def _targets(paths: Sequence[Path], day: Path) -> dict[Path, Path]:
    """Say where files will lie: by their names, and of one name each content by itself."""
    found: dict[Path, Path] = {}
    of: dict[Path, Path] = {}
    for path in paths:
        target = day / path.name
        known = of.get(target, target)
        if known.exists() and _digest(known) != _digest(path):
            target = day / f"{path.stem}-{_digest(path)[:12]}{path.suffix}"
        found[path] = target
        of.setdefault(target, path)
    return found


def _move(path: Path, target: Path) -> None:
    """Move a file so that it is never seen half under its new name, also to another file system."""
    try:
        path.replace(target)
    except OSError:
        with replacing(target, durable=True) as part:
            shutil.copy2(path, part)
        path.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

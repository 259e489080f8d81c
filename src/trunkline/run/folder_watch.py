"""A watched folder of a workspace: each file that arrives becomes a batch of its own run."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Final

from trunkline.contracts.records import Receipt
from trunkline.errors import BusyError, InputError, TrunklineError
from trunkline.ingest.archives import is_archive
from trunkline.ingest.beside_data import NO_TEXT, beside_data
from trunkline.ingest.derived import refresh_tables
from trunkline.ingest.watching import Taken, watch
from trunkline.lake.locks import held
from trunkline.run.archived import ArchivedFiles
from trunkline.run.attempts import Attempts
from trunkline.run.declared import missing_folder
from trunkline.run.notifying import announce
from trunkline.run.outcomes import Outcome, PassedOver, passed_over
from trunkline.run.resolving import Handed, file_dataset
from trunkline.run.source_health import look_after_sources
from trunkline.run.taking import take
from trunkline.run.watch_events import watch_events
from trunkline.run.windowing import refresh_windows
from trunkline.spec.sources import FolderSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Arrived", "watch_folder"]

_DIGITS: Final = 12
_JUDGE_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class Arrived:
    """What became of a file that arrived.

    Attributes:
        path: The file as it was found.
        receipt: Of its batch; None where nothing was taken in.
        error: What was wrong with it.
        passed_over: Files of an archive that surely hold no rows, counted; or the file itself, which stays.
        member: Which file of an archive; empty for any other, and for what is wrong with the archive itself.
    """

    path: Path
    receipt: Receipt | None
    error: TrunklineError | None
    member: str = ""
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def name(self) -> str:
        """The path, with the file of the archive behind it."""
        return f"{self.path}#{self.member}" if self.member else str(self.path)


def watch_folder(
    workspace: "Workspace", usecase: "UseCase", declared: FolderSource, *, run_id: str, stop: Event, once: bool = False
) -> Iterator[Arrived]:
    """Take in the files of a folder, those that are there and those that come.

    A file that cannot be read or does not fit the contract stays where it is and stops nothing.

    Args:
        workspace: The workspace.
        usecase: The use case that takes the files in.
        declared: The folder, and what is said of its files.
        run_id: The run that everything carries.
        stop: Ends the watch when it is set.
        once: End when all that is there has been taken in.

    Yields:
        Each file, as soon as it is accounted for or refused; small files share a commit, and are told after it. It is
        put away after that (:func:`~trunkline.ingest.watching.watch` says when).

    Raises:
        SourceError: The folder is not there.
        InputError: The archive is the folder itself.
        MissingExtraError: The settings want OpenLineage events, and the client is not installed.
        UnknownNameError: There is no such dataset.
        BusyError: Another process watches the folder for the same use case.
        WorldError: The lake did not take the rows; start the watch again, nothing is lost.
        OSError: A file cannot be put away; start the watch again, it is known by then.
    """
    if not declared.path.is_dir():
        raise _gone(workspace, usecase, declared, run_id=run_id)
    look = _Look()
    dataset = file_dataset(usecase, declared.dataset)
    came = False
    judged_s = -_JUDGE_EVERY_S

    def look_after(*, at_once: bool = False) -> None:
        nonlocal judged_s
        if at_once or monotonic() - judged_s >= _JUDGE_EVERY_S:
            look_after_sources(workspace, usecase, run_id=run_id)
            judged_s = monotonic()
        announce(workspace)

    def take_files(paths: Sequence[Path]) -> Iterator[Taken]:
        handed = [
            Handed(
                path.relative_to(declared.path).as_posix(),
                path.absolute(),
                None,
                dataset,
                declared.columns,
                csv=declared.csv,
                beside=beside_data(path.relative_to(declared.path).as_posix()),
            )
            for path in paths
        ]
        left = {path.absolute(): path for path in paths}
        archives = {path for path in paths if is_archive(path)}
        nonlocal came, look
        came = came or any(one.beside is None for one in handed)
        look = _Look()  # the files of the one before were told and put away
        events.begin()
        try:
            for outcome in take(workspace, usecase, handed, run_id=run_id, progress=lambda _what, _share: None):
                assert outcome.handed.path is not None, "a folder has nothing but files"
                path = left[outcome.handed.path]
                look.add(path, outcome)
                events.took(outcome.ingested.receipt if outcome.ingested else None, outcome.error)
                if path not in archives:
                    del left[outcome.handed.path]
                    yield _taken(path, look.of(path), declared)
        except BusyError as error:
            for path in left.values():
                look.taken[path].append(Arrived(path, None, error))
        yield from (_taken(path, look.of(path), declared) for path in left.values())
        events.end()
        refresh_tables(
            usecase, lake=workspace.lake, locks=workspace.folder("locks"), run_id=run_id, clock=workspace.clock
        )
        refresh_windows(
            usecase, lake=workspace.lake, locks=workspace.folder("locks"), run_id=run_id, clock=workspace.clock
        )
        look_after()

    archived = ArchivedFiles(workspace.root)

    def archiving(moves: Mapping[Path, Path]) -> AbstractContextManager[None]:
        tables = {
            path: {f"{one.receipt.usecase}.{one.receipt.dataset}" for one in look.of(path) if one.receipt is not None}
            for path in moves
        }
        csv = workspace.settings.ingest.with_dialect(declared.csv).csv
        assert declared.archive is not None, "a file is moved into an archive"
        return archived.moving(moves, archive=declared.archive, tables=tables, csv=csv)

    digest = hashlib.sha256(str(declared.path.resolve()).encode()).hexdigest()[:_DIGITS]
    lock = workspace.folder("locks") / f"watch-{usecase.name}-{digest}.lock"
    with (
        held(lock, what=f"watch of {declared.path} for {usecase.name!r}", clock=workspace.clock),
        watch_events(workspace, usecase, run_id=run_id) as events,
    ):
        for taken in watch(declared, take_files, stop=stop, clock=workspace.clock, once=once, archiving=archiving):
            yield from look.of(taken.path)
        if once and not came:
            _note(workspace, usecase, declared, dataset=dataset, run_id=run_id)
        look_after(at_once=True)


class _Look:
    """What became of the files of one look at the folder.

    Attributes:
        taken: By file: what became of it, or of each file of an archive.
        passed: By file: those of it that were passed over, counted.
    """

    def __init__(self) -> None:
        self.taken: defaultdict[Path, list[Arrived]] = defaultdict(list)
        self.passed: dict[Path, tuple[PassedOver, ...]] = {}

    def add(self, path: Path, outcome: Outcome) -> None:
        """Add what became of a file, or of one of an archive."""
        if outcome.beside is None:
            receipt = None if outcome.ingested is None else outcome.ingested.receipt
            self.taken[path].append(Arrived(path, receipt, outcome.error, outcome.member))
        else:
            self.passed[path] = passed_over(self.passed.get(path, ()), outcome)

    def of(self, path: Path) -> list[Arrived]:
        """Give what is to be told of a file; those that were passed over are one entry, the first."""
        passed = [Arrived(path, None, None, passed_over=self.passed[path])] if path in self.passed else []
        return passed + self.taken[path]


def _taken(path: Path, arrived: Sequence[Arrived], declared: FolderSource) -> Taken:
    """Say of a file what became of it: an archive is done when each of its files is accounted for or passed over.

    One that would be deleted is not done while a text in it was passed over unread.
    """
    left = [one.error for one in arrived if one.receipt is None and one.error is not None]
    errors = left or [one.error for one in arrived if one.error is not None]
    is_busy = any(isinstance(error, BusyError) for error in errors)
    is_taken = any(one.receipt is not None for one in arrived)
    is_kept = declared.afterwards == "delete" and not NO_TEXT.issuperset(
        some.kind for one in arrived for some in one.passed_over
    )
    return Taken(
        path, is_done=is_taken and not left and not is_kept, error=errors[0] if errors else None, again=is_busy
    )


def _gone(workspace: "Workspace", usecase: "UseCase", declared: FolderSource, *, run_id: str) -> InputError:
    """Note and tell that a declared folder is not there."""
    error = missing_folder(workspace, declared)
    _note(workspace, usecase, declared, dataset=declared.dataset, run_id=run_id, error=error)
    look_after_sources(workspace, usecase, run_id=run_id)
    announce(workspace)
    return error


def _note(
    workspace: "Workspace",
    usecase: "UseCase",
    declared: FolderSource,
    *,
    dataset: str | None,
    run_id: str,
    error: InputError | None = None,
) -> None:
    """Note that a declared folder had no file, or could not be looked into; of any other folder nobody expects one."""
    attempts = Attempts(usecase, declared=workspace.settings.sources, run_id=run_id)
    for name, one in workspace.settings.sources.items():
        if one != declared:
            continue
        if error is not None:
            attempts.failed(name, dataset=dataset, error=error)
        attempts.answered(name, dataset=dataset)
    attempts.note(workspace.lake, clock=workspace.clock)

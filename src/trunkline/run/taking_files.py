"""Files on their way in: copied into the landing zone first, then read from that copy, small ones in groups.

What is judged is the copy, so a file that changes, or goes, while others are taken in cannot be taken for another. The
copy of a file that was refused as a whole goes again, and so do all where none are to be kept. A file that was taken in
before and whose copy has gone since, by erasure or retention, gets no other one.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import resolve_columns
from trunkline.errors import BatchBusyError, SourceError, TrunklineError, WorldError
from trunkline.ingest import FileResult, Ingested, Target, ingest_files
from trunkline.ingest.files import open_file, reads_dialect, split_sheet
from trunkline.ingest.identity import batch_of
from trunkline.ingest.receipts import known_contents, refusal_of
from trunkline.run.earlier import EarlierBatches, known_batch
from trunkline.spec.dialect import CsvDialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.ingest.landing import Landed
    from trunkline.run.workspace import Workspace
    from trunkline.settings.ingest import IngestSettings

__all__ = ["FileOutcome", "taken_files"]

_GROUP_BYTES: Final = 512 << 20
_GROUP_FILES: Final = 2_000
_SEALED_FILES: Final = 100  # each of them is open while its group is taken in


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file.

    Attributes:
        path: The file as it was handed over.
        ingested: Its receipt; None where nothing of it was written.
        error: Why it was refused, with or without a receipt.
    """

    path: Path
    ingested: Ingested | None
    error: TrunklineError | None


@dataclass(frozen=True)
class _Copied:
    """A file with its copy; without one where a single sheet is meant, it could not be copied, or is known without one.

    What is lent is the copy in clear.
    """

    path: Path
    piece: "Landed | None"
    error: TrunklineError | None = None
    lent: Path | None = None

    @property
    def source(self) -> Path:
        """What is read."""
        return self.lent or self.path

    @property
    def is_packed_here(self) -> bool:
        """Whether the copy was compressed here."""
        return self.piece is not None and self.piece.is_packed_here


def taken_files(
    workspace: "Workspace",
    paths: Sequence[Path],
    target: Target,
    *,
    run_id: str,
    mapping: "Mapping[str, str]",
    csv: CsvDialect,
    keeps: bool,
    origins: "Mapping[Path, str] | None" = None,
) -> Iterator[FileOutcome]:
    """Take files in; one that is refused stops none of the others.

    Args:
        workspace: The workspace.
        paths: Files of known forms.
        target: Where they go.
        run_id: The run that asks for it.
        mapping: Source column to field name.
        csv: What is said of the dialect of these files beside the settings.
        keeps: Whether the copies stay in the landing zone.
        origins: What files were unpacked from, for those that were.

    Yields:
        One outcome per path, in their order.

    Raises:
        UnavailableError: A disk did not take the rows or a copy; outcomes that were given are written.
        BusyError: Another writer held a table for too long; likewise.
    """
    landing = workspace.landing(target.table)
    general = workspace.settings.ingest.with_dialect(csv)

    batch = partial(batch_of, target=target, run_id=run_id, clock=workspace.clock, mapping=mapping, limits=general)
    earlier = EarlierBatches(workspace.lake, target, batch, is_one=len(paths) == 1)

    def copied(path: Path) -> _Copied:
        if split_sheet(path)[1] is not None:  # a copy of the file would stand for another content than the sheet
            return _Copied(path, None)
        try:
            origin = (origins or {}).get(path)
            return _Copied(path, landing.keep(path, origin=origin, csv=general.csv, unless=partial(earlier.has, path)))
        except WorldError:
            raise
        except TrunklineError as error:
            return _Copied(path, None, error)

    def lent(one: _Copied, until: ExitStack) -> _Copied:
        if one.piece is None or one.piece.path is None:
            return one
        return replace(one, lent=until.enter_context(landing.lent(one.piece)))

    for group in _groups(paths, most=_SEALED_FILES if landing.seals else _GROUP_FILES):
        for (is_whole, _), alike in groupby(
            map(copied, group), key=lambda one: (one.error is None, one.is_packed_here)
        ):
            some = list(alike)
            if not is_whole:
                yield from (FileOutcome(one.path, None, one.error) for one in some)
                continue
            first = some[0].piece
            limits = general if first is None else first.limits_of(general)
            known = _known(earlier, some, mapping=mapping, limits=limits) if keeps else {}
            with ExitStack() as until:
                fresh = [lent(one, until) for one in some if one.path not in known]
                results = ingest_files(
                    [one.source for one in fresh],
                    target,
                    lake=workspace.lake,
                    run_id=run_id,
                    clock=workspace.clock,
                    mapping=mapping,
                    pieces={one.source: one.piece for one in fresh if one.piece is not None},
                    limits=limits,
                )
                taken = zip(fresh, results, strict=True)
                yield from (
                    known[one.path] if one.path in known else _settled(workspace, target, *next(taken), keeps=keeps)
                    for one in some
                )


def _settled(workspace: "Workspace", target: Target, one: _Copied, result: FileResult, *, keeps: bool) -> FileOutcome:
    """Tell what became of a file, and take back its copy where it is not to stay."""
    is_others = isinstance(result.error, BatchBusyError)  # who takes the copy in still needs it
    if one.piece is not None and not is_others and (result.ingested is None or not keeps):
        _let_go(workspace, target, one.piece, rests=not keeps)
    return FileOutcome(one.path, result.ingested, _of(one, result.error))


def _known(
    earlier: EarlierBatches, some: Sequence[_Copied], *, mapping: "Mapping[str, str]", limits: "IngestSettings"
) -> dict[Path, FileOutcome]:
    """What is known of files, or why they are refused, because another batch has their rows in the table."""
    batches = earlier.of({one.piece.content_sha256 for one in some if one.piece is not None})
    found: dict[Path, FileOutcome] = {}
    for one in some:
        batch = batches.get(one.piece.content_sha256) if one.piece is not None else None
        if batch is None:
            continue
        said = limits.csv.said if reads_dialect(one.path, limits) else {}
        try:
            known = known_batch(batch, earlier.target, mapping=mapping, said=said)
        except SourceError as refused:
            error: TrunklineError = refused.at(f"{one.path}, {refused.where}")
            try:  # what does not fit by what is said now is told so
                header = open_file(one.path, limits=limits).header
                resolve_columns(earlier.target.contract, header, mapping=mapping, where=str(one.path))
            except TrunklineError as unfit:
                error = unfit
            found[one.path] = FileOutcome(one.path, None, error)
        else:
            if known is not None:
                found[one.path] = FileOutcome(one.path, Ingested(known, known=True), refusal_of(known))
    return found


def _groups(paths: Sequence[Path], *, most: int) -> Iterator[list[Path]]:
    """Cut a list of files so that no group needs much room, and files of one group share commits."""
    group: list[Path] = []
    size = 0
    for path in paths:
        group.append(path)
        try:
            size += path.stat().st_size
        except OSError:
            continue  # whoever copies it says what is wrong
        if size >= _GROUP_BYTES or len(group) >= most:
            yield group
            group, size = [], 0
    if group:
        yield group


def _of(one: _Copied, error: TrunklineError | None) -> TrunklineError | None:
    """Let an error speak of the file that was handed over, not of its copy."""
    if error is None or one.source == one.path:
        return error
    return error.at(error.where.replace(str(one.source), str(one.path)))


def _let_go(workspace: "Workspace", target: Target, piece: "Landed", *, rests: bool) -> None:
    """Take a copy back, unless a batch of an earlier time or another contract rests on it.

    Args:
        workspace: The workspace.
        target: Where the file went.
        piece: The copy.
        rests: Let it go even then: no copies are to be kept at all.
    """
    content = [piece.content_sha256]
    if rests or not known_contents(workspace.lake, usecase=target.usecase, dataset=target.dataset, among=content):
        workspace.landing(target.table).discard(piece)

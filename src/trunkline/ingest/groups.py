"""Many small files at once: each is a batch of its own, and they share commits.

A commit costs as much as reading some hundred kilobytes, so a folder of small files is taken in groups: their rows are
judged together and written by three commits (quarantine, rows, receipts) that hold one transaction for each file. What
is true of one file stays true of each: the same batch id, every row accounted for in its receipt, exactly once
however often and in whatever grouping the files are handed in again after a kill.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.contracts.records import QUARANTINE, Receipt
from trunkline.errors import BatchBusyError, ConflictError, RowsRefusedError, SchemaError, SourceError, TrunklineError
from trunkline.ingest.batch import Ingested, ingest_batch
from trunkline.ingest.budget import budget_of, refuse_beyond_budget
from trunkline.ingest.committing import append_refused, lake_rows_schema, quarantined_rows
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.ingest.handfuls import Handfuls, SmallFile
from trunkline.ingest.identity import Batch, Target, batch_of
from trunkline.ingest.in_order import in_order
from trunkline.ingest.landing import Landed
from trunkline.ingest.privacy import keeps_originals
from trunkline.ingest.receipts import known_receipts, receipt_of, refusal_of, write_receipts
from trunkline.ingest.refusals import Refusals
from trunkline.lake import Lake, StagedRows, Transaction
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FileResult", "ingest_files"]

_SMALL_BYTES: Final = 4 << 20
_GROUP_BYTES: Final = 128 << 20
_GROUP_FILES: Final = 2_000
_FILE: Final = "_file"


@dataclass(frozen=True)
class FileResult:
    """What became of one of several files.

    Attributes:
        path: The file.
        ingested: Its receipt; None where nothing of it was written.
        error: Why it was refused: ``SourceError`` or ``SchemaError`` without a receipt, ``RowsRefusedError`` with one;
            without one where it went beyond the reject budget; ``BatchBusyError`` where another process takes it in.
    """

    path: Path
    ingested: Ingested | None
    error: TrunklineError | None


def ingest_files(
    paths: Sequence[Path],
    target: Target,
    *,
    lake: Lake,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
    pieces: Mapping[Path, Landed] | None = None,
    limits: IngestSettings = DEFAULT_LIMITS,
) -> Iterator[FileResult]:
    """Ingest files one after the other, small ones in groups. A bad file does not stop the others.

    Tables whose keys are unique in the table (``Table(unique="table")``) take their files one by one, because each file
    is compared with what the ones before it left; so do tables with references or a limit of malformed values.

    Args:
        paths: Files of known forms.
        target: Where they go.
        lake: The lake, with its engine.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name, from the user; for all files.
        pieces: The pieces in the landing zone of those files that are.
        limits: As for one file.

    Yields:
        One result per path, in their order. A group's results come when it is committed.

    Raises:
        UnavailableError: The store refused; results that were given are written, and the rest can be handed in again.
        BusyError: Another writer held a table for too long.
    """

    def alone(path: Path) -> FileResult:
        piece = (pieces or {}).get(path)
        try:
            batch = batch_of(path, target, run_id=run_id, clock=clock, mapping=mapping, piece=piece, limits=limits)
            done = ingest_batch(path, batch, lake=lake, clock=clock, limits=limits)
        except (SourceError, SchemaError, RowsRefusedError, BatchBusyError) as error:
            return FileResult(path, None, error)
        return FileResult(path, done, refusal_of(done.receipt))

    said = target.contract.table
    budget = budget_of(said, limits.reject_budget)
    is_alone = (
        said.unique == "table"
        or bool(said.references)
        or said.most_malformed is not None
        or keeps_originals(target.contract)
    )
    group: list[Path] = []
    size = 0

    def grouped() -> Iterator[FileResult]:
        if len(group) == 1:
            yield alone(group[0])
        elif group:
            some = _Group(tuple(group), target, lake, run_id, clock, mapping, pieces or {}, limits, budget, alone)
            yield from some.results()
        group.clear()

    for path in paths:
        length = _size(path)
        if length > _SMALL_BYTES or is_alone:
            yield from grouped()
            size = 0
            yield alone(path)
            continue
        group.append(path)
        size += length
        if size >= _GROUP_BYTES or len(group) >= _GROUP_FILES:
            yield from grouped()
            size = 0
    yield from grouped()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # whoever opens it says what is wrong


@dataclass
class _Group:
    """Some small files on their way into the lake."""

    paths: Sequence[Path]
    target: Target
    lake: Lake
    run_id: str
    clock: Callable[[], datetime]
    mapping: Mapping[str, str] | None
    pieces: Mapping[Path, Landed]
    limits: IngestSettings
    budget: float | None
    alone: Callable[[Path], FileResult]

    def results(self) -> Iterator[FileResult]:
        """Take the files in; gives their results in order."""
        try:
            found, large = self._taken()
        except ConflictError:  # another process is taking some of the same files: then no commit can be shared
            yield from map(self.alone, self.paths)
            return
        for place, path in enumerate(self.paths):
            yield self.alone(path) if place in large else found[place]

    def _taken(self) -> tuple[dict[int, FileResult], set[int]]:
        """Gives the results by place, and the places of files that turned out to be large."""
        lake, target = self.lake, self.target
        found: dict[int, FileResult] = {}
        large: set[int] = set()
        batches = self._batches(found)
        known = known_receipts(lake, [batch.batch_id for batch in batches.values()])
        first_of: dict[str, int] = {}
        fresh: dict[int, SmallFile] = {}
        for place, batch in batches.items():
            receipt = known.get(batch.batch_id)
            if receipt is not None:
                found[place] = FileResult(self.paths[place], Ingested(receipt, known=True), refusal_of(receipt))
            elif first_of.setdefault(batch.batch_id, place) == place:
                path = self.paths[place]
                fresh[place] = SmallFile(path, batch, _size(path))
        # parts of a group that was killed; each of them is completed by itself
        rows, refused = (
            lake.transaction_versions(table, [self._app_id(one.batch, what) for one in fresh.values()])
            for table, what in ((target.table, "rows"), (QUARANTINE, "quarantine"))
        )
        for place, one in list(fresh.items()):
            if self._app_id(one.batch, "rows") in rows or self._app_id(one.batch, "quarantine") in refused:
                del fresh[place]
                large.add(place)
        with lake.staged(target.table, lake_rows_schema(target.contract)) as staged:
            self._judged(fresh, staged, found=found, large=large)
            staged.finish()
            self._refuse_beyond_budget(fresh, staged, found=found)
            whole = {place: one for place, one in fresh.items() if place not in found and place not in large}
            receipts = self._committed(whole, staged)
        for place, receipt in receipts.items():
            found[place] = FileResult(self.paths[place], Ingested(receipt, known=False), refusal_of(receipt))
        for place, batch in batches.items():
            first = first_of.get(batch.batch_id, place)
            if place not in found and place not in large:  # the content of an earlier file of this group
                if first in large:
                    large.add(place)
                    continue
                told = found[first]
                ingested = None if told.ingested is None else Ingested(told.ingested.receipt, known=True)
                found[place] = FileResult(self.paths[place], ingested, told.error)
        return found, large

    def _refuse_beyond_budget(
        self, fresh: Mapping[int, SmallFile], staged: StagedRows, *, found: dict[int, FileResult]
    ) -> None:
        """Take the files out again of which too many rows are bad."""
        import pyarrow as pa

        gone = []
        for place, one in fresh.items():
            try:
                refuse_beyond_budget(
                    one.read, one.read - one.good, one.reasons, budget=self.budget, where=one.batch.source
                )
            except RowsRefusedError as error:
                found[place] = FileResult(one.path, None, error)
                gone.append(one.batch.batch_id)
        if gone:
            staged.drop(pa.array(gone, pa.string()), column="_batch_id")

    def _batches(self, found: dict[int, FileResult]) -> dict[int, Batch]:
        batches = {}
        for place, path in enumerate(self.paths):
            try:
                batches[place] = batch_of(
                    path,
                    self.target,
                    run_id=self.run_id,
                    clock=self.clock,
                    mapping=self.mapping,
                    piece=self.pieces.get(path),
                    limits=self.limits,
                )
            except SourceError as error:
                found[place] = FileResult(path, None, error)
        return batches

    @staticmethod
    def _app_id(batch: Batch, what: str) -> str:
        return (batch.rows_transaction if what == "rows" else batch.quarantine_transaction).app_id

    def _judged(
        self, fresh: Mapping[int, SmallFile], staged: StagedRows, *, found: dict[int, FileResult], large: set[int]
    ) -> None:
        """Judge the rows of all files, and stage the good ones."""
        handfuls = Handfuls(self.target, lake=self.lake, mapping=self.mapping, limits=self.limits, staged=staged)
        with closing(in_order(handfuls.of(fresh.values()), handfuls.take, threads=self.lake.engine.threads)) as taken:
            for _ in taken:
                pass
        for place, one in fresh.items():
            if one.is_large:
                large.add(place)
            elif one.error is not None:
                found[place] = FileResult(one.path, None, one.error)

    def _committed(self, whole: Mapping[int, SmallFile], staged: StagedRows) -> dict[int, Receipt]:
        """Commit quarantine, rows and receipts of the group."""
        lake, table = self.lake, self.target.table
        if not whole:
            return {}
        point("ingest.before_quarantine")
        refused = [one for one in whole.values() if one.malformed or one.refused]
        if refused:
            append_refused(
                lake,
                _quarantine(refused),
                [one.batch.quarantine_transaction for one in refused],
                contract=self.target.contract,
            )
        point("ingest.after_quarantine")
        version = None
        if staged.rows:
            taken: list[Transaction] = [one.batch.rows_transaction for one in whole.values() if one.accepted]
            version = lake.append_staged(table, staged, transaction=taken, metadata={"run_id": self.run_id})
        point("ingest.after_rows")
        at = self.clock()
        receipts = {
            place: receipt_of(
                one.batch,
                run_id=self.run_id,
                version=version if one.accepted else None,
                read=one.read,
                good=one.good,
                accepted=one.accepted,
                reasons=one.reasons,
                absent=one.absent,
                extra=one.extra,
                finished_at=at,
            )
            for place, one in whole.items()
        }
        write_receipts(lake, [(whole[place].batch, receipt) for place, receipt in receipts.items()])
        point("ingest.after_receipt")
        return receipts


def _quarantine(refused: Iterable[SmallFile]) -> "Iterator[pa.Table]":
    for one in refused:
        lines = Refusals()
        lines.add_lines(one.malformed)
        for part in (*lines.batches(), *one.refused):
            yield quarantined_rows(part, one.batch)

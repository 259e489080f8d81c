"""A source on its way in: land what is new, take in what landed, and go on from there.

Order: land a piece (file, then record with the position), take it in (quarantine, rows, receipt), ask for the next. The
position lies with the piece, so nothing is asked for twice once it landed; a piece without a receipt is taken in
before the source is asked, so nothing is left out. Killed anywhere, the same call completes it.

A piece that cannot be taken in waits. Where rows have a key and nothing that orders their versions, the last to arrive
wins: there it stops the source, for tried again later it would overtake what came after it. Elsewhere it blocks
nothing, and neither does a piece whose rows are surely another dataset's, nor an archive whose files that can be read
went in, nor the end of a whole: what came after it stays.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from trunkline.errors import RowsRefusedError, SchemaError, SourceError, TrunklineError
from trunkline.ingest.archives import is_archive
from trunkline.ingest.batch import Ingested, Target, ingest_file
from trunkline.ingest.beside_data import Beside
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.ingest.gone import ingest_end
from trunkline.ingest.landing import Landed, Landing
from trunkline.ingest.pulled_archives import archive_fault, unpacked
from trunkline.ingest.receipts import receipt_of_piece, taken_pieces
from trunkline.ingest.sources.protocol import LedgerSource, Position, Pulled, Source
from trunkline.lake import Lake, held
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect

__all__ = ["CRASH_POINTS", "pull"]

CRASH_POINTS: Final = ("pull.before_piece", "pull.after_piece", "pull.after_ingest")
"""Points at which a drill kills a pull."""

_TOLD: Final = CsvDialect()
"""Nothing is said: the files tell."""


def pull(  # noqa: PLR0913 - what one source needs
    source: Source,
    target: Target,
    *,
    landing: Landing,
    locks: Path,
    lake: Lake,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
    limits: IngestSettings = DEFAULT_LIMITS,
    csv: CsvDialect = _TOLD,
    foreign: Callable[[Path], SchemaError | None] = lambda _: None,
    passed: Callable[[str, Beside], None] = lambda _name, _beside: None,
) -> Iterator[Ingested]:
    """Take in what landed of a source and was not taken in yet, then what is new.

    Args:
        source: The source.
        target: Where its rows go.
        landing: The landing zone of the target.
        locks: Folder for the lock that keeps a second pull of the source away.
        lake: The lake, with its engine.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name.
        limits: How long, wide and large a piece may be, and its reject budget.
        csv: What the source says of the dialect of its files.
        foreign: Looks at each piece before it is taken in, and gives the error of one whose rows are surely not the
            target's. Such a piece is passed over, and told after all others were taken in.
        passed: Told of each file of an archive that is passed over, as it surely holds no rows: its name, and what it
            is.

    Yields:
        One receipt per piece; also of a piece of which every row was refused.

    Raises:
        BusyError: Somebody else pulls the source.
        SourceError: The source is not what was declared; what landed stays. Or a piece cannot be read: it is tried
            again at the next pull. Where the order of arrival decides which row of a key is the newest, that is told
            at once and all later pieces wait; else after all others were taken in.
        SchemaError: The columns of a piece do not fit; likewise.
        RowsRefusedError: More rows of a piece broke the contract than the budget allows; likewise.
        UnavailableError: The source did not answer; what landed stays.
    """
    intake = _Intake(target, landing, lake, run_id, clock, mapping, limits.with_dialect(csv), foreign)
    name = f"pull-{target.table}-{source.name}"
    with held(locks / f"{name}.lock", what=f"source {source.name!r} of {target.table}", clock=clock):
        pieces = landing.pieces(source.name)
        for piece in _waiting(pieces, target, source.name, lake=lake):
            yield from intake.take(piece)
        landed = [piece.position for piece in pieces if piece.position is not None]
        with landing.drafts(source.name) as folder:
            for pulled in _parts(source, landed, folder=folder):
                if not pulled.path.exists():
                    raise SourceError("the source gave no file", where=f"source {source.name!r}")
                before = landing.pieces(source.name) if is_archive(pulled.path) else ()
                for part in unpacked(
                    pulled, landed=before, folder=folder / "unpacked", limits=intake.limits, passed=passed
                ):
                    point("pull.before_piece")
                    piece = landing.land(
                        source.name,
                        part.path,
                        origin=part.origin,
                        position=part.position,
                        csv=intake.limits.csv,
                        whole=pulled.whole,
                        ends=pulled.ends,
                        so_far_sha256=part.so_far_sha256,
                    )
                    point("pull.after_piece")
                    yield from intake.take(piece)
    if intake.errors:
        raise intake.errors[0]


@dataclass
class _Intake:
    """Takes the pieces of one source in; the arguments are those of :func:`pull`.

    Attributes:
        errors: Of the pieces that were passed over.
    """

    target: Target
    landing: Landing
    lake: Lake
    run_id: str
    clock: Callable[[], datetime]
    mapping: Mapping[str, str] | None
    limits: IngestSettings
    foreign: Callable[[Path], SchemaError | None]
    errors: list[TrunklineError] = field(default_factory=list)

    def take(self, piece: Landed) -> Iterator[Ingested]:
        """Take a piece in; gives nothing where it waits."""
        done = self._ended(piece) if piece.ends else self._ingested(piece)
        if done is not None:
            point("pull.after_ingest")
            yield done

    def _ended(self, piece: Landed) -> Ingested | None:
        try:
            return ingest_end(
                piece,
                self.target,
                landing=self.landing,
                lake=self.lake,
                run_id=self.run_id,
                clock=self.clock,
                mapping=self.mapping,
                limits=self.limits,
            )
        except (SourceError, SchemaError) as error:
            self.errors.append(error)  # what comes back later is newer: nothing overtakes this
            return None

    def _ingested(self, piece: Landed) -> Ingested | None:
        try:
            with self.landing.lent(piece) as path:
                if is_archive(path):
                    with self.landing.drafts(piece.source) as folder:
                        fault = archive_fault(path, folder=folder, limits=self.limits)
                    self.errors.append(fault)  # the files that can be read went in before it: it overtakes nothing
                    return None
                if (misfit := self.foreign(path)) is not None:
                    self.errors.append(misfit)  # its rows are versions of no row here: nothing overtakes them
                    return None
                return ingest_file(
                    path,
                    self.target,
                    lake=self.lake,
                    run_id=self.run_id,
                    clock=self.clock,
                    mapping=self.mapping,
                    piece=piece,
                    limits=self.limits,
                )
        except RowsRefusedError as error:
            usecase, dataset = self.target.usecase, self.target.dataset
            receipt = receipt_of_piece(self.lake, usecase=usecase, dataset=dataset, piece=piece.piece_id)
            if receipt is not None:
                return Ingested(receipt, known=False)
            self._refuse(error)  # the piece went beyond its reject budget
        except (SourceError, SchemaError) as error:
            self._refuse(error)
        return None

    def _refuse(self, error: TrunklineError) -> None:
        table = self.target.contract.table
        if table.key and table.versions_by is None:  # the order of arrival decides
            raise error
        self.errors.append(error)


def _waiting(pieces: Sequence[Landed], target: Target, source: str, *, lake: Lake) -> list[Landed]:
    """Those of the pieces that landed of a source and have no receipt."""
    if not pieces:
        return []
    done = taken_pieces(lake, usecase=target.usecase, dataset=target.dataset, source=source)
    return [piece for piece in pieces if piece.path is not None and piece.piece_id not in done]


def _parts(source: Source, landed: Sequence[Position], *, folder: Path) -> Iterator[Pulled]:
    """Ask a source for what is new, with as much of the past as it needs."""
    if isinstance(source, LedgerSource):
        return source.pull_beside(landed, folder=folder)
    return source.pull(landed[-1] if landed else None, folder=folder)

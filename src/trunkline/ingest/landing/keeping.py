"""The whole landing zone: beside finding pieces and taking them in, what retention and tidying remove."""

import shutil
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final

from trunkline.ingest.folded_records import FOLDED, write_folded
from trunkline.ingest.landing.arriving import ArrivingPieces
from trunkline.ingest.landing.records import FILES, SUFFIX, Landed, as_record
from trunkline.ingest.raw_files import full, touched_at
from trunkline.lake.locks import held
from trunkline.settings.drills import point

FOLD_POINTS: Final = ("landing.before_fold", "landing.after_fold")
"""Points at which a drill kills maintenance."""


class Landing(ArrivingPieces):
    """The landing zone of one dataset.

    Args:
        root: Its folder, named like the table.
        clock: Gives the current instant.
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether new files are encrypted.
    """

    def forget(self, *, before: datetime, taken: Collection[str], act: bool = True) -> int:
        """Remove the raw files of pieces that landed earlier.

        The records of a pulled source stay, see :meth:`fold`: their positions tell it what landed. Those of files that
        were handed over go with the files.

        Args:
            before: End of the retention.
            taken: Pieces that have a receipt; one of a pulled source that has none is still to be taken in and stays,
                and so do the parts of a whole whose end is.
            act: False only counts.

        Returns:
            Bytes that were freed.
        """
        freed = 0
        for source in self.sources():
            pieces = self.pieces(source)
            ended = max((piece.number for piece in pieces if piece.ends and piece.piece_id in taken), default=0)
            for piece in pieces:
                if piece.landed_at >= before or (piece.number and piece.piece_id not in taken):
                    continue
                if piece.whole is not None and piece.number > ended:
                    continue
                if piece.path is not None:
                    freed += piece.path.stat().st_size
                if not act:
                    continue
                if piece.path is not None:
                    piece.path.unlink()
                if not piece.number:
                    self._record_path(piece).unlink()
        return freed

    def fold(self, *, before: datetime, remembers: Callable[[Landed], datetime | None]) -> int:
        """Put the records of pieces whose raw files are gone into one file per source, and drop those nobody needs.

        The newest record of a source stays as it is, and so do those of its newest whole: its end must not take a whole
        for complete of which a part was erased. A killed fold leaves records in both places, which changes
        nothing; the next one completes it.

        Args:
            before: Pieces that landed later keep their records.
            remembers: From the newest piece of a source: when a piece must have landed for its record to be needed;
                None for all of them.

        Returns:
            Records that were folded or dropped.

        Raises:
            BusyError: Another process folds.
            TamperedError: A record is not what was written.
            UnavailableError: The disk did not take the file.
        """
        if not self.sources():
            return 0
        with held(self._root / ".fold.lock", what=f"records of {self._root.name}", clock=self._clock):
            return sum(self._fold(source, before, remembers) for source in self.sources() if source != FILES)

    def _fold(self, source: str, before: datetime, remembers: Callable[[Landed], datetime | None]) -> int:
        folder, pieces = self._folder(source), self.pieces(source)
        whole = next((piece.whole for piece in reversed(pieces) if piece.whole is not None), None)
        old = [
            piece
            for piece in pieces[:-1]
            if piece.path is None and piece.landed_at < before and (whole is None or piece.whole != whole)
        ]
        since = remembers(pieces[-1]) if pieces else None
        needed = [piece for piece in old if since is None or piece.landed_at >= since]
        single = {piece.number: path for piece in old if (path := self._record_path(piece)).exists()}
        kept = {piece.number for piece in needed}
        dropped = [piece for piece in old if piece.number not in kept and piece.number not in single]
        if not single and not dropped:
            return 0
        try:
            point("landing.before_fold")
            write_folded(folder, (as_record(piece).model_dump_json().encode() for piece in needed))
            point("landing.after_fold")
            for path in single.values():
                path.unlink()
        except OSError as error:
            raise full(folder, error) from error
        return len(single) + len(dropped)

    def discard(self, piece: Landed) -> None:
        """Take back a file that was kept and then refused: its copy and its record go."""
        self.remove(piece)
        self._record_path(piece).unlink(missing_ok=True)

    def remove(self, piece: Landed) -> int:
        """Remove the raw file of one piece; its record stays. Gives how many files went, 0 or 1."""
        if piece.path is None or not piece.path.exists():
            return 0
        piece.path.unlink()
        return 1

    def tidy(self, *, older_than: timedelta = timedelta(hours=1)) -> None:
        """Remove what killed processes left: drafts, and files without a record."""
        limit = (self._clock() - older_than).timestamp()
        for source in self.sources():
            folder = self._folder(source)
            recorded = {piece.path for piece in self.pieces(source)}
            for path in folder.iterdir():
                if path in recorded or path.suffix == SUFFIX or path.name == FOLDED:
                    continue
                last_at = touched_at(path)
                if last_at is None or last_at > limit:
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()

"""Pieces that landed: which there are, where they lie, and their files to be read.

Takes the folder of a dataset, gives pieces and, in clear, their files. Refuses records that were tampered with.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from trunkline.errors import InputError, TamperedError, UnknownNameError
from trunkline.ingest.folded_records import read_folded
from trunkline.ingest.landing.records import FILES, STEM, SUFFIX, Landed, Record, landed, read, read_if_there, stem_of
from trunkline.ingest.raw_files import full, holds, lent_file

if TYPE_CHECKING:
    from trunkline.lake import Keyring

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


class LandedPieces:
    """The part of a :class:`~trunkline.ingest.landing.Landing` that finds pieces."""

    def __init__(
        self, root: Path, *, clock: Callable[[], datetime], keys: "Keyring | None" = None, seals: bool = False
    ) -> None:
        self._root = root
        self._clock = clock
        self._keys = keys
        self.seals = seals and keys is not None

    def pieces(self, source: str) -> tuple[Landed, ...]:
        """List the pieces of a source in the order in which they landed.

        Raises:
            TamperedError: A record is not what was written.
        """
        folder = self._folder(source)
        if not folder.is_dir():
            return ()
        single = [piece for path in folder.glob(f"*{SUFFIX}") if (piece := read_if_there(path, source)) is not None]
        # after the single ones: what is folded meanwhile is in one of the two, or in both
        numbers = {piece.number for piece in single}
        found = [piece for piece in self._folded(source) if piece.number not in numbers]
        return tuple(sorted(found + single, key=lambda piece: piece.number))

    def sources(self) -> tuple[str, ...]:
        """Name the sources of which something landed, sorted."""
        return tuple(sorted(path.name for path in self._root.iterdir() if path.is_dir())) if self._root.is_dir() else ()

    def find(self, content_sha256: str) -> Landed:
        """Find a piece by its content.

        Raises:
            UnknownNameError: It never landed, or retention or an erasure took it.
        """
        own = self._folder(FILES) / f"{content_sha256[:STEM]}{SUFFIX}"
        records = [own] if own.exists() else []
        for source in self.sources():
            if source != FILES:
                records += self._folder(source).glob(f"*-{content_sha256[:STEM]}{SUFFIX}")
        for path in records:
            piece = read(path, path.parent.name)
            if piece.content_sha256 == content_sha256 and piece.path is not None:
                return piece
        raise UnknownNameError(
            "the landing zone does not hold that content",
            where=str(self._root),
            next_step="ingest the file under a new contract; retention or an erasure took the copy, if any was kept",
        )

    @contextmanager
    def lent(self, piece: Landed) -> Iterator[Path]:
        """Lend the file of a piece to be read; an encrypted one in clear, until the block is left.

        Raises:
            UnknownNameError: Retention has taken it.
            InputError: The keys cannot be read.
            TamperedError: A key is lost, or the file was changed, cut or exchanged.
            UnavailableError: The disk did not take the clear file.
        """
        if piece.path is None:
            raise UnknownNameError("the raw copy is gone", where=piece.piece_id)
        if not piece.is_sealed:
            yield piece.path
            return
        if self._keys is None:
            raise InputError("the raw copy is encrypted, and there are no keys", where=str(piece.path))
        bound = self._bound(piece.source, piece.number, piece.content_sha256)
        with ExitStack() as stack:
            try:
                path = stack.enter_context(lent_file(piece.path, self._keys, bound=bound))
            except OSError as error:
                raise full(piece.path, error) from error
            yield path

    def refuse_changed(self, piece: Landed) -> None:
        """Refuse a raw copy that is not what landed; an encrypted one tells so itself when it is lent.

        Raises:
            TamperedError: Its bytes are not those whose hash was recorded.
            UnavailableError: It cannot be read.
        """
        if piece.path is None or piece.is_sealed:
            return
        try:
            is_whole = holds(piece.path, piece.content_sha256)
        except OSError as error:
            raise full(piece.path, error) from error
        if not is_whole:
            raise TamperedError(
                "the raw copy is not what landed: its content does not have the hash that was recorded",
                where=str(piece.path),
                next_step="restore the file from a backup; nothing was changed",
            )

    def _folded(self, source: str) -> list[Landed]:
        folder = self._folder(source)
        try:
            records = [Record.model_validate_json(line) for line in read_folded(folder)]
        except ValidationError as error:
            raise TamperedError(
                "the folded records of the landing zone are damaged", where=str(folder), next_step="restore the file"
            ) from error
        return [landed(record, folder=folder, source=source) for record in records]

    def _bound(self, source: str, number: int, content: str) -> str:
        """What an encrypted file is bound to."""
        return f"landing zone of {self._root.name}|{source}|{number}|{content}"

    def _folder(self, source: str) -> Path:
        if not _NAME.fullmatch(source):
            raise InputError(
                f"{source[:40]!r} cannot be a source's name",
                allowed=("lower-case letters, digits, _ and -, at most 60",),
            )
        return self._root / source

    def _record_path(self, piece: Landed) -> Path:
        return self._folder(piece.source) / f"{stem_of(piece.number, piece.content_sha256)}{SUFFIX}"

"""The landing zone: every raw piece as it came, unchanged, so that it can be taken in again.

A piece is a file and, beside it, a record of where it came from. The record is written last, by one rename: a piece
has landed when its record is there, and a file without one is removed by :meth:`Landing.tidy`. Pieces of a pulled
source are numbered and carry the position from which the source goes on, so the landing zone is the write-ahead log of
every such source: what landed is taken in before anything more is asked for. Files that were handed over by their path
are kept by content, each once.

Where a contract protects personal data, the files are encrypted, each bound to what it is; :meth:`Landing.lent` gives
them in clear for as long as they are read.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from trunkline.errors import InputError, TamperedError, UnknownNameError
from trunkline.ingest.folded_records import FOLDED, read_folded, write_folded
from trunkline.ingest.raw import unreadable
from trunkline.ingest.raw_files import SEALED, blocks, full, lent_file, touched_at, written
from trunkline.lake.locks import held
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    from trunkline.lake import Keyring

__all__ = ["CRASH_POINTS", "FILES", "FOLD_POINTS", "Landed", "Landing"]

CRASH_POINTS: Final = ("landing.before_file", "landing.after_file", "landing.after_record")
"""Points at which a drill kills an ingestion."""

FOLD_POINTS: Final = ("landing.before_fold", "landing.after_fold")
"""Points at which a drill kills maintenance."""

FILES: Final = "files"
"""Name of the source of files that were handed over by their path."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_COMPACT: Final = frozenset((".gz", ".bz2", ".zst", ".zip", ".parquet", ".avro", ".xlsx", ".xls", ".xlsb", ".ods"))
_ANY_RATIO: Final = 1 << 40
_SUFFIX: Final = ".piece-record"  # JSON; no piece can have it, see _suffixes
_STEM: Final = 16


class _Record(BaseModel, frozen=True):
    """What stands beside a piece."""

    number: int
    file: str
    content_sha256: str
    origin: str
    landed_at: AwareDatetime
    position: Mapping[str, str | int | float | bool | None] | None


class Landed(BaseModel, frozen=True):
    """A piece in the landing zone.

    Attributes:
        source: The source's name.
        number: 1 is the first piece of a pulled source; 0 a file that was handed over.
        path: The file as it is kept, perhaps compressed and encrypted; None when retention has taken it.
        content_sha256: Hash of the raw bytes, before compression.
        origin: Where it came from.
        landed_at: When, UTC.
        position: Where the source goes on after it; None for a file that was handed over.
    """

    source: str
    number: int
    path: Path | None
    content_sha256: str
    origin: str
    landed_at: AwareDatetime
    position: Mapping[str, str | int | float | bool | None] | None

    @property
    def is_packed_here(self) -> bool:
        """Whether the copy was compressed here: then how far it unpacks says nothing against its source."""
        if self.path is None or self.origin.lower().endswith(".zst"):
            return False
        return self.path.name.removesuffix(SEALED).endswith(".zst")

    @property
    def is_sealed(self) -> bool:
        """Whether the copy is encrypted."""
        return self.path is not None and self.path.suffix == SEALED

    def limits_of(self, limits: IngestSettings) -> IngestSettings:
        """The limits under which the copy is read: those of its source."""
        return limits.model_copy(update={"max_expanded_ratio": _ANY_RATIO}) if self.is_packed_here else limits

    @property
    def piece_id(self) -> str:
        """Names the piece in receipts."""
        return f"{self.source}/{self.number or self.content_sha256[:16]}"


class Landing:
    """The landing zone of one dataset.

    Args:
        root: Its folder, named like the table.
        clock: Gives the current instant.
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether new files are encrypted.
    """

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
        single = [piece for path in folder.glob(f"*{_SUFFIX}") if (piece := _read_if_there(path, source)) is not None]
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
            UnknownNameError: It never landed, or retention took it.
        """
        own = self._folder(FILES) / f"{content_sha256[:_STEM]}{_SUFFIX}"
        records = [own] if own.exists() else []
        for source in self.sources():
            if source != FILES:
                records += self._folder(source).glob(f"*-{content_sha256[:_STEM]}{_SUFFIX}")
        for path in records:
            piece = _read(path, path.parent.name)
            if piece.content_sha256 == content_sha256 and piece.path is not None:
                return piece
        raise UnknownNameError(
            "the landing zone does not hold that content",
            where=str(self._root),
            next_step="ingest the file itself again; retention may have taken the copy, or none was kept",
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

    @contextmanager
    def drafts(self, source: str) -> Iterator[Path]:
        """Lend an empty folder on the same file system; what is in it at the end is removed."""
        folder = self._folder(source)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=folder) as name:
            yield Path(name)

    def land(self, source: str, path: Path, *, origin: str, position: Mapping[str, object]) -> Landed:
        """Move a whole file in as the next piece of a source. One at a time per source.

        Args:
            source: The source's name.
            path: A file on the landing zone's file system (see :meth:`drafts`).
            origin: Where it came from, without secrets.
            position: Where the source goes on after it.

        Raises:
            UnavailableError: The disk did not take it.
        """
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        names = (name for name in os.listdir(self._folder(source)) if name.endswith(_SUFFIX))  # noqa: PTH208 - many
        number = 1 + max((int(name.partition("-")[0]) for name in names), default=0)
        kept = self._sealed(path, bound=self._bound(source, number, content)) if self.seals else path
        return self._settle(
            source, kept, name=path.name, number=number, content=content, origin=origin, position=position
        )

    def keep(self, path: Path) -> Landed:
        """Copy a file that was handed over, compressed unless it is already; the same content is kept once.

        Returns:
            The piece, of an earlier call where the content is known.

        Raises:
            SourceError: The file is missing or unreadable.
            UnavailableError: The disk did not take it.
        """
        name = path.name if path.suffix.lower() in _COMPACT else f"{path.name}.zst"
        with self.drafts(FILES) as folder:
            copy = folder / "copy"
            digest = hashlib.sha256()
            try:
                stream = path.open("rb")
            except OSError as error:
                raise unreadable(path, error) from error
            keys = self._keys if self.seals else None
            with stream, written(copy, plain=name == path.name, keys=keys) as writing:
                for block in blocks(stream, path):
                    digest.update(block)
                    writing.write(block)
                content = digest.hexdigest()
                writing.bound = self._bound(FILES, 0, content)
            record = self._folder(FILES) / f"{content[:_STEM]}{_SUFFIX}"
            if record.exists():
                piece = _read(record, FILES)
                if piece.content_sha256 == content and piece.path is not None:
                    return piece
            return self._settle(FILES, copy, name=name, number=0, content=content, origin=str(path), position=None)

    def forget(self, *, before: datetime, taken: Collection[str], act: bool = True) -> int:
        """Remove the raw files of pieces that landed earlier.

        The records of a pulled source stay, see :meth:`fold`: their positions tell it what landed. Those of files that
        were handed over go with the files.

        Args:
            before: End of the retention.
            taken: Pieces that have a receipt; one of a pulled source that has none is still to be taken in and stays.
            act: False only counts.

        Returns:
            Bytes that were freed.
        """
        freed = 0
        for source in self.sources():
            for piece in self.pieces(source):
                if piece.landed_at >= before or (piece.number and piece.piece_id not in taken):
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

        The newest record of a source stays as it is. A killed fold leaves records in both places, which changes
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
        old = [piece for piece in pieces[:-1] if piece.path is None and piece.landed_at < before]
        since = remembers(pieces[-1]) if pieces else None
        needed = [piece for piece in old if since is None or piece.landed_at >= since]
        single = {piece.number: path for piece in old if (path := self._record_path(piece)).exists()}
        kept = {piece.number for piece in needed}
        dropped = [piece for piece in old if piece.number not in kept and piece.number not in single]
        if not single and not dropped:
            return 0
        try:
            point("landing.before_fold")
            write_folded(folder, (_as_record(piece).model_dump_json().encode() for piece in needed))
            point("landing.after_fold")
            for path in single.values():
                path.unlink()
        except OSError as error:
            raise full(folder, error) from error
        return len(single) + len(dropped)

    def _folded(self, source: str) -> list[Landed]:
        folder = self._folder(source)
        try:
            records = [_Record.model_validate_json(line) for line in read_folded(folder)]
        except ValidationError as error:
            raise TamperedError(
                "the folded records of the landing zone are damaged", where=str(folder), next_step="restore the file"
            ) from error
        return [_landed(record, folder=folder, source=source) for record in records]

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
                if path in recorded or path.suffix == _SUFFIX or path.name == FOLDED:
                    continue
                last_at = touched_at(path)
                if last_at is None or last_at > limit:
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _settle(
        self,
        source: str,
        path: Path,
        *,
        name: str,
        number: int,
        content: str,
        origin: str,
        position: Mapping[str, object] | None,
    ) -> Landed:
        folder = self._folder(source)
        stem = _stem(number, content)
        target = folder / f"{stem}{''.join(_suffixes(name))}{SEALED if self.seals else ''}"
        point("landing.before_file")
        try:
            record = _Record(
                number=number,
                file=target.name,
                content_sha256=content,
                origin=origin,
                landed_at=self._clock(),
                position=position,  # type: ignore[arg-type]  # validated by the model
            )
            path.replace(target)
            point("landing.after_file")
            part = folder / f".{stem}.part"
            part.write_text(record.model_dump_json(), encoding="utf-8")
            part.replace(folder / f"{stem}{_SUFFIX}")
        except OSError as error:
            raise full(folder, error) from error
        point("landing.after_record")
        return _landed(record, folder=folder, source=source)

    def _bound(self, source: str, number: int, content: str) -> str:
        """What an encrypted file is bound to."""
        return f"landing zone of {self._root.name}|{source}|{number}|{content}"

    def _sealed(self, path: Path, *, bound: str) -> Path:
        """Encrypt a draft; the one in clear goes."""
        sealed = path.with_name(f"{path.name}{SEALED}")
        with path.open("rb") as stream, written(sealed, plain=True, keys=self._keys) as writing:
            for block in blocks(stream, path):
                writing.write(block)
            writing.bound = bound
        path.unlink()
        return sealed

    def _folder(self, source: str) -> Path:
        if not _NAME.fullmatch(source):
            raise InputError(
                f"{source[:40]!r} cannot be a source's name",
                allowed=("lower-case letters, digits, _ and -, at most 60",),
            )
        return self._root / source

    def _record_path(self, piece: Landed) -> Path:
        return self._folder(piece.source) / f"{_stem(piece.number, piece.content_sha256)}{_SUFFIX}"


def _suffixes(name: str) -> list[str]:
    """The suffixes that tell a file's form: at most two, short."""
    return [suffix.lower() for suffix in Path(name).suffixes[-2:] if len(suffix) <= 8 and suffix[1:].isalnum()]


def _stem(number: int, content: str) -> str:
    """The name of a piece: by number and content where pieces have an order, else by content."""
    return f"{number:010d}-{content[:_STEM]}" if number else content[:_STEM]


def _read(path: Path, source: str) -> Landed:
    try:
        record = _Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TamperedError(
            "a record of the landing zone is damaged",
            where=str(path),
            next_step="restore it, or remove it and its file",
        ) from error
    return _landed(record, folder=path.parent, source=source)


def _read_if_there(path: Path, source: str) -> Landed | None:
    """Read a record; None where it was folded since it was listed."""
    try:
        return _read(path, source)
    except TamperedError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _as_record(piece: Landed) -> _Record:
    """The record of a piece whose raw file is gone."""
    return _Record(
        number=piece.number,
        file="",
        content_sha256=piece.content_sha256,
        origin=piece.origin,
        landed_at=piece.landed_at,
        position=piece.position,
    )


def _landed(record: _Record, *, folder: Path, source: str) -> Landed:
    file = folder / record.file if record.file else None
    return Landed(
        source=source,
        number=record.number,
        path=file if file is not None and file.exists() else None,
        content_sha256=record.content_sha256,
        origin=record.origin,
        landed_at=record.landed_at,
        position=record.position,
    )

"""The landing zone: every raw piece as it came, unchanged, so that it can be taken in again.

A piece is a file and, beside it, a record of where it came from. The record is written last, by one rename: a piece
has landed when its record is there, and a file without one is removed by :meth:`Landing.tidy`. Pieces of a pulled
source are numbered and carry the position from which the source goes on, so the landing zone is the write-ahead log of
every such source: what landed is taken in before anything more is asked for. Files that were handed over by their path
are kept by content, each once.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from trunkline.errors import InputError, TamperedError, UnavailableError, UnknownNameError
from trunkline.ingest.raw import unreadable
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

__all__ = ["CRASH_POINTS", "FILES", "Landed", "Landing"]

CRASH_POINTS: Final = ("landing.before_file", "landing.after_file", "landing.after_record")
"""Points at which a drill kills an ingestion."""

FILES: Final = "files"
"""Name of the source of files that were handed over by their path."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_COMPACT: Final = frozenset((".gz", ".bz2", ".zst", ".zip", ".parquet", ".avro", ".xlsx", ".xls", ".xlsb", ".ods"))
_BLOCK_BYTES: Final = 4 << 20
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
        path: The file as it is kept, perhaps compressed; None when retention has taken it.
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
        return self.path is not None and self.path.suffix == ".zst" and not self.origin.lower().endswith(".zst")

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
        root: Its folder.
        clock: Gives the current instant.
    """

    def __init__(self, root: Path, *, clock: Callable[[], datetime]) -> None:
        self._root = root
        self._clock = clock

    def pieces(self, source: str) -> tuple[Landed, ...]:
        """List the pieces of a source in the order in which they landed.

        Raises:
            TamperedError: A record is not what was written.
        """
        folder = self._folder(source)
        if not folder.is_dir():
            return ()
        found = [_read(path, source) for path in folder.glob(f"*{_SUFFIX}")]
        return tuple(sorted(found, key=lambda piece: piece.number))

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
        return self._settle(
            source, path, name=path.name, number=number, content=content, origin=origin, position=position
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
            with stream, _packed(copy, plain=name == path.name) as write:
                for block in _blocks(stream, path):
                    digest.update(block)
                    write(block)
            content = digest.hexdigest()
            record = self._folder(FILES) / f"{content[:_STEM]}{_SUFFIX}"
            if record.exists():
                piece = _read(record, FILES)
                if piece.content_sha256 == content and piece.path is not None:
                    return piece
            return self._settle(FILES, copy, name=name, number=0, content=content, origin=str(path), position=None)

    def forget(self, *, before: datetime, taken: Collection[str]) -> int:
        """Remove the raw files of pieces that landed earlier.

        The records of a pulled source stay: their positions tell it what landed, and they are small. Those of files
        that were handed over go with the files.

        Args:
            before: End of the retention.
            taken: Pieces that have a receipt; one of a pulled source that has none is still to be taken in and stays.

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
                    piece.path.unlink()
                if not piece.number:
                    self._record_path(piece).unlink()
        return freed

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
                if path in recorded or path.suffix == _SUFFIX:
                    continue
                touched_at = _touched_at(path)
                if touched_at is None or touched_at > limit:
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
        target = folder / f"{stem}{''.join(_suffixes(name))}"
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
            raise _full(folder, error) from error
        point("landing.after_record")
        return _landed(record, folder=folder, source=source)

    def _folder(self, source: str) -> Path:
        if not _NAME.fullmatch(source):
            raise InputError(
                f"{source[:40]!r} cannot be a source's name",
                allowed=("lower-case letters, digits, _ and -, at most 60",),
            )
        return self._root / source

    def _record_path(self, piece: Landed) -> Path:
        return self._folder(piece.source) / f"{_stem(piece.number, piece.content_sha256)}{_SUFFIX}"


def _touched_at(path: Path) -> float | None:
    """Give the newest time of change in a file or folder, seconds since 1970; None where it cannot be told.

    A folder's own time stands still while a file in it grows.
    """
    try:
        newest = path.lstat().st_mtime
        if path.is_dir():
            for folder, folders, files in os.walk(path, onerror=_raised):
                newest = max([newest, *(os.lstat(Path(folder, name)).st_mtime for name in (*folders, *files))])
    except OSError:
        return None
    return newest


def _raised(error: OSError) -> None:
    raise error


def _blocks(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def _packed(copy: Path, *, plain: bool) -> Iterator[Callable[[bytes], object]]:
    """Write a file, compressed unless it is to be plain."""
    import pyarrow as pa

    try:
        with copy.open("wb") as out:
            if plain:
                yield out.write
            else:
                with pa.CompressedOutputStream(out, "zstd") as packed:
                    yield packed.write
    except OSError as error:
        raise _full(copy.parent, error) from error


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


def _landed(record: _Record, *, folder: Path, source: str) -> Landed:
    file = folder / record.file
    return Landed(
        source=source,
        number=record.number,
        path=file if file.exists() else None,
        content_sha256=record.content_sha256,
        origin=record.origin,
        landed_at=record.landed_at,
        position=record.position,
    )


def _full(where: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"the landing zone did not take a file: {error.strerror}",
        where=str(where),
        next_step="make room on the disk; nothing was lost, the next call tries again",
    )

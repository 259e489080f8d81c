"""What is known of a piece, and the record beside it: one JSON document, written last.

Takes the path of a record, gives the piece. Refuses a record that is not what was written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from trunkline.errors import TamperedError
from trunkline.ingest.raw_files import SEALED
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect

__all__ = [
    "FILES",
    "REPLAYS",
    "STEM",
    "SUFFIX",
    "Landed",
    "Record",
    "as_record",
    "landed",
    "read",
    "read_if_there",
    "stem_of",
]

FILES: Final = "files"
"""Name of the source of files that were handed over by their path."""

REPLAYS: Final = "replay-"
"""Begin of the names of sources whose pieces are rows of a batch that were handed in again; the batch follows."""

SUFFIX: Final = ".piece-record"
"""Suffix of a record, which is JSON; no piece can have it."""

STEM: Final = 16
"""Digits of the content's hash in a piece's name."""

_ANY_RATIO: Final = 1 << 40


class Record(BaseModel, frozen=True):
    """What stands beside a piece; the fields are those of :class:`Landed`, and ``file`` is empty where it is gone."""

    number: int
    file: str
    content_sha256: str
    size_bytes: int | None = None
    origin: str
    landed_at: AwareDatetime
    position: Mapping[str, str | int | float | bool | None] | None
    csv: CsvDialect | None = None
    whole: str | None = None
    ends: bool = False
    so_far_sha256: str | None = None


class Landed(BaseModel, frozen=True):
    """A piece in the landing zone.

    Attributes:
        source: The source's name.
        number: 1 is the first piece of a pulled source; 0 a file that was handed over.
        path: The file as it is kept, perhaps compressed and encrypted; None when retention has taken it.
        content_sha256: Hash of the raw bytes, before compression.
        size_bytes: How many they are; None in records of versions that did not note it.
        origin: Where it came from.
        landed_at: When, UTC.
        position: Where the source goes on after it; None for a file that was handed over.
        csv: What was said of the dialect of CSV files when it was last handed in, by its source or the settings; None
            in records of versions that did not note it where only the settings said something, and of pieces that
            are gone.
        whole: The whole that it is a part of; see :class:`~trunkline.ingest.sources.Pulled`.
        ends: Whether the whole is complete with it.
        so_far_sha256: Of a file of an archive: names and content of its files up to this one, hashed, where more of
            what the source gave was to come; else None.
    """

    source: str
    number: int
    path: Path | None
    content_sha256: str
    size_bytes: int | None = None
    origin: str
    landed_at: AwareDatetime
    position: Mapping[str, str | int | float | bool | None] | None
    csv: CsvDialect | None = None
    whole: str | None = None
    ends: bool = False
    so_far_sha256: str | None = None

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

    def dialect_of(self, limits: IngestSettings) -> IngestSettings:
        """Limits with the dialect in which the copy was read, whatever the settings say by now."""
        return limits if self.csv is None else limits.model_copy(update={"csv": self.csv})

    @property
    def piece_id(self) -> str:
        """Names the piece in receipts."""
        return f"{self.source}/{self.number or self.content_sha256[:16]}"


def stem_of(number: int, content: str) -> str:
    """The name of a piece: by number and content where pieces have an order, else by content."""
    return f"{number:010d}-{content[:STEM]}" if number else content[:STEM]


def read(path: Path, source: str) -> Landed:
    """Read a record.

    Raises:
        TamperedError: It is missing, unreadable, or not what was written.
    """
    try:
        record = Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TamperedError(
            "a record of the landing zone is damaged",
            where=str(path),
            next_step="restore it, or remove it and its file",
        ) from error
    return landed(record, folder=path.parent, source=source)


def read_if_there(path: Path, source: str) -> Landed | None:
    """Read a record; None where it was folded since it was listed.

    Raises:
        TamperedError: It is unreadable, or not what was written.
    """
    try:
        return read(path, source)
    except TamperedError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def as_record(piece: Landed) -> Record:
    """The record of a piece whose raw file is gone."""
    return Record(
        number=piece.number,
        file="",
        content_sha256=piece.content_sha256,
        size_bytes=piece.size_bytes,
        origin=piece.origin,
        landed_at=piece.landed_at,
        position=piece.position,
        whole=piece.whole,
        ends=piece.ends,
        so_far_sha256=piece.so_far_sha256,
    )


def landed(record: Record, *, folder: Path, source: str) -> Landed:
    """The piece of a record, with its file where that is still there."""
    file = folder / record.file if record.file else None
    path = file if file is not None and file.exists() else None
    return Landed(
        source=source,
        number=record.number,
        path=path,
        content_sha256=record.content_sha256,
        size_bytes=record.size_bytes,
        origin=record.origin,
        landed_at=record.landed_at,
        position=record.position,
        csv=record.csv if path is not None else None,
        whole=record.whole,
        ends=record.ends,
        so_far_sha256=record.so_far_sha256,
    )

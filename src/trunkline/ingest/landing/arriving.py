"""Files on their way in: moved or copied, compressed, encrypted, and made pieces by their records.

A piece is settled by two renames, first its file, then its record: killed in between, it never landed.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trunkline.files import replacing
from trunkline.ingest.byte_stream import PACKINGS
from trunkline.ingest.landing.records import FILES, STEM, SUFFIX, Landed, Record, landed, read, stem_of
from trunkline.ingest.landing.zone import LandedPieces
from trunkline.ingest.raw import told_suffixes, unreadable
from trunkline.ingest.raw_files import SEALED, blocks, full, written
from trunkline.settings.drills import point
from trunkline.spec.dialect import CsvDialect

CRASH_POINTS: Final = ("landing.before_file", "landing.after_file", "landing.after_record")
"""Points at which a drill kills an ingestion."""

_TOLD: Final = CsvDialect()
_COMPACT: Final = frozenset((*PACKINGS, ".parquet", ".avro", ".xlsx", ".xls", ".xlsb", ".ods"))


class ArrivingPieces(LandedPieces):
    """The part of a :class:`~trunkline.ingest.landing.Landing` that takes files in."""

    @contextmanager
    def drafts(self, source: str) -> Iterator[Path]:
        """Lend an empty folder on the same file system; what is in it at the end is removed."""
        folder = self._folder(source)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=folder) as name:
            yield Path(name)

    def land(
        self,
        source: str,
        path: Path,
        *,
        origin: str,
        position: Mapping[str, object] | None,
        csv: CsvDialect = _TOLD,
        whole: str | None = None,
        ends: bool = False,
        so_far_sha256: str | None = None,
    ) -> Landed:
        """Move a whole file in as the next piece of a source. One at a time per source.

        Args:
            source: The source's name.
            path: A file on the landing zone's file system (see :meth:`drafts`).
            origin: Where it came from, without secrets.
            position: Where the source goes on after it.
            csv: What is said of the dialect of CSV files, by the source or the settings.
            whole: The whole that it is a part of; see :class:`~trunkline.ingest.sources.Pulled`.
            ends: Whether the whole is complete with it.
            so_far_sha256: The files of its archive up to it, where more is to come; see :class:`Landed`.

        Raises:
            UnavailableError: The disk did not take it.
        """
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
        names = (name for name in os.listdir(self._folder(source)) if name.endswith(SUFFIX))  # noqa: PTH208 - many
        number = 1 + max((int(name.partition("-")[0]) for name in names), default=0)
        kept = self._sealed(path, bound=self._bound(source, number, content)) if self.seals else path
        record = Record(
            number=number,
            file="",  # named when it is settled
            content_sha256=content,
            size_bytes=size,
            origin=origin,
            landed_at=self._clock(),
            position=position,  # type: ignore[arg-type]  # validated by the model
            csv=csv,
            whole=whole,
            ends=ends,
            so_far_sha256=so_far_sha256,
        )
        return self._settle(source, kept, record, name=path.name)

    def keep(
        self,
        path: Path,
        *,
        origin: str | None = None,
        csv: CsvDialect = _TOLD,
        unless: Callable[[Landed], bool] = lambda _piece: False,
    ) -> Landed:
        """Copy a file that was handed over, compressed unless it is already; the same content is kept once.

        Args:
            path: The file.
            origin: What it was unpacked from, as people name it; None where it is what was handed over.
            csv: What is said of the dialect of CSV files; a piece of an earlier call notes it from now on.
            unless: Asked of content that has no copy, by the piece without its path: True leaves it without one.

        Returns:
            The piece, of an earlier call where the content is known; without a path where it was not to be kept.

        Raises:
            SourceError: The file is missing or unreadable.
            UnavailableError: The disk did not take it.
        """
        name = path.name if path.suffix.lower() in _COMPACT else f"{path.name}.zst"
        with self.drafts(FILES) as folder:
            copy = folder / "copy"
            digest, size = hashlib.sha256(), 0
            try:
                stream = path.open("rb")
            except OSError as error:
                raise unreadable(path, error) from error
            keys = self._keys if self.seals else None
            with stream, written(copy, plain=name == path.name, keys=keys) as writing:
                for block in blocks(stream, path):
                    digest.update(block)
                    size += len(block)
                    writing.write(block)
                content = digest.hexdigest()
                writing.bound = self._bound(FILES, 0, content)
            record = self._folder(FILES) / f"{content[:STEM]}{SUFFIX}"
            if record.exists():
                piece = read(record, FILES)
                if piece.content_sha256 == content and piece.path is not None:
                    is_noted = piece.csv is not None and piece.csv.said == csv.said
                    return piece if is_noted else self._renoted(record, csv)
            told = Record(
                number=0,
                file="",
                content_sha256=content,
                size_bytes=size,
                origin=origin or str(path),
                landed_at=self._clock(),
                position=None,
                csv=csv,
            )
            uncopied = landed(told, folder=folder, source=FILES)
            return uncopied if unless(uncopied) else self._settle(FILES, copy, told, name=name)

    def _renoted(self, path: Path, csv: CsvDialect) -> Landed:
        """Note another dialect of a piece: an erasure reads it as it was read last."""
        record = Record.model_validate_json(path.read_bytes()).model_copy(update={"csv": csv})
        with replacing(path) as part:
            part.write_text(record.model_dump_json(exclude_unset=True), encoding="utf-8")
        return landed(record, folder=path.parent, source=FILES)

    def _settle(self, source: str, path: Path, record: Record, *, name: str) -> Landed:
        folder = self._folder(source)
        stem = stem_of(record.number, record.content_sha256)
        target = folder / f"{stem}{''.join(told_suffixes(name))}{SEALED if self.seals else ''}"
        record = record.model_copy(update={"file": target.name})
        point("landing.before_file")
        try:
            path.replace(target)
            point("landing.after_file")
            with replacing(folder / f"{stem}{SUFFIX}") as part:
                part.write_text(record.model_dump_json(exclude_unset=True), encoding="utf-8")
        except OSError as error:
            raise full(folder, error) from error
        point("landing.after_record")
        return landed(record, folder=folder, source=source)

    def _sealed(self, path: Path, *, bound: str) -> Path:
        """Encrypt a draft; the one in clear goes."""
        sealed = path.with_name(f"{path.name}{SEALED}")
        with path.open("rb") as stream, written(sealed, plain=True, keys=self._keys) as writing:
            for block in blocks(stream, path):
                writing.write(block)
            writing.bound = bound
        path.unlink()
        return sealed

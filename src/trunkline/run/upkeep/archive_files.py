"""Files of archives: written, read back, and lent to be read; encrypted where the policy of personal data says so.

An encrypted file has the suffix ``.sealed``, and its ciphertext is bound to its archive and its name: one that was
changed, cut, or put in another's place does not open. In clear it is lent without a name on any disk.
"""

import hashlib
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from trunkline.checks.sealing import SealedStream, opened_stream
from trunkline.errors import InputError, TamperedError, UnknownNameError
from trunkline.ingest.raw_files import SEALED, blocks, nameless_file
from trunkline.run.upkeep.archive_list import archives_of
from trunkline.run.upkeep.archives import Part, archive_place, manifest_of
from trunkline.run.upkeep.places import ArchivePlace

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    import pyarrow.dataset as ds

    from trunkline.engine import Engine
    from trunkline.lake import Keyring
    from trunkline.run.workspace import Workspace

__all__ = ["ArchiveFiles", "copy_in_clear", "write_parts"]

_PURPOSE: Final = "archive"
_PART_ROWS: Final = 1_000_000
_BATCH_ROWS: Final = 65_536
_logger = logging.getLogger(__name__)


class ArchiveFiles:
    """The files of one archive.

    Args:
        place: Where archives lie.
        folder: The archive's folder.
        keys: The keys of the workspace.
        drafts: Where a file is before it is whole, and while it is lent in clear.
    """

    def __init__(self, place: ArchivePlace, folder: str, *, keys: "Keyring", drafts: Path) -> None:
        self._place, self._folder, self._keys, self._drafts = place, folder, keys, drafts

    def store(self, draft: Path, name: str, rows: int, *, seals: bool) -> Part:
        """Copy a Parquet file to the archive, and read it back.

        Args:
            draft: The file, in clear.
            name: Its name in the archive, without the suffix of encrypted ones.
            rows: Its rows.
            seals: Whether it is encrypted.

        Raises:
            TamperedError: It came back as something else.
            UnavailableError: The place did not take it.
        """
        if not seals:
            return self._put(draft, name, rows)
        name = f"{name}{SEALED}"
        with nameless_file(self._drafts, name, ()) as sealed:
            with draft.open("rb") as stream, sealed.open("wb") as out:
                writing = SealedStream(out, self._keys, purpose=_PURPOSE)
                for block in blocks(stream, draft):
                    writing.write(block)
                writing.finish(bound=self._bound(name))
            return self._put(sealed, name, rows)

    def _put(self, whole: Path, name: str, rows: int) -> Part:
        with whole.open("rb") as stream:
            made = hashlib.file_digest(stream, "sha256").hexdigest()
        self._place.put(whole, f"{self._folder}/{name}")
        found, size = self._place.digest(f"{self._folder}/{name}")
        if found != made:
            where = f"{self._place.address}/{self._folder}"
            raise TamperedError("a file came back from the archive as another one", where=where)
        return Part(name=name, rows=rows, size=size, sha256=found)

    @contextmanager
    def opened(self, part: Part) -> "Iterator[ds.Dataset]":
        """Lend the rows of a file, until the block is left.

        Raises:
            InputError: It is encrypted, and the keys cannot be read.
            TamperedError: A key is lost, or the file was changed, cut or exchanged.
            UnknownNameError: It is not there.
        """
        import pyarrow.dataset as ds

        if not part.name.endswith(SEALED):
            yield self._place.dataset([f"{self._folder}/{part.name}"])
            return
        with self.lent(part) as path:
            yield ds.dataset([str(path)], format="parquet")

    @contextmanager
    def lent(self, part: Part) -> Iterator[Path]:
        """Lend an encrypted file in clear; raises as :meth:`opened`."""
        with self._place.reading(f"{self._folder}/{part.name}") as stream:
            clear = opened_stream(stream, self._keys, purpose=_PURPOSE, bound=self._bound(part.name))
            with nameless_file(self._drafts, part.name.removesuffix(SEALED), clear) as path:
                yield path

    def _bound(self, name: str) -> str:
        return f"{self._folder}/{name}"


def write_parts(
    files: ArchiveFiles, rows: "ir.Table", schema: "pa.Schema", *, engine: "Engine", drafts: Path, seals: bool
) -> Iterator[Part]:
    """Write rows as Parquet files of an archive, compressed, and read each back.

    Args:
        files: Those of the archive.
        rows: The rows.
        schema: Of the files.
        engine: What reads the rows.
        drafts: Where a file is before it is whole.
        seals: Whether they are encrypted.

    Raises:
        TamperedError: A file came back as something else.
        UnavailableError: The place did not take a file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    drafts.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)  # a killed writer's files have other names, so that none is taken for one of these
    batches = iter(engine.batches(rows, rows=_BATCH_ROWS))
    batch = next(batches, None)
    for number in range(1 << 30):
        if batch is None:
            return
        name, written = f"part-{number:05d}-{token}.parquet", 0
        with nameless_file(drafts, name, ()) as draft:  # in clear: whoever is killed must leave nothing
            with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
                while batch is not None and written < _PART_ROWS:
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                    written += batch.num_rows
                    batch = next(batches, None)
            part = files.store(draft, name, written, seals=seals)
        yield part


def copy_in_clear(workspace: "Workspace", archive: str, out: Path) -> list[Path]:
    """Write the files of an archive to a folder as Parquet in clear, readable by their owner alone.

    Args:
        workspace: The workspace.
        archive: The archive's folder, ``TABLE/IDENTITY-NUMBER``, as ``platform.archives`` lists it.
        out: The folder.

    Returns:
        The files.

    Raises:
        UnknownNameError: There is no such archive.
        InputError: A file of that name is there already, or the keys cannot be read.
        TamperedError: A key is lost, or a file is not what was written.
        UnavailableError: The archive does not answer.
    """
    table, _, _ = archive.partition("/")
    listed = {one.folder: one.place for one in archives_of(workspace, table)}
    if archive not in listed:
        raise UnknownNameError(f"there is no archive {archive[:80]!r}", where="platform.archives", allowed=listed)
    place = archive_place(workspace, listed[archive])
    manifest = manifest_of(place, archive)
    if manifest is None:
        raise UnknownNameError("the archive has no manifest: it is not whole", where=f"{place.address}/{archive}")
    files = ArchiveFiles(place, archive, keys=workspace.keys, drafts=workspace.folder("tmp"))
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for part in manifest.parts:
        path = out / part.name.removesuffix(SEALED)
        draft = out / f".{secrets.token_hex(8)}.draft"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                if part.name.endswith(SEALED):
                    with files.lent(part) as clear, clear.open("rb") as stream:
                        target.writelines(blocks(stream, clear))
                else:
                    _copy_whole(place, archive, part, target)
            os.link(draft, path)
        except FileExistsError:
            raise InputError("the file is there already", where=str(path), next_step="name another folder") from None
        finally:
            draft.unlink(missing_ok=True)
        written.append(path)
    _logger.info("archive %s written in clear", archive, extra={"archive": archive, "files": len(written)})
    return written


def _copy_whole(place: ArchivePlace, archive: str, part: Part, target: BinaryIO) -> None:
    """Copy a file that lies in clear, and compare it with what was written."""
    found = hashlib.sha256()
    with place.reading(f"{archive}/{part.name}") as stream:
        while block := stream.read(1 << 22):
            found.update(block)
            target.write(block)
    if found.hexdigest() != part.sha256:
        raise TamperedError("a file of the archive is not what was written", where=f"{place.address}/{archive}")

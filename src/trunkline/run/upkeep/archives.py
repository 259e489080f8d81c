"""Archives: rows that left a table for good, as Parquet files with a manifest.

An archive is a folder ``TABLE/IDENTITY-NUMBER`` of an archive place. Its manifest names its files with their hashes and
is written last: a folder without one is no archive. :mod:`trunkline.run.upkeep.archive_list` knows them all.
"""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trunkline.errors import TamperedError, UnknownNameError
from trunkline.run.upkeep.places import ArchivePlace

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.engine import Engine
    from trunkline.run.workspace import Workspace

__all__ = [
    "MANIFEST",
    "Manifest",
    "Part",
    "Sum",
    "archive_place",
    "folder_of",
    "manifest_of",
    "put_manifest",
    "stored",
    "sum_of",
    "write_parts",
]

MANIFEST: Final = "manifest.json"
"""Name of the manifest in the folder of an archive."""

_PART_ROWS: Final = 1_000_000
_BATCH_ROWS: Final = 65_536


class Part(BaseModel):
    """One file of an archive.

    Attributes:
        name: Its name, below the archive's folder.
        rows: Its rows.
        size: Its bytes.
        sha256: Of its bytes.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    size: int
    sha256: str


class Manifest(BaseModel):
    """What an archive holds.

    Attributes:
        table: The lake table that the rows left.
        identity: What Delta calls that table.
        number: 1 is the table's first archive.
        columns: The columns by which the rows had aged; the first that is not null counted.
        before: The rows are from earlier than this.
        version: Version of the table that held them.
        made_at: When, UTC.
        parts: The files.
        erased: Rows that an erasure took out since.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    identity: str
    number: int
    columns: tuple[str, ...]
    before: AwareDatetime
    version: int
    made_at: AwareDatetime
    parts: tuple[Part, ...]
    erased: int = 0

    @property
    def folder(self) -> str:
        """Its folder, below the archive place."""
        return folder_of(self.table, self.identity, self.number)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(part.rows for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.parts)

    @property
    def files(self) -> list[str]:
        """Names of the files, below the archive place."""
        return [f"{self.folder}/{part.name}" for part in self.parts]


@dataclass(frozen=True)
class Sum:
    """What two sets of rows must have in common to be the same: their number, and two sums of a hash of each row."""

    rows: int
    first: int
    second: int


def folder_of(table: str, identity: str, number: int) -> str:
    """Name the folder of an archive."""
    return f"{table}/{identity[:8]}-{number:06d}"


def archive_place(workspace: "Workspace", address: str | None = None) -> ArchivePlace:
    """Open the archive place of the settings, or another one where archives lie."""
    settings = workspace.settings.retention
    said = settings.archive or str(workspace.root / "archive")
    return ArchivePlace(address or said, settings.archive_options)


def manifest_of(place: ArchivePlace, folder: str) -> Manifest | None:
    """Read the manifest of an archive; None where there is none.

    Raises:
        TamperedError: It is not what was written.
    """
    try:
        return Manifest.model_validate_json(place.text(f"{folder}/{MANIFEST}"))
    except UnknownNameError:
        return None
    except (ValidationError, UnicodeDecodeError) as error:
        raise TamperedError(
            "the manifest of an archive is damaged",
            where=f"{place.address}/{folder}",
            next_step="restore it from a backup",
        ) from error


def put_manifest(place: ArchivePlace, manifest: Manifest) -> None:
    """Write a manifest: from now on its files are the archive."""
    place.put_text(manifest.model_dump_json(indent=1), f"{manifest.folder}/{MANIFEST}")


def write_parts(
    place: ArchivePlace, folder: str, rows: "ir.Table", schema: "pa.Schema", *, engine: "Engine", drafts: Path
) -> Iterator[Part]:
    """Write rows as Parquet files of an archive, compressed, and read each back.

    Args:
        place: The archive place.
        folder: The archive's folder.
        rows: The rows.
        schema: Of the files.
        engine: What reads the rows.
        drafts: Where a file is before it is whole.

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
        name, draft, written = f"part-{number:05d}-{token}.parquet", drafts / f"archive-{token}.parquet", 0
        try:
            with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
                while batch is not None and written < _PART_ROWS:
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                    written += batch.num_rows
                    batch = next(batches, None)
            yield stored(place, folder, draft, name, written)
        finally:
            draft.unlink(missing_ok=True)


def stored(place: ArchivePlace, folder: str, draft: Path, name: str, rows: int) -> Part:
    """Copy a file to the folder of an archive, and read it back.

    Raises:
        TamperedError: It came back as something else.
        UnavailableError: The place did not take it.
    """
    with draft.open("rb") as stream:
        made = hashlib.file_digest(stream, "sha256").hexdigest()
    place.put(draft, f"{folder}/{name}")
    found, size = place.digest(f"{folder}/{name}")
    if found != made:
        raise TamperedError("a file came back from the archive as another one", where=f"{place.address}/{folder}")
    return Part(name=name, rows=rows, size=size, sha256=found)


def sum_of(rows: "ir.Table", *, engine: "Engine") -> Sum:
    """Sum rows up, in whatever order they come: the same rows have the same sum."""
    import ibis

    hashed = ibis.struct({name: rows[name] for name in rows.columns}).hash()
    kept = rows.select(hashed=hashed)
    found = engine.arrow(
        kept.aggregate(
            rows=kept.count(),
            first=(kept["hashed"] % 2_147_483_647).sum().fill_null(0).cast("int64"),
            second=(kept["hashed"] % 1_000_000_007).sum().fill_null(0).cast("int64"),
        )
    ).to_pylist()[0]
    return Sum(found["rows"], found["first"], found["second"])

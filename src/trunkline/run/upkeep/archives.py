"""Archives: rows that left a table for good, as Parquet files with a manifest, and the list of all of them.

An archive is a folder ``TABLE/IDENTITY-NUMBER`` of an archive place. Its manifest names its files with their hashes and
is written last: a folder without one is no archive. The lake's table ``platform.archives`` lists every archive wherever
it lies, so that an erasure finds it after the settings have changed.
"""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts import Contract, Instant, Integer, Table, Text, field
from trunkline.errors import TamperedError, UnknownNameError
from trunkline.run.upkeep.places import ArchivePlace

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.engine import Engine
    from trunkline.run.workspace import Workspace

__all__ = [
    "ARCHIVES",
    "MANIFEST",
    "ArchiveRecord",
    "Archived",
    "Manifest",
    "Part",
    "Sum",
    "archive_place",
    "archives_of",
    "folder_of",
    "list_archive",
    "manifest_of",
    "put_manifest",
    "stored",
    "sum_of",
    "write_parts",
]

ARCHIVES: Final = "platform.archives"
"""Lake table that lists the archives."""

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


class ArchiveRecord(Contract):
    """One row per archive and change of it; the newest counts."""

    table: ClassVar[Table] = Table(key=("archive",), event_at="changed_at")

    archive: Text = field("Its folder, below the place")
    place: Text = field("Folder or address of the archive place, without secrets")
    lake_table: Text = field("The table that the rows left")
    number: Integer = field("1 is the table's first archive", minimum=1)
    rows: Integer = field(minimum=0)
    size: Integer = field("Bytes", unit="B", minimum=0)
    before_at: Instant = field("The rows are from earlier than this")
    archived_at: Instant = field()
    changed_at: Instant = field()


@dataclass(frozen=True)
class Archived:
    """An archive that is listed.

    Attributes:
        folder: Its folder, below the place.
        place: Where it lies.
    """

    folder: str
    place: str


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


def list_archive(workspace: "Workspace", place: ArchivePlace, manifest: Manifest, *, changed_at: datetime) -> None:
    """Note an archive in ``platform.archives``, once for each number of erased rows."""
    from trunkline.lake import Transaction

    record = ArchiveRecord(
        archive=manifest.folder,
        place=place.address,
        lake_table=manifest.table,
        number=manifest.number,
        rows=manifest.rows,
        size=manifest.size,
        before_at=manifest.before,
        archived_at=manifest.made_at,
        # later than what it takes the place of, whatever the clock says
        changed_at=max(changed_at, manifest.made_at + timedelta(microseconds=manifest.erased)),
    )
    workspace.lake.append(
        ARCHIVES,
        table_from_rows(ArchiveRecord, [record.model_dump()]),
        transaction=Transaction(f"archive:{manifest.folder}", manifest.erased + 1),
    )


def archives_of(workspace: "Workspace", table: str | None = None) -> tuple[Archived, ...]:
    """List the archives of a table, or all, wherever they lie."""
    lake = workspace.lake
    if not lake.exists(ARCHIVES):
        return ()
    rows = lake.arrow(
        ARCHIVES,
        columns=["archive", "place", "lake_table"],
        schema=arrow_schema(ArchiveRecord),
        where=None if table is None else lambda found: found["lake_table"] == table,
    ).to_pylist()
    return tuple(sorted({Archived(row["archive"], row["place"]) for row in rows}, key=lambda one: one.folder))

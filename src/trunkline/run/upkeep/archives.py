"""Archives: rows that left a table for good, as Parquet files with a manifest.

An archive is a folder ``TABLE/IDENTITY-NUMBER`` of an archive place. Its manifest names its files with their hashes and
is written last: a folder without one is no archive. :mod:`trunkline.run.upkeep.archive_list` knows them all.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from trunkline.errors import TamperedError, UnknownNameError
from trunkline.run.upkeep.places import ArchivePlace

if TYPE_CHECKING:
    import ibis.expr.types as ir

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
    "sum_of",
]

MANIFEST: Final = "manifest.json"
"""Name of the manifest in the folder of an archive."""


class Part(BaseModel):
    """One file of an archive.

    Attributes:
        name: Its name, below the archive's folder.
        rows: Its rows.
        size: Its bytes.
        sha256: Of its bytes.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")  # no way out of a folder
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

    def __add__(self, other: "Sum") -> "Sum":
        """Sum up the rows of both."""
        return Sum(self.rows + other.rows, self.first + other.first, self.second + other.second)


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

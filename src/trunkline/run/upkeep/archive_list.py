"""The list of all archives, in the lake: ``platform.archives``, so that an erasure finds each wherever it lies.

An archive is listed as ``begun`` before its first file is written, and as ``whole`` once its rows have left their
table. Killed between, or with other settings since, it is found where the list says. What is given up is listed as
``gone``. Everything here happens under the lock of the table's retention.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts import Contract, Instant, Integer, Table, Text, field

if TYPE_CHECKING:
    from trunkline.run.upkeep.archives import Manifest
    from trunkline.run.upkeep.places import ArchivePlace
    from trunkline.run.workspace import Workspace

__all__ = ["ARCHIVES", "ArchiveRecord", "Archived", "archives_of", "list_archive", "list_begun", "list_gone"]

ARCHIVES: Final = "platform.archives"
"""Lake table that lists the archives."""

_TICK: Final = timedelta(microseconds=1)


class ArchiveRecord(Contract):
    """One row per archive, place and change of it; the newest counts."""

    table: ClassVar[Table] = Table(key=("archive", "place"), event_at="changed_at")

    archive: Text = field("Its folder, below the place")
    place: Text = field("Folder or address of the archive place, without secrets")
    lake_table: Text = field("The table that the rows left")
    number: Integer = field("1 is the table's first archive", minimum=1)
    rows: Integer = field("0 until it is whole", minimum=0)
    size: Integer = field("Bytes; 0 until it is whole", unit="B", minimum=0)
    before_at: Instant = field("The rows are from earlier than this")
    archived_at: Instant = field()
    changed_at: Instant = field()
    state: Literal["begun", "whole", "gone"] | None = field(
        "begun: its files are written, or it is not yet known that its rows have left the table; gone: given up, its "
        "rows are in the table; null: whole, written before there were states"
    )


@dataclass(frozen=True)
class Archived:
    """An archive that is listed.

    Attributes:
        folder: Its folder, below the place.
        place: Where it lies.
        number: 1 is the table's first archive.
        is_whole: Whether it is known to hold rows that have left their table.
        changed_at: When that was written down, UTC.
    """

    folder: str
    place: str
    number: int
    is_whole: bool
    changed_at: datetime


def archives_of(workspace: "Workspace", table: str | None = None) -> tuple[Archived, ...]:
    """List the archives of a table, or all, wherever they lie, begun ones too; those that are gone are left out."""
    newest = _newest(workspace, table)
    return tuple(
        Archived(
            str(row["archive"]),
            str(row["place"]),
            int(str(row["number"])),
            row["state"] in (None, "whole"),
            _instant(row["changed_at"]),
        )
        for _, row in sorted(newest.items())
        if row["state"] != "gone"
    )


def list_begun(
    workspace: "Workspace",
    place: "ArchivePlace",
    *,
    table: str,
    folder: str,
    number: int,
    before: datetime,
    now: datetime,
) -> None:
    """Note that an archive is about to be written; nothing where that is noted already.

    Args:
        workspace: The workspace.
        place: Where it will lie.
        table: The table that the rows are to leave.
        folder: Its folder, below the place.
        number: Its number.
        before: Its rows are from earlier than this.
        now: UTC.
    """
    known = _newest(workspace, table).get((folder, place.address))
    if known is not None and known["state"] == "begun":
        return
    _append(
        workspace,
        ArchiveRecord(
            archive=folder,
            place=place.address,
            lake_table=table,
            number=number,
            rows=0,
            size=0,
            before_at=before,
            archived_at=now,
            changed_at=_after(known, now),
            state="begun",
        ),
    )


def list_gone(workspace: "Workspace", place: "ArchivePlace", *, table: str, folder: str, now: datetime) -> None:
    """Note that an archive that was begun at a place does not lie there any more; nothing where none was."""
    known = _newest(workspace, table).get((folder, place.address))
    if known is not None and known["state"] == "begun":
        _append(workspace, ArchiveRecord.model_validate({**known, "state": "gone", "changed_at": _after(known, now)}))


def list_archive(workspace: "Workspace", place: "ArchivePlace", manifest: "Manifest", *, changed_at: datetime) -> None:
    """Note an archive as whole, once for each number of erased rows."""
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
        changed_at=_after(
            _newest(workspace, manifest.table).get((manifest.folder, place.address)),
            max(changed_at, manifest.made_at + manifest.erased * _TICK),
        ),
        state="whole",
    )
    _append(workspace, record, once=(f"archive:{manifest.folder}", manifest.erased + 1))


def _newest(workspace: "Workspace", table: str | None) -> dict[tuple[str, str], dict[str, object]]:
    """Read the newest row of each archive and place."""
    lake = workspace.lake
    if not lake.exists(ARCHIVES):
        return {}
    rows = lake.arrow(
        ARCHIVES,
        columns=list(arrow_schema(ArchiveRecord).names),
        schema=arrow_schema(ArchiveRecord),
        where=None if table is None else lambda found: found["lake_table"] == table,
    ).to_pylist()
    rows.sort(key=lambda row: _instant(row["changed_at"]))
    return {(str(row["archive"]), str(row["place"])): row for row in rows}


def _append(workspace: "Workspace", record: ArchiveRecord, *, once: tuple[str, int] | None = None) -> None:
    from trunkline.lake import Transaction

    workspace.lake.append(
        ARCHIVES,
        table_from_rows(ArchiveRecord, [record.model_dump()]),
        transaction=None if once is None else Transaction(*once),
    )


def _after(known: "dict[str, object] | None", at: datetime) -> datetime:
    return at if known is None else max(at, _instant(known["changed_at"]) + _TICK)


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value

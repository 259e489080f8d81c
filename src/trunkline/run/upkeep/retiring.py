"""Retention: rows past their time go to the archive, are found whole there, and leave their table.

Order: the list says that an archive is begun and where; files; manifest; one commit that deletes; the list says that it
is whole. The commit carries the number of the archive, so the table itself says which archives are done. Killed before
the manifest, files without one are swept away; between manifest and commit, the archive is compared with the table once
more and the rows are deleted, or it is made anew where they differ. Rows that come while an archive is written are
noticed under the table's lock: then it is written again, under the lock. What was killed is looked for where the list
says, whatever the settings say now. Nothing is lost and nothing is there twice.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.errors import TamperedError, TrunklineError, UnknownNameError
from trunkline.run.upkeep.archive_files import ArchiveFiles, write_parts
from trunkline.run.upkeep.archive_list import archives_of, list_archive, list_begun, list_gone
from trunkline.run.upkeep.archives import (
    MANIFEST,
    Manifest,
    Sum,
    archive_place,
    folder_of,
    manifest_of,
    put_manifest,
    sum_of,
)
from trunkline.run.upkeep.ripening import Rule, ripe_rows
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.upkeep.places import ArchivePlace
    from trunkline.run.workspace import Workspace

__all__ = ["APP_ID", "CRASH_POINTS", "retire"]

CRASH_POINTS: Final = ("retire.after_part", "retire.before_manifest", "retire.after_manifest", "retire.before_listing")
"""Points at which a drill kills maintenance; those of the deleting commit are the lake's."""

APP_ID: Final = "retention"
"""Under which a table notes the number of the last archive whose rows have left it."""


def retire(workspace: "Workspace", rule: Rule, *, now: datetime) -> int:
    """Let go of the rows of one table that are past their time.

    Args:
        workspace: The workspace.
        rule: How long the table keeps its rows.
        now: UTC.

    Returns:
        How many rows went, of an interrupted call before as well.

    Raises:
        BusyError: Another process does the same, or a writer held the table for too long.
        TamperedError: An archive came back as something else; the rows stay.
        WorldError: The archive or the lake did not take what it was given; the rows stay.
    """
    from trunkline.lake import held

    lock = workspace.folder("locks") / f"retention-{rule.table}.lock"
    with held(lock, what=f"retention of {rule.table}", clock=workspace.clock):
        if not rule.keep.archive:
            return _dropped(workspace, rule, now=now)
        _confirm(workspace, rule)
        here = _Archiving(workspace, archive_place(workspace), rule, now=now)
        gone = sum(there.complete() for there in _elsewhere(workspace, rule, here, now=now)) + here.complete()
        if ripe_rows(workspace, rule, now=now).rows:
            gone += here.begin(rule.before(now))
        return gone


def _confirm(workspace: "Workspace", rule: Rule) -> None:
    """List what a killed call left unlisted although its rows have left the table."""
    identity, done = workspace.lake.identity(rule.table), _done(workspace, rule)
    listed = archives_of(workspace, rule.table)
    last = folder_of(rule.table, identity, done)
    numbers = range(1, done + 1)
    own = {folder_of(rule.table, identity, one.number) for one in listed if one.number in numbers}
    found = [(one.folder, one.place) for one in listed if not one.is_whole and one.folder in own]
    if done and not any(one.folder == last for one in listed):
        found.append((last, archive_place(workspace).address))
    for folder, address in found:
        try:
            place = archive_place(workspace, address)
            manifest = manifest_of(place, folder)
        except TamperedError:
            raise
        except TrunklineError:
            continue  # an erasure finds it all the same, and says so while it is out of reach
        if manifest is not None and not manifest.erased:
            list_archive(workspace, place, manifest, changed_at=manifest.made_at)


def _elsewhere(workspace: "Workspace", rule: Rule, here: "_Archiving", *, now: datetime) -> "Iterator[_Archiving]":
    """Give the other places at which the next archive was begun.

    Raises:
        UnavailableError: One of them does not answer.
    """
    for one in archives_of(workspace, rule.table):
        if one.folder == here.folder and one.place != here.address:
            yield _Archiving(workspace, archive_place(workspace, one.place), rule, now=now)


def _done(workspace: "Workspace", rule: Rule) -> int:
    """The number of the last archive whose rows have left the table."""
    return workspace.lake.transaction_version(rule.table, APP_ID) or 0


def _dropped(workspace: "Workspace", rule: Rule, *, now: datetime) -> int:
    from trunkline.lake import Transaction

    if not ripe_rows(workspace, rule, now=now).rows:
        return 0
    done = workspace.lake.transaction_version(rule.table, APP_ID) or 0
    gone = workspace.lake.retire(
        rule.table,
        columns=rule.columns,
        before=rule.before(now),
        transaction=Transaction(APP_ID, done + 1),
        ready=lambda _version: True,
    )
    return gone or 0


class _Archiving:
    """Archives the rows of one table at one place.

    Args:
        workspace: The workspace.
        place: Where archives go.
        rule: How long the table keeps its rows.
        now: UTC.
    """

    def __init__(self, workspace: "Workspace", place: "ArchivePlace", rule: Rule, *, now: datetime) -> None:
        self._workspace, self._place, self._rule, self._now = workspace, place, rule, now
        self._lake = workspace.lake
        self._identity = self._lake.identity(rule.table)
        self._sums: dict[tuple[int, tuple[str, ...], datetime], Sum] = {}

    @property
    def address(self) -> str:
        """Where archives go."""
        return self._place.address

    @property
    def folder(self) -> str:
        """The folder of the next archive, below the place."""
        return folder_of(self._rule.table, self._identity, _done(self._workspace, self._rule) + 1)

    def complete(self) -> int:
        """Go on with what a killed call has begun here: delete the rows of a whole archive, or give it up.

        An archive that differs from the table, or is not whole, goes itself.

        Returns:
            How many rows went; 0 where nothing was begun, or the archive had to go.
        """
        folder = self.folder
        manifest = manifest_of(self._place, folder)
        if manifest is not None:
            gone = self._delete(manifest, lambda version: self._is_whole(manifest, version))
            if gone is not None:
                return gone
        self._discard(folder)
        list_gone(self._workspace, self._place, table=self._rule.table, folder=folder, now=self._now)
        return 0

    def begin(self, before: datetime) -> int:
        """Archive the rows from before an instant, and delete them from the table."""
        table, folder = self._rule.table, self.folder
        version = self._lake.version(table)
        assert version is not None, "it has rows"
        number = _done(self._workspace, self._rule) + 1
        list_begun(
            self._workspace, self._place, table=table, folder=folder, number=number, before=before, now=self._now
        )
        manifest = self._made(before, version, number=number)
        gone = self._delete(
            manifest, lambda found: found == version or self._sum(manifest, found) == self._sum(manifest, version)
        )
        if gone is not None:
            return gone
        # rows came or went meanwhile: now nobody writes until it is done
        again: list[Manifest] = []

        def ready(found: int) -> bool:
            again.append(self._made(before, found, number=number))
            return True

        gone = self._delete(manifest, ready, listed=again)
        return gone or 0

    def _made(self, before: datetime, version: int, *, number: int) -> Manifest:
        """Write an archive and compare it with the table."""
        rule = self._rule
        folder = folder_of(rule.table, self._identity, number)
        self._discard(folder)
        schema = self._lake.schema(rule.table, version=version)
        parts = []
        for part in write_parts(
            self._files(folder),
            self._rows(rule.columns, before, version),
            schema,
            engine=self._workspace.engine,
            drafts=self._workspace.folder("tmp"),
            seals=rule.seals,
        ):
            parts.append(part)
            point("retire.after_part")
        manifest = Manifest(
            table=rule.table,
            identity=self._identity,
            number=number,
            columns=rule.columns,
            before=before,
            version=version,
            made_at=self._now,
            parts=tuple(parts),
        )
        if self._archived(manifest) != self._sum(manifest, version):
            raise TamperedError(
                "an archive does not hold the rows of its table; they stay", where=f"{self._place.address}/{folder}"
            )
        point("retire.before_manifest")
        put_manifest(self._place, manifest)
        point("retire.after_manifest")
        return manifest

    def _delete(
        self, manifest: Manifest, ready: Callable[[int], bool], *, listed: Sequence[Manifest] = ()
    ) -> int | None:
        from trunkline.lake import Transaction

        gone = self._lake.retire(
            self._rule.table,
            columns=manifest.columns,
            before=manifest.before,
            transaction=Transaction(APP_ID, manifest.number),
            ready=ready,
            metadata={"archive": manifest.folder},
        )
        if gone is not None:
            point("retire.before_listing")
            whole = listed[-1] if listed else manifest
            list_archive(self._workspace, self._place, whole, changed_at=whole.made_at)
        return gone

    def _discard(self, folder: str) -> None:
        """Remove what lies in the folder of an archive whose rows are still in the table, its manifest first."""
        for name in sorted(self._place.names(folder), key=lambda name: not name.endswith(MANIFEST)):
            self._place.remove(name)

    def _rows(self, columns: Sequence[str], before: datetime, version: int) -> "ir.Table":
        from trunkline.lake.aging import aged

        rows = self._lake.read(self._rule.table, version=version)
        return rows.filter(aged(rows, columns, before))

    def _sum(self, manifest: Manifest, version: int) -> Sum:
        wanted = (version, manifest.columns, manifest.before)
        if wanted not in self._sums:
            rows = self._rows(manifest.columns, manifest.before, version)
            self._sums[wanted] = sum_of(rows, engine=self._workspace.engine)
        return self._sums[wanted]

    def _is_whole(self, manifest: Manifest, version: int) -> bool:
        """Whether an archive of before holds what the table holds; where it is damaged, its rows are still there."""
        try:
            return self._sum(manifest, version) == self._archived(manifest)
        except (TamperedError, UnknownNameError):
            return False

    def _archived(self, manifest: Manifest) -> Sum:
        """Read the files of an archive back: their hashes, then their rows."""
        for part in manifest.parts:
            if self._place.digest(f"{manifest.folder}/{part.name}")[0] != part.sha256:
                raise TamperedError(
                    "a file of an archive is not what was written; its rows stay in the table",
                    where=f"{self._place.address}/{manifest.folder}/{part.name}",
                    next_step="look after the disk or store, then maintain again: the archive is made anew",
                )
        schema = self._lake.schema(self._rule.table, version=manifest.version)
        files, engine, total = self._files(manifest.folder), self._workspace.engine, Sum(0, 0, 0)
        for part in manifest.parts:
            with files.opened(part) as found:
                total += sum_of(engine.dataset(found, schema), engine=engine)
        return total

    def _files(self, folder: str) -> ArchiveFiles:
        workspace = self._workspace
        return ArchiveFiles(self._place, folder, keys=workspace.keys, drafts=workspace.folder("tmp"))

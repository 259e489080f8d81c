"""Maintenance of a workspace: compaction, retention, and the versions that live models pin."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import RECORDS

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["Maintained", "maintain"]


class Maintained(BaseModel):
    """What maintenance did to one table.

    Attributes:
        table: The table.
        version: Its newest version.
        pinned: Versions that stay readable because a live model was trained on them.
        compacted: Data files that compaction made fewer.
        files_removed: Data and log files that retention let go.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    version: int
    pinned: tuple[int, ...]
    compacted: int
    files_removed: int


FOLDED: Final = ("platform.quarantine",)
"""Platform tables whose older states are folded away: only the newest state of a row counts."""


def maintain(workspace: "Workspace", *, progress: Callable[[str, float], None]) -> tuple[Maintained, ...]:
    """Compact tables and remove what retention lets go.

    Args:
        workspace: The workspace.
        progress: Told which table is being done.

    Returns:
        One entry per table.

    Raises:
        BusyError: A writer holds a table for too long.
    """
    from trunkline.lake import Upsert

    lake = workspace.lake
    pins = _pins(workspace)
    upserts = {
        name: Upsert(key=RECORDS[name].table.key, newest_by=(str(RECORDS[name].table.event_at),)) for name in FOLDED
    }
    done = []
    tables = lake.tables()
    for position, table in enumerate(tables):
        progress(f"maintain {table}", position / len(tables))
        (found,) = lake.maintain(pins=pins, tables=[table], upserts=upserts)
        done.append(
            Maintained(
                table=table,
                version=found.version,
                pinned=tuple(pins.get(table, ())),
                compacted=found.folded_files,
                files_removed=found.removed_files + found.removed_log_files,
            )
        )
    progress("done", 1.0)
    return tuple(done)


def _pins(workspace: "Workspace") -> dict[str, list[int]]:
    """Versions that live models were trained on, by table, from the lineage in their folders."""
    from trunkline.tasks import Model

    pins: dict[str, list[int]] = {}
    for usecase in workspace.usecases():
        for alias in workspace.registry.live(usecase).aliases:
            lineage = Model.load(workspace.registry.folder(usecase, alias)).info.lineage
            for name, version in lineage.items():
                if name.startswith("table:"):
                    pins.setdefault(name.removeprefix("table:"), []).append(int(str(version)))
    return pins

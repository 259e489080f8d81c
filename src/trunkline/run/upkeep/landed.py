"""The landing zone's share of upkeep: raw files beyond their retention, and the records that they leave."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.ingest.landing import Landed
from trunkline.ingest.receipts import taken_pieces
from trunkline.spec.sources import ObjectSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["TidiedLanding", "tidy_landing"]

_MARGIN: Final = timedelta(days=1)
"""By so much the clock of a store may differ from ours, and an upload last."""


@dataclass(frozen=True)
class TidiedLanding:
    """What became of the landing zone.

    Attributes:
        freed_bytes: Bytes of raw files that went, or would go.
        records_folded: Records that were folded into one file per source, or dropped.
    """

    freed_bytes: int
    records_folded: int


def tidy_landing(workspace: "Workspace", *, act: bool, without: Collection[str]) -> TidiedLanding:
    """Remove raw files beyond their retention, fold their records, and remove what killed processes left beside them.

    Args:
        workspace: The workspace.
        act: False only counts the bytes.
        without: Use cases that are broken: whether their raw files are encrypted is for their contracts to say.
    """
    root, retention = workspace.root / "landing", workspace.settings.landing.retention
    freed = folded = 0
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        usecase, _, dataset = folder.name.partition(".")
        if usecase in without:
            continue
        landing = workspace.landing(folder.name)
        if act:
            landing.tidy(older_than=workspace.settings.lake.vacuum_grace)
        if retention is None:
            continue
        before = workspace.clock() - retention
        taken = taken_pieces(workspace.lake, usecase=usecase, dataset=dataset)
        freed += landing.forget(before=before, taken=taken, act=act)
        if act:
            folded += landing.fold(before=before, remembers=_memory(workspace))
    return TidiedLanding(freed, folded)


def _memory(workspace: "Workspace") -> Callable[[Landed], datetime | None]:
    """Say which records sources still need: of all but heaps of objects, the newest alone says where they go on."""

    def remembers(newest: Landed) -> datetime | None:
        position = newest.position or {}
        if "object" not in position or "newest" not in position:
            return newest.landed_at
        declared = workspace.settings.sources.get(newest.source)
        overlap = declared.overlap if isinstance(declared, ObjectSource) else _OVERLAP
        return datetime.fromisoformat(str(position["newest"])) - overlap - _MARGIN

    return remembers


_OVERLAP: Final[timedelta] = ObjectSource.model_fields["overlap"].default

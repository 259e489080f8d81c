"""``maintain``: compaction and retention of the lake."""

from typing import TYPE_CHECKING

from trunkline.cli.output import Common, emit, opened, progress, table

if TYPE_CHECKING:
    from trunkline.run.upkeep import Upkeep


def maintain(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Compact tables, remove what retention lets go, and candidates that have become versions.

    Versions of tables that a live model was trained on, or that an unfinished run needs, are kept.
    """
    from trunkline.run.upkeep import maintain as tidy

    with opened(common) as workspace, progress() as told:
        found = tidy(workspace, progress=told)
    emit(found.model_dump(mode="json"), common=common, text=lambda: _show(found))
    return 0


def _show(found: "Upkeep") -> None:
    table(
        "maintained",
        ["table", "version", "pinned", "compacted", "files removed"],
        [
            [row.table, row.version, ", ".join(map(str, row.pinned)), row.compacted, row.files_removed]
            for row in found.tables
        ],
    )
    if found.candidates_removed:
        print(f"candidates of {len(found.candidates_removed)} runs removed: they are versions of the registry")
    if found.landing_freed_bytes:
        print(f"{found.landing_freed_bytes / 1e6:.1f} MB of raw files removed from the landing zone")
    for problem in found.problems:
        print(f"DAMAGED  {problem}")

"""``maintain``: compaction and retention of the lake."""

from trunkline.cli.output import Common, emit, opened, progress, table


def maintain(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Compact tables and remove what retention lets go; versions that a live model was trained on are kept."""
    from trunkline.run.upkeep import maintain as tidy

    with opened(common) as workspace, progress() as told:
        found = tidy(workspace, progress=told)
    emit(
        {"tables": [row.model_dump(mode="json") for row in found]},
        common=common,
        text=lambda: table(
            "maintained",
            ["table", "version", "pinned", "compacted", "files removed"],
            [
                [row.table, row.version, ", ".join(map(str, row.pinned)), row.compacted, row.files_removed]
                for row in found
            ],
        ),
    )
    return 0

"""``ingest --dry-run``: what an ingestion would read."""

from pathlib import Path

from trunkline.cli.output import Common, emit, opened, table

__all__ = ["previewed"]


def previewed(
    usecase: str, sources: tuple[str, ...], common: Common, *, dataset: str | None, map_file: Path | None
) -> int:
    """Show the sources of an ingestion and their sizes, and take nothing in.

    Args:
        usecase: Name of the use case.
        sources: As for the command.
        common: Options of every command.
        dataset: As for the command.
        map_file: As for the command.

    Returns:
        The exit code.

    Raises:
        InputError: A source is not what it is said to be, or there is none.
        UnavailableError: A source that was asked for its size did not answer.
    """
    from trunkline.run import preview, read_mapping, refuse_nothing_to_ingest

    with opened(common) as workspace:
        if not sources:
            refuse_nothing_to_ingest(workspace, usecase, dataset=dataset)
        found = preview(workspace, usecase, sources, dataset=dataset, mapping=read_mapping(map_file))
    emit(
        {"sources": [one.model_dump(mode="json") for one in found]},
        common=common,
        text=lambda: table(
            "would be read",
            ["source", "kind", "dataset", "bytes"],
            [
                [
                    one.source,
                    one.kind,
                    one.dataset or "passed over",
                    "not told" if one.size_bytes is None else f"{one.size_bytes:,}",
                ]
                for one in found
            ],
        ),
    )
    return 0

"""``ingest --dry-run``: what an ingestion would read, and what it would refuse."""

from pathlib import Path

from trunkline.cli.dialect import dialect_of
from trunkline.cli.mapping import mapping_of, point_at_mapping
from trunkline.cli.output import Common, emit, opened, refused_document, table, tell_refused

__all__ = ["previewed"]


def previewed(
    usecase: str,
    sources: tuple[str, ...],
    common: Common,
    *,
    dataset: str | None,
    map_file: Path | None,
    csv: tuple[str, ...],
) -> int:
    """Show the sources of an ingestion and their sizes, and those that would be refused, and take nothing in.

    Args:
        usecase: Name of the use case.
        sources: As for the command.
        common: Options of every command.
        dataset: As for the command.
        map_file: As for the command.
        csv: As for the command.

    Returns:
        The exit code.

    Raises:
        InputError: A source is not there, or there is none.
    """
    from trunkline.run import preview, refuse_nothing_to_ingest

    with opened(common) as workspace, mapping_of(map_file) as mapping:
        if not sources:
            refuse_nothing_to_ingest(workspace, usecase, dataset=dataset)
        found = preview(workspace, usecase, sources, dataset=dataset, mapping=mapping, csv=dialect_of(csv))
    for error in found.refused.errors if found.refused else ():
        point_at_mapping(error, map_file, mapping)

    def text() -> None:
        columns = ["source", "kind", "dataset", "bytes"]
        rows: list[list[object]] = [
            [
                one.source,
                one.kind,
                one.dataset or "passed over",
                "not told" if one.size_bytes is None else f"{one.size_bytes:,}",
            ]
            for one in found.sources
        ]
        if rows:
            table("would be read", columns, rows)
        if found.refused is not None:
            why = [[one.source, one.error.what] for one in found.refused.outcomes if one.error is not None]
            table("would be refused", ["source", "because"], why)

    emit(
        {"sources": [one.model_dump(mode="json") for one in found.sources], **refused_document(found.refused)},
        common=common,
        text=text,
    )
    if found.refused is None:
        return 0
    tell_refused(found.refused)
    return found.refused.exit_code

"""Steps executed for a command, and what came of them told: a run, or a batch taken in again."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.dialect import dialect_of
from trunkline.cli.mapping import mapping_of, point_at_mapping
from trunkline.cli.output import Common, emit, opened, progress, tell_refused
from trunkline.cli.steps.showing import show, show_published, summary

if TYPE_CHECKING:
    from trunkline.plan import StepName

__all__ = ["executed", "taken_again"]


def executed(  # noqa: PLR0913 - the options of the commands
    usecase: str,
    common: Common,
    *,
    source: tuple[str, ...] = (),
    map_file: Path | None = None,
    csv: tuple[str, ...] = (),
    dataset: str | None = None,
    until: str | None = None,
    only: "StepName | None" = None,
    run_id: str | None = None,
    again: bool = False,
    derives: bool = True,
    reasons: int = 0,
    given: Mapping[str, object] | None = None,
    owed_by: str | None = None,
    needs_source: bool = False,
) -> int:
    """Execute a run, or one step of it, and tell what came of it.

    Args:
        usecase: Name of the use case.
        common: Options of every command.
        source: Files, folders, globs, URLs, or names of declared sources.
        map_file: TOML file with a table ``columns`` of source column = field.
        csv: ``KEY=VALUE`` of the dialect of CSV files.
        dataset: Dataset of the rows; None is the main one.
        until: Last step to execute.
        only: The only step to execute.
        run_id: Go on with this run, or start one under this id.
        again: Whether to execute a step that was done already.
        derives: Whether derived tables are refreshed.
        reasons: Reasons per scored row, strongest first.
        given: Settings that the command line gives.
        owed_by: What delivers tables that have not reached their sink; None is a plain ``publish``.
        needs_source: Whether to refuse where the settings declare no source.

    Returns:
        The exit code.
    """
    from trunkline.run import SourcesRefusedError, execute, refuse_nothing_to_ingest

    with opened(common, **(given or {})) as workspace, progress() as told, mapping_of(map_file) as mapping:
        if needs_source:
            refuse_nothing_to_ingest(workspace, usecase, dataset=dataset)
        result = execute(
            workspace,
            usecase,
            sources=source,
            dataset=dataset,
            mapping=mapping,
            csv=dialect_of(csv),
            until=until,
            only=only,
            again=again,
            derives=derives,
            run_id=run_id,
            reasons=reasons,
            progress=told,
        )
    if isinstance(result.refused, SourcesRefusedError):
        for error in result.refused.errors:
            point_at_mapping(error, map_file, mapping)
    document = summary(result, root=workspace.root)
    emit(document, common=common, text=lambda: (show_published if only == "publish" else show)(document))
    brought = document.get("publish")
    owed = int(brought["owed"]) if isinstance(brought, dict) else 0
    if owed:
        said = "1 published table has" if owed == 1 else f"{owed} published tables have"
        delivers = owed_by or f"`trunkline publish {usecase}`"
        print(f"trunkline: warning: {said} not reached the sink; {delivers} delivers what is owed", file=sys.stderr)
    if isinstance(result.refused, SourcesRefusedError):
        tell_refused(result.refused)
    elif result.refused is not None:
        print(f"trunkline: {result.refused}", file=sys.stderr)
    if result.refused is not None:
        return result.refused.exit_code
    return 1 if owed and only == "publish" else 0


def taken_again(
    usecase: str,
    batch: str,
    common: Common,
    *,
    sources: tuple[str, ...],
    map_file: Path | None,
    said: tuple[str, ...] = (),
) -> int:
    """Take a batch in again from its raw copy, and tell what came of it.

    Args:
        usecase: Name of the use case.
        batch: Id of the batch.
        common: Options of every command.
        sources: Must be none.
        map_file: TOML file with a table ``columns``; None keeps the mapping that the batch came with.
        said: ``KEY=VALUE`` of the dialect; none keeps the one in which the batch was read.

    Returns:
        The exit code.

    Raises:
        InputError: There are sources, or the batch cannot be taken in again.
    """
    from trunkline.errors import InputError
    from trunkline.run import ingest_again, new_run_id

    if sources:
        raise InputError("--again takes no source: the raw copy of the batch is its source", where="the command line")
    with opened(common) as workspace, progress() as told, mapping_of(map_file) as given:
        told(f"ingest batch {batch} again", 0.0)
        mapping = None if map_file is None else given  # without a file the batch keeps the mapping it came with
        csv = dialect_of(said)
        done = ingest_again(workspace, usecase, batch, run_id=new_run_id(workspace), mapping=mapping, csv=csv)

    def text() -> None:
        if done.unchanged:
            print("contract, mapping and dialect are as they were: nothing to do")
            return
        new = done.receipt
        counts = f"{new.accepted} accepted, {new.quarantined} quarantined, {new.duplicates} duplicate"
        print(f"batch {new.batch_id} in place of {batch}: {new.read} read, {counts}")
        print(f"{done.removed} rows of the old batch left the table, {done.discarded} the quarantine")

    emit(done.model_dump(mode="json"), common=common, text=text)
    return 0

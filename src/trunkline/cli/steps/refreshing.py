"""``ingest --refresh NAME``: one derived table, or one step on the way to it."""

from pathlib import Path

from trunkline.cli.output import Common, emit, opened, progress

__all__ = ["refreshed"]


def refreshed(
    usecase: str,
    name: str,
    common: Common,
    *,
    sources: tuple[str, ...],
    map_file: Path | None,
    csv: tuple[str, ...],
    dataset: str | None,
    run_id: str | None,
) -> int:
    """Refresh one derived table and tell what came of it.

    Args:
        usecase: Name of the use case.
        name: The table, or a step that leads to it.
        common: Options of every command.
        sources: Must be none.
        map_file: Must be none.
        csv: Must be none.
        dataset: Must be none.
        run_id: The run that asks for it; None makes a new id.

    Returns:
        The exit code.

    Raises:
        InputError: Something is to be taken in besides.
        UnknownNameError: There is no such use case, table or step.
    """
    from trunkline.errors import InputError
    from trunkline.run import new_run_id
    from trunkline.run.refreshing import refresh_one

    if sources or csv or map_file is not None or dataset is not None:
        raise InputError(
            f"--refresh {name[:80]} takes nothing in",
            where="the command line",
            next_step="leave sources, --map, --csv and --dataset out, or say --refresh all",
        )
    with opened(common) as workspace, progress() as told:
        told(f"refresh {name[:80]}", 0.0)
        done = refresh_one(workspace, usecase, name, run_id=run_id or new_run_id(workspace))

    def text() -> None:
        if done.rows is not None:
            print(f"{done.name}, on the way to {done.table}: {done.rows} rows")
        elif not done.receipts:
            print(f"{done.table}: nothing it reads has changed")
        for receipt in done.receipts:
            counts = f"{receipt.accepted} accepted, {receipt.quarantined} quarantined, {receipt.duplicates} duplicate"
            print(f"{done.table}: {receipt.read} computed, {counts}")

    emit(done.model_dump(mode="json"), common=common, text=text)
    return 0

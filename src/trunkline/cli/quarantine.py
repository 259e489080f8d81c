"""``quarantine``: look at refused rows, mend them, hand them in again, or let them go."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trunkline.cli.output import Common, emit, opened, table
from trunkline.errors import InputError

if TYPE_CHECKING:
    from trunkline.run.quarantine import Overview, RefusedPage, RefusedRow

app = App(name="quarantine", help="List, show, export, replay or discard refused rows.")

Limit = Annotated[int, Parameter(help="Most rows to show.")]
Offset = Annotated[int, Parameter(help="Rows to leave out at the beginning.")]
Reason = Annotated[str | None, Parameter(help="Only rows that failed for this reason, among others.")]


@app.command(name="list")
def list_batches(*, usecase: str | None = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """List batches with refused rows that are still open, count their rows by reason, and say which come together.

    Args:
        usecase: Only this use case.
        common: Options of every command.
    """
    from trunkline.run.quarantine import overview

    with opened(common) as workspace:
        found = overview(workspace, usecase=usecase)
    emit(found.model_dump(), common=common, text=lambda: _show_overview(found))
    return 0


def _show_overview(found: "Overview") -> None:
    table(
        "open in the quarantine",
        ["batch", "use case", "dataset", "rows", "source", "reasons"],
        [
            [
                batch.batch_id,
                batch.usecase,
                batch.dataset,
                batch.rows,
                batch.source,
                ", ".join(f"{reason} ({count})" for reason, count in batch.reasons.items()),
            ]
            for batch in found.batches
        ],
    )
    if found.reasons:
        table(
            f"reasons of {found.rows} open rows",
            ["use case", "dataset", "reason", "rows", "for it alone", "batches"],
            [
                [count.usecase, count.dataset, count.reason, count.rows, count.alone, count.batches]
                for count in found.reasons
            ],
        )
    if found.pairs:
        table(
            "reasons that come together",
            ["use case", "dataset", "reasons", "rows", "of the rarer one"],
            [
                [pair.usecase, pair.dataset, " and ".join(pair.reasons), pair.rows, f"{pair.share:.1%}"]
                for pair in found.pairs
            ],
        )


@app.command
def show(
    batch: str,
    /,
    *,
    reason: Reason = None,
    limit: Limit = 20,
    offset: Offset = 0,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Show the refused rows of a batch with all their reasons; values that could name a person are hidden.

    Args:
        batch: Id of the batch.
        reason: Only rows that failed for this reason, among others.
        limit: Most rows to show.
        offset: Rows to leave out at the beginning.
        common: Options of every command.
    """
    from trunkline.console.masking import masked
    from trunkline.run.quarantine import batch_contract, refused_rows

    if limit < 0 or offset < 0:
        raise InputError("a number of rows cannot be negative", where="--limit, --offset")
    with opened(common) as workspace:
        found = refused_rows(workspace, batch, reason=reason, limit=limit, offset=offset)
        contract = batch_contract(workspace, batch)
    shown = found.model_copy(
        update={
            "rows": tuple(row.model_copy(update={"row": _legible(masked(row.row, contract))}) for row in found.rows)
        }
    )
    emit({"batch": batch, **shown.model_dump()}, common=common, text=lambda: _show_page(shown, offset))
    return 0


def _show_page(found: "RefusedPage", offset: int) -> None:
    for row in found.rows:
        print(f"row {row.row_number} ({row.state}): {', '.join(row.reasons)}")
        print(f"    {_offending(row)}")
    left = found.total - offset - len(found.rows)
    if left > 0:
        print(f"... and {left} more (--limit, --offset)")


def _legible(row: Mapping[str, str | None]) -> dict[str, str]:
    return {name: "(hidden)" if value is None else value for name, value in row.items()}


def _offending(row: "RefusedRow") -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.row.items() if value not in (None, ""))[:400]


@app.command
def export(
    batch: str,
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write, .csv or .ndjson; it must not exist.")],
    in_clear: Annotated[bool, Parameter(negative="", help="Yes, write personal values as they are.")] = False,
    reason: Reason = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Write the open rows of a batch into a file, to mend them and hand them back with `replay --file`.

    The file holds the raw values, personal ones too, so it takes `--in-clear`, and only its owner may read it.

    Args:
        batch: Id of the batch.
        out: File to write, .csv or .ndjson; it must not exist.
        in_clear: Yes, write personal values as they are.
        reason: Only rows that failed for this reason, among others.
        common: Options of every command.
    """
    from trunkline.run.quarantine import export_batch

    if not in_clear:
        raise InputError(
            "an export holds the raw values of the rows, personal ones too",
            where="trunkline quarantine export",
            next_step="say --in-clear if that is what you want; `quarantine show` hides them",
        )
    with opened(common) as workspace:
        count = export_batch(workspace, batch, out, reason=reason)
    emit(
        {"batch": batch, "file": str(out), "rows": count},
        common=common,
        text=lambda: print(f"{count} rows in {out}; mend them, then: trunkline quarantine replay {batch} --file {out}"),
    )
    return 0


@app.command
def replay(
    batch: str,
    /,
    *,
    edits: Annotated[
        tuple[str, ...],
        Parameter(name="--set", negative="", show_default=False, help="COLUMN=TEXT for every row; may be given again."),
    ] = (),
    file: Annotated[Path | None, Parameter(help="File with `_row` and corrected columns.")] = None,
    reason: Reason = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Hand the refused rows of a batch in again, mended if need be, by the contract as it is now.

    Args:
        batch: Id of the batch.
        edits: COLUMN=TEXT, by the source's name of the column or by the field: the raw text that every row is given.
        file: A file with ``_row`` and corrected columns; only its rows are handed in.
        reason: Only rows that failed for this reason, among others.
        common: Options of every command.
    """
    from trunkline.run.quarantine import Edits, replay_batch

    columns: dict[str, str] = {}
    for edit in edits:
        name, equals, told = edit.partition("=")
        if not equals or not name.strip():
            raise InputError("an edit is COLUMN=TEXT", where="--set")
        columns[name] = told
    with opened(common) as workspace:
        found = replay_batch(workspace, batch, edits=Edits(columns, file), reason=reason)

    def text() -> None:
        if not (found.accepted or found.still_refused or found.duplicates):
            print("no open row is left")
            return
        print(f"{found.accepted} rows accepted, {found.still_refused} still refused", end="")
        print(f", {found.duplicates} duplicates" if found.duplicates else "", end="")
        print(f", {found.edited} of the refused have new texts" if found.edited else "")
        for batch_id in found.batches:
            print(f"batch {batch_id}")

    emit(found.model_dump(), common=common, text=text)
    return 0


@app.command
def discard(
    batch: str,
    /,
    *,
    reason: Reason = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Mark the open rows of a batch as discarded; they stay readable.

    Args:
        batch: Id of the batch.
        reason: Only rows that failed for this reason, among others.
        common: Options of every command.
    """
    from trunkline.run.quarantine import discard_batch

    with opened(common) as workspace:
        count = discard_batch(workspace, batch, reason=reason)
    emit({"batch": batch, "discarded": count}, common=common, text=lambda: print(f"{count} rows discarded"))
    return 0

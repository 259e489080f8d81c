"""``quarantine``: look at refused rows, hand them in again, or let them go."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trunkline.cli.output import Common, emit, opened, table

if TYPE_CHECKING:
    from trunkline.run.refused import RefusedRow

app = App(name="quarantine", help="List, show, replay or discard refused rows.")

Limit = Annotated[int, Parameter(help="Most rows to show.")]


@app.command(name="list")
def list_batches(*, usecase: str | None = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """List batches with refused rows that are still open.

    Args:
        usecase: Only this use case.
        common: Options of every command.
    """
    from trunkline.run.refused import open_batches

    with opened(common) as workspace:
        found = open_batches(workspace, usecase=usecase)
    emit(
        {"batches": [batch.model_dump() for batch in found]},
        common=common,
        text=lambda: table(
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
                for batch in found
            ],
        ),
    )
    return 0


@app.command
def show(batch: str, /, *, limit: Limit = 20, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Show the refused rows of a batch with all their reasons; values that could name a person are hidden.

    Args:
        batch: Id of the batch.
        limit: Most rows to show.
        common: Options of every command.
    """
    from trunkline.console.masking import masked
    from trunkline.run.refused import batch_contract, refused_rows

    with opened(common) as workspace:
        found = refused_rows(workspace, batch)
        contract = batch_contract(workspace, batch)
    shown = [row.model_copy(update={"row": _legible(masked(row.row, contract))}) for row in found[:limit]]

    def text() -> None:
        for row in shown:
            print(f"row {row.row_number} ({row.state}): {', '.join(row.reasons)}")
            print(f"    {_offending(row)}")
        if len(found) > limit:
            print(f"... and {len(found) - limit} more (--limit)")

    emit({"batch": batch, "rows": [row.model_dump() for row in shown]}, common=common, text=text)
    return 0


def _legible(row: Mapping[str, str | None]) -> dict[str, str]:
    return {name: "(hidden)" if value is None else value for name, value in row.items()}


def _offending(row: "RefusedRow") -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.row.items() if value not in (None, ""))[:400]


@app.command
def replay(batch: str, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Hand the refused rows of a batch in again, by the contract as it is now.

    Args:
        batch: Id of the batch.
        common: Options of every command.
    """
    from trunkline.run.refused import replay_batch

    with opened(common) as workspace:
        found = replay_batch(workspace, batch)
    emit(
        found.model_dump(),
        common=common,
        text=lambda: print(f"{found.accepted} rows accepted, {found.still_refused} still refused"),
    )
    return 0


@app.command
def discard(batch: str, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Mark the open rows of a batch as discarded; they stay readable.

    Args:
        batch: Id of the batch.
        common: Options of every command.
    """
    from trunkline.run.refused import discard_batch

    with opened(common) as workspace:
        count = discard_batch(workspace, batch)
    emit({"batch": batch, "discarded": count}, common=common, text=lambda: print(f"{count} rows discarded"))
    return 0

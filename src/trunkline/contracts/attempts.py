"""What is written down of attempts to take sources in: the record of ``platform.attempts``."""

from typing import ClassVar, Literal

from trunkline.contracts.contract import Contract, Table, field
from trunkline.contracts.kinds import Instant, Integer, Number, Text

__all__ = ["SourceAttempt"]


class SourceAttempt(Contract):
    """One row per source and attempt to take it in, whatever came of it: nothing, rows, or a refusal.

    An attempt is a call; of a watched topic five minutes of it.
    """

    table: ClassVar[Table] = Table(key=("attempt_id",), event_at="attempted_at")

    attempt_id: Text = field("Of run, source and instant")
    run_id: Text = field("The run that asked")
    usecase: Text = field()
    dataset: Text | None = field("Null where nobody said, and nothing came that would tell")
    source: Text = field("Name of its declaration; for files their path, with * for the numbers in its name")
    outcome: Literal["declared", "taken", "refused"] = field(
        "declared: seen in the settings for the first time, nothing was asked; refused: some of it was, or all"
    )
    taken: Integer = field("Files, pieces or chunks that have a receipt, those that were known included", minimum=0)
    read: Integer = field("Rows of these", minimum=0)
    refused: Integer = field(
        "Files or pieces that were refused; 1 for a source that did not answer, or a watch that failed", minimum=0
    )
    error: Text | None = field("Class of the last error; null without one")
    said: Text | None = field("What that error says happened, up to 200 characters; null without one")
    refused_rows: Integer | None = field(
        "Of the last batch that was stopped over its reject budget: rows that broke the contract; null without one",
        minimum=0,
    )
    refused_read: Integer | None = field("Of the same batch: rows read", minimum=0)
    budget: Number | None = field("Of the same batch: its reject budget", minimum=0, maximum=1)
    passed_over: Integer | None = field(
        "Files that surely hold no rows by their names, and were passed over; null where nothing was counted", minimum=0
    )
    attempted_at: Instant = field("When it ended")

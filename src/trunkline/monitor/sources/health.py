"""What is known of a source: what arrived, what is wrong, by when more is expected."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

__all__ = ["Arrival", "Finding", "Problem", "SourceHealth", "SourceKey"]

Problem = Literal["late", "empty", "small", "over_budget", "failed"]
"""What may be wrong with a source."""


@dataclass(frozen=True, order=True)
class SourceKey:
    """Names a source.

    Attributes:
        usecase: The use case its rows belong to.
        dataset: The dataset.
        source: The name of its declaration; for files that were handed over, their path with ``*`` for the numbers in
            its name, so that the files of all days are one source.
    """

    usecase: str
    dataset: str
    source: str

    @property
    def label(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.source).name or self.source


@dataclass(frozen=True)
class Arrival:
    """What came at once: a file, or all pieces that one run pulled of a source.

    Attributes:
        run_id: The run that took it in.
        at: When it was done, UTC.
        read: Rows read.
        accepted: Rows written to the lake.
        quarantined: Rows that broke the contract.
        duplicates: Rows left out as repetitions.
        seconds: Time it took.
        size_bytes: Bytes as they came, where they were counted.
    """

    run_id: str
    at: datetime
    read: int
    accepted: int
    quarantined: int
    duplicates: int
    seconds: float
    size_bytes: int = 0


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        problem: Which.
        text: In a sentence, with the limit.
        value: Seconds since it was last heard of (late), rows (empty, small), share of refused rows (over_budget),
            files or pieces refused (failed).
        limit: The limit of the value.
        since: When the source was last well, UTC, where that is another time than that of its last batch: what tells
            this problem from one of its kind that was over meanwhile.
    """

    problem: Problem
    text: str
    value: float
    limit: float
    since: datetime | None = None


@dataclass(frozen=True)
class SourceHealth:
    """How a source stands.

    Attributes:
        key: The source.
        arrivals: Oldest first; none for a declared source that never delivered.
        findings: What is wrong; none when all is well.
        due_at: By when the next batch is expected, UTC; None when nobody can tell.
        is_declared: Whether the settings name it.
        budget: Largest share of rows that may be refused; None for any.
        heard_at: When it last delivered, or answered that it has nothing new, UTC; None where it never did.
        is_known: Whether anything was written down of it before: a batch, an attempt, that it is declared.
    """

    key: SourceKey
    arrivals: tuple[Arrival, ...]
    findings: tuple[Finding, ...]
    due_at: datetime | None
    is_declared: bool
    budget: float | None
    heard_at: datetime | None = None
    is_known: bool = True

    @property
    def newest(self) -> Arrival | None:
        """The last arrival."""
        return self.arrivals[-1] if self.arrivals else None

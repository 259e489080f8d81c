"""What became of each job, in the lake: ``platform.jobs``, one row per job, start and change of its state.

A lake belongs to one thread, and jobs end in many: :class:`JobBook` keeps one for itself. What cannot be written is
told in the log and stops no job.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text, field
from trunkline.contracts.records import Alert
from trunkline.errors import TrunklineError
from trunkline.run.alerts import write_alerts
from trunkline.run.notifying import announce

if TYPE_CHECKING:
    from trunkline.lake import Lake
    from trunkline.run.workspace import Workspace

__all__ = ["JOBS", "JobBook", "JobRecord", "newest_records"]

JOBS: Final = "platform.jobs"
"""Lake table of what became of the jobs."""

PLATFORM: Final = "platform"
"""Stands for a use case where an alert is of the whole workspace."""
_logger = logging.getLogger(__name__)


class JobRecord(Contract):
    """One row per start of a job and change of its state; the newest state of a start counts."""

    table: ClassVar[Table] = Table(key=("job", "slot_at"), event_at="changed_at")

    job: Text = field("ingest:SOURCE, run:USECASE or maintain")
    slot_at: Instant = field("When the job began; of a planned one, from when on it is due by its schedule")
    usecase: Text | None = field("The use case; null for maintenance")
    schedule: Text = field("The schedule by which it was due")
    state: Literal["planned", "started", "finished", "refused", "failed", "stopped"] = field(
        "refused: the gates refused the candidate; stopped: gone on with at the next start"
    )
    changed_at: Instant = field()
    run_id: Text | None = field("The run that it made; null where the command makes none")
    exit_code: Integer | None = field("Of the command; null while it runs, and where a signal ended it")
    seconds: Number | None = field("Wall time", unit="s", minimum=0)
    document: Text = field("JSON: counts, or what was wrong", max_length=1_000_000)

    @property
    def error(self) -> str:
        """What was wrong; empty when nothing was."""
        return str(json.loads(self.document).get("error", ""))


def newest_records(lake: "Lake") -> Mapping[str, JobRecord]:
    """Read the newest record of each job, by its name."""
    from trunkline.lake.versions import newest

    if not lake.exists(JOBS):
        return {}
    rows = lake.collect(
        lambda table: newest(table, key=("job",), newest_by=("changed_at",), table=JOBS),
        JOBS,
        schemas={JOBS: arrow_schema(JobRecord)},
    )
    return {str(row["job"]): JobRecord.model_construct(**row) for row in rows.to_pylist()}


def _ended_well(lake: "Lake") -> Mapping[str, datetime]:
    """Read when each job last ended well, by its name."""
    if not lake.exists(JOBS):
        return {}
    rows = lake.arrow(
        JOBS,
        columns=["job", "changed_at"],
        schema=arrow_schema(JobRecord),
        where=lambda table: table["state"].isin(["finished", "refused"]),
    )
    return {str(row["job"]): row["changed_at"] for row in rows.sort_by("changed_at").to_pylist()}


class JobBook:
    """Reads and writes the records of jobs, from any thread; use it in a ``with`` block.

    Args:
        workspace: Opens the workspace; called once, in the book's own thread.
    """

    def __init__(self, workspace: "Callable[[], Workspace]") -> None:
        self._open = workspace
        self._opened: Workspace | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trunkline-jobs")

    def __enter__(self) -> Self:
        """Enter a ``with`` block; nothing is opened yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, and close."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def newest(self) -> Mapping[str, JobRecord]:
        """Read the newest record of each job.

        Raises:
            TrunklineError: The lake cannot be read.
        """
        return self._thread.submit(lambda: newest_records(self._lake())).result()

    def ended_well(self) -> Mapping[str, datetime]:
        """Read when each job last ended well, UTC.

        Raises:
            TrunklineError: The lake cannot be read.
        """
        return self._thread.submit(lambda: _ended_well(self._lake())).result()

    def write(self, record: JobRecord) -> None:
        """Write a record down."""
        self._thread.submit(self._guarded, "record", lambda: self._append(record)).result()

    def alert(self, record: JobRecord, *, since: datetime | None) -> None:
        """Announce that a job failed, once for as long as it goes on failing.

        Args:
            record: Of the failure.
            since: When it had last ended well; None for never.
        """
        self._thread.submit(self._guarded, "alert", lambda: self._announce(record, since)).result()

    def _lake(self) -> "Lake":
        if self._opened is None:
            self._opened = self._open()
        return self._opened.lake

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _append(self, record: JobRecord) -> None:
        self._lake().append(JOBS, table_from_rows(JobRecord, [record.model_dump()]))

    def _announce(self, record: JobRecord, since: datetime | None) -> None:
        facts = json.dumps([record.job, since.isoformat() if since else "never"])
        alert = Alert(
            alert_id=hashlib.sha256(facts.encode()).hexdigest()[:24],
            run_id=record.run_id or record.job,
            usecase=record.usecase or PLATFORM,
            severity="major",
            title=f"the scheduled job {record.job} failed",
            text=record.error or "no more is known",
            raised_at=record.changed_at,
        )
        write_alerts(self._lake(), [alert], under=f"alert:{alert.alert_id}")
        assert self._opened is not None, "the lake is open"
        announce(self._opened)

    def _guarded(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except (TrunklineError, OSError) as error:
            # the job itself is done: what it wrote is in the lake, or will be by the next one
            _logger.error("the %s of a job cannot be written: %s", what, type(error).__name__)  # noqa: TRY400

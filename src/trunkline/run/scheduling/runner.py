"""Runs one job: its process, its record, its alert.

A job that was interrupted (the scheduler was ended, the machine went down) is gone on with under the id of its run, so
that nothing is done twice; where its process goes on although the scheduler was killed, its end is awaited first. A job
whose use case is busy, because a person started a run, waits for a while.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock
from typing import Final

from trunkline.run.scheduling.jobs import Job, run_id_of, said
from trunkline.run.scheduling.process import Ended, output_of, run_process
from trunkline.run.scheduling.record import JobBook, JobRecord
from trunkline.settings.scheduler import SchedulerSettings

__all__ = ["UNFINISHED", "JobRunner"]

UNFINISHED: Final = ("started", "stopped")
"""States of a job that is gone on with."""

_REFUSED: Final = 3
_BUSY: Final = "BusyError"
_AGAIN_S: Final = 2.0
_LONGEST_TEXT: Final = 500
_COUNTS: Final = ("ingest", "predictions", "model", "seconds")
_logger = logging.getLogger(__name__)


class JobRunner:
    """Runs jobs, from any thread.

    Args:
        book: Where their records go.
        root: The workspace's folder.
        settings: How many at once, how long, how patiently.
        stop: Set when everything is to end.
        clock: Gives the current instant, UTC.

    Raises:
        TrunklineError: The records cannot be read.
    """

    def __init__(
        self,
        book: JobBook,
        *,
        root: Path,
        settings: SchedulerSettings,
        stop: Event,
        clock: Callable[[], datetime],
    ) -> None:
        self._book = book
        self._root = root
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._newest = dict(book.newest())
        self._well_at = dict(book.ended_well())
        self._places = BoundedSemaphore(settings.max_jobs)
        self._lock = Lock()
        self.ended: dict[str, int] = {}
        """How many jobs ended, by state."""

    def newest(self, job: Job) -> JobRecord | None:
        """Give the newest record of a job; None where it never ran, or ran by another schedule."""
        found = self._newest.get(job.name)
        return found if found is not None and found.schedule == said(job.schedule) else None

    def plan(self, job: Job, *, since: datetime) -> None:
        """Write down from when on a job is due by its schedule, so that a first time that is missed is made up for."""
        self._write(self._record(job, slot_at=since, state="planned", run_id=None))

    def run(self, job: Job) -> JobRecord | None:
        """Run a job to its end; None where everything was told to stop before it began."""
        with self._places:
            if self._stop.is_set():
                return None
            before = self.newest(job)
            goes_on = before is not None and before.state in UNFINISHED
            slot_at = before.slot_at if before is not None and goes_on else self._clock()
            run_id = run_id_of(job, slot_at) if job.takes_run_id else None
            self._write(self._record(job, slot_at=slot_at, state="started", run_id=run_id))
            ended = self._ended(job, run_id)
            record = self._closing(job, ended, slot_at=slot_at, run_id=run_id)
            well_at = self._well_at.get(job.name)
            self._write(record)
        extra = {"usecase": job.usecase or None, "run_id": run_id, "state": record.state}
        if record.state == "failed":
            _logger.error("job %s failed: %s", job.name, record.error, extra=extra)
            self._book.alert(record, since=well_at)
        else:
            _logger.info("job %s: %s", job.name, record.state, extra=extra)
            if record.state != "stopped":
                self._well_at[job.name] = record.changed_at
        with self._lock:
            self.ended[record.state] = self.ended.get(record.state, 0) + 1
        return record

    def _ended(self, job: Job, run_id: str | None) -> Ended | str:
        """Run the command until it is not refused for being busy; gives how it ended, or why it cannot be started."""
        settings = self._settings
        arguments = [*job.command, "--json", "--workspace", str(self._root)]
        arguments += ["--run-id", run_id] if run_id is not None else []
        patient_until = self._clock() + settings.busy_wait
        while True:
            try:
                ended = run_process(
                    arguments,
                    said=output_of(self._root, job.name),
                    stop=self._stop,
                    longest_s=settings.longest.total_seconds(),
                    grace_s=settings.stop_grace.total_seconds(),
                )
            except OSError as error:
                return f"it cannot be started: {error.strerror}"
            if not _is_busy(ended) or self._clock() >= patient_until:
                return ended
            if self._stop.wait(_AGAIN_S):
                return ended

    def _closing(self, job: Job, ended: Ended | str, *, slot_at: datetime, run_id: str | None) -> JobRecord:
        if isinstance(ended, str):
            return self._record(job, slot_at=slot_at, state="failed", run_id=run_id, facts={"error": ended})
        facts: dict[str, object] = {name: ended.document[name] for name in _COUNTS if name in ended.document}
        if ended.why == "told" or (_is_busy(ended) and self._stop.is_set()):
            state = "stopped"
        elif ended.why == "itself" and ended.exit_code == 0:
            state = "finished"
        elif ended.why == "itself" and ended.exit_code == _REFUSED:
            state = "refused"
        else:
            state, facts["error"] = "failed", _what(ended, self._settings)
        return self._record(
            job, slot_at=slot_at, state=state, run_id=run_id, seconds=ended.seconds, code=ended.exit_code, facts=facts
        )

    def _record(
        self,
        job: Job,
        *,
        slot_at: datetime,
        state: str,
        run_id: str | None,
        seconds: float | None = None,
        code: int | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> JobRecord:
        return JobRecord.model_validate(
            {
                "job": job.name,
                "slot_at": slot_at,
                "usecase": job.usecase or None,
                "schedule": said(job.schedule),
                "state": state,
                "changed_at": max(self._clock(), slot_at),
                "run_id": run_id,
                "exit_code": code,
                "seconds": seconds,
                "document": json.dumps(facts or {}),
            }
        )

    def _write(self, record: JobRecord) -> None:
        self._newest[record.job] = record
        self._book.write(record)


def _error(ended: Ended) -> dict[str, object]:
    found = ended.document.get("error")
    return found if isinstance(found, dict) else {}


def _is_busy(ended: Ended) -> bool:
    """Whether it, or a source of it, was refused because somebody else was at work."""
    refused = ended.document.get("refused")
    sources = refused if isinstance(refused, list) else []
    return any(isinstance(one, dict) and one.get("kind") == _BUSY for one in (_error(ended), *sources))


def _what(ended: Ended, settings: SchedulerSettings) -> str:
    """Say why a job failed, in a sentence without values of rows."""
    if ended.why == "late":
        return f"it took longer than {settings.longest} and was ended"
    if ended.exit_code < 0:
        return f"the signal {-ended.exit_code} ended it"
    found = _error(ended)
    if found:
        where = f" ({found['where']})" if found.get("where") else ""
        return f"{found.get('what')}{where}"[:_LONGEST_TEXT]
    files = ended.document.get("files")
    refused = [one for one in files if isinstance(one, dict) and one.get("error")] if isinstance(files, list) else []
    if refused:
        more = f", and {len(refused) - 1} more files" if len(refused) > 1 else ""
        return f"{refused[0]['path']}: {refused[0]['error']}{more}"[:_LONGEST_TEXT]
    return f"it ended with exit code {ended.exit_code}; its log is in the workspace's folder `schedule`"

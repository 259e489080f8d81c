"""Settings of the built-in scheduler. Units stand in each field's description."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, Field

from trunkline.spec.sources import Schedule

__all__ = ["SchedulerSettings"]


class SchedulerSettings(BaseModel, frozen=True, extra="forbid"):
    """What runs by itself beside the sources, which carry their own schedules."""

    enabled: bool = Field(
        default=False, description="Whether `trunkline serve` runs the scheduler; `trunkline schedule run` always does."
    )
    runs: Mapping[str, Schedule] = Field(
        {},
        description="When the whole plan of a use case runs, by the use case's name; wins over its own `schedule`. "
        '`[scheduler.runs.churn]` with `cron = "30 5 * * *"` or `every = "PT1H"`, and `zone`.',
    )
    alarms: Mapping[str, Schedule] = Field(
        {},
        description="When what a use case watches is evaluated (`trunkline alarms`), by the use case's name: "
        '`[scheduler.alarms.towers]` with `every = "PT15M"`.',
    )
    sources: Schedule | None = Field(
        None,
        description="When the health of all sources is judged and told (`trunkline sources check`), so that one is "
        "known to be late although nothing runs, e.g. every quarter of an hour; none only after ingestions.",
    )
    maintain: Schedule | None = Field(
        None, description="When `trunkline maintain` runs, e.g. each night; none only when somebody asks for it."
    )
    skip: tuple[str, ...] = Field(
        (), description="Jobs that are not started here, by the names that `trunkline schedule list` shows."
    )
    max_jobs: int = Field(2, ge=1, description="Jobs of different use cases that may run at once (jobs).")
    longest: timedelta = Field(
        timedelta(hours=12),
        gt=timedelta(0),
        description="Longest time of one job; then it is ended and failed (hours).",
    )
    busy_wait: timedelta = Field(
        timedelta(minutes=10),
        ge=timedelta(0),
        description="How long a job waits for a run of its use case that somebody else started (minutes).",
    )
    stop_grace: timedelta = Field(
        timedelta(seconds=20),
        ge=timedelta(0),
        description="Time that running jobs have to finish when the scheduler is told to stop; then they are ended, "
        "and gone on with at the next start (seconds).",
    )

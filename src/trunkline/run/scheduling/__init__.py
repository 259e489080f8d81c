"""What runs by itself: jobs from schedules, the scheduler that starts them, and how they stand."""

from trunkline.run.scheduling.jobs import INGEST, MAINTAIN, RUN, SOURCES, Job, every_job, jobs_of
from trunkline.run.scheduling.listing import JobState, job_states
from trunkline.run.scheduling.record import JOBS, PLATFORM, JobRecord
from trunkline.run.scheduling.scheduler import SchedulerThread, due_at, is_scheduling, run_due, run_scheduler

__all__ = [
    "INGEST",
    "JOBS",
    "MAINTAIN",
    "PLATFORM",
    "RUN",
    "SOURCES",
    "Job",
    "JobRecord",
    "JobState",
    "SchedulerThread",
    "due_at",
    "every_job",
    "is_scheduling",
    "job_states",
    "jobs_of",
    "run_due",
    "run_scheduler",
]

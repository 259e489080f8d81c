"""``schedule``: run sources, plans and maintenance when they are due, and say how they stand."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trunkline.cli.output import Common, emit, opened, table
from trunkline.cli.stopping import until_told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.run.scheduling import JobRecord, JobState

app = App(name="schedule", help="Run what is due by its schedule, or list it.")

_FAILED = 1


@app.command
def run(
    *,
    once: Annotated[bool, Parameter(help="Run what is due now, and end.", negative="")] = False,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Run the sources, plans and maintenance of the workspace whenever they are due, until the process is told to stop.

    What was due while nobody ran is made up for once. Jobs run as processes of their own, those of one use case one
    after the other. What became of them stands in the lake's table ``platform.jobs``; one that fails raises an alert.

    Args:
        once: Run what is due now, and end; with exit code 1 if a job failed.
        common: Options of every command.
    """
    from trunkline.run import Workspace
    from trunkline.run.scheduling import Job, run_due, run_scheduler

    with opened(common) as workspace, until_told() as stop:

        def again() -> Workspace:
            return Workspace(workspace.settings)

        def begun(jobs: "list[Job]") -> None:
            said = "1 job by its schedule" if len(jobs) == 1 else f"{len(jobs)} jobs by their schedules"
            print(f"trunkline runs {said}; `trunkline schedule list` says when each ran", file=sys.stderr, flush=True)

        if once:
            ended = run_due(workspace, again=again, stop=stop, told=lambda record: _tell(record, common))
        else:
            ended = run_scheduler(workspace, again=again, stop=stop, begun=lambda jobs: begun(list(jobs)))
    emit({"ended": ended}, common=common, text=lambda: _show_ended(ended, once=once))
    return _FAILED if once and ended.get("failed") else 0


@app.command(name="list")
def list_jobs(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """List what runs by itself: its schedule, its state, when it last ran and when it is due.

    Args:
        common: Options of every command.
    """
    from trunkline.run.scheduling import is_scheduling, job_states

    with opened(common) as workspace:
        runs, states = is_scheduling(workspace), job_states(workspace)
    document = {"running": runs, "jobs": [state.model_dump(mode="json") for state in states]}
    emit(document, common=common, text=lambda: _show(states, runs=runs))
    return 0


def _show_ended(ended: "Mapping[str, int]", *, once: bool) -> None:
    if once and not ended:
        print("nothing is due; `trunkline schedule list` says when that will be")


def _tell(record: "JobRecord", common: Common) -> None:
    took = "" if record.seconds is None else f" in {record.seconds:.1f} s"
    text = f"{record.job}: {record.state}{took}{': ' if record.error else ''}{record.error}"
    print(text, file=sys.stderr if common.json else sys.stdout, flush=True)


def _show(states: "tuple[JobState, ...]", *, runs: bool) -> None:
    if not states:
        print("nothing has a schedule; docs/schedule.md says how to give one")
        return
    table(
        "by schedule, times in UTC",
        ["job", "schedule", "state", "last began", "seconds", "due", "what was wrong"],
        [
            [
                state.job,
                state.schedule,
                state.state,
                f"{state.last_at:%Y-%m-%d %H:%M:%S}" if state.last_at else None,
                state.seconds,
                f"{state.next_at:%Y-%m-%d %H:%M:%S}" if state.next_at else None,
                state.error,
            ]
            for state in states
        ],
    )
    if not runs:
        print("no scheduler runs in this workspace: `trunkline schedule run`, or `scheduler.enabled` for the server")

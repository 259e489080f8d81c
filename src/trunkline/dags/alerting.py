"""Alerts about runs of Airflow: a task failed for good, or a run missed its deadline. The rendered file asks for them.

What a step itself could say stands in the log of the task and, where the step came so far, in the records of its run.
These alerts are there even where the step was killed, never began, or hangs.
"""

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from trunkline.contracts.records import Alert
from trunkline.run.alerts import write_alerts
from trunkline.run.notifying import announce
from trunkline.run.records import latest_run_id, refuse_malformed
from trunkline.run.scheduling import PLATFORM

if TYPE_CHECKING:
    from trunkline.run import Workspace

__all__ = ["alert_failed", "alert_late"]

_LONGEST: Final = 200


def alert_failed(
    workspace: "Workspace", usecase: str, *, run_id: str, dag: str, dag_run: str, tasks: tuple[str, ...] = ()
) -> Alert:
    """Write an alert about a run of a DAG that failed, once for each such run, and tell those whom the settings name.

    Args:
        workspace: Where it is written.
        usecase: The use case; ``platform`` where the DAG is the workspace's.
        run_id: The run of Trunkline that the DAG was about.
        dag: Id of the DAG.
        dag_run: Id of its run in Airflow.
        tasks: Ids of the tasks that failed.

    Returns:
        The alert.

    Raises:
        InputError: The run id is malformed.
        UnknownNameError: There is no such use case.
    """
    failed = ", ".join(task[:_LONGEST] for task in tasks[:5]) or "a task"
    return _raised(
        workspace,
        usecase,
        run_id=run_id,
        named=[dag, dag_run, run_id],
        severity="major",
        title=f"the pipeline {dag[:_LONGEST]} failed",
        text=f"{failed} failed in the run {dag_run[:_LONGEST]} of Airflow, whose log says why",
    )


def alert_late(
    workspace: "Workspace", usecase: str, *, run_id: str | None, dag: str, dag_run: str, deadline: timedelta
) -> Alert:
    """Write an alert about a run of a DAG that missed its deadline, once for each such run, and tell those to be told.

    Args:
        workspace: Where it is written.
        usecase: The use case; ``platform`` where the DAG is the workspace's.
        run_id: The run of Trunkline that the DAG is about; None for the newest of the use case.
        dag: Id of the DAG.
        dag_run: Id of its run in Airflow.
        deadline: How long after it was queued it had to be at its end.

    Returns:
        The alert.

    Raises:
        InputError: The run id is malformed.
        UnknownNameError: There is no such use case, or no run is named and it has none.
    """
    return _raised(
        workspace,
        usecase,
        run_id=run_id or None,
        named=[dag, dag_run, "deadline"],
        severity="minor",
        title=f"the pipeline {dag[:_LONGEST]} missed its deadline",
        text=f"the run {dag_run[:_LONGEST]} of Airflow is not at its end {deadline} after it was queued",
    )


def _raised(
    workspace: "Workspace",
    usecase: str,
    *,
    run_id: str | None,
    named: list[str],
    severity: Literal["major", "minor"],
    title: str,
    text: str,
) -> Alert:
    if run_id is not None:
        refuse_malformed(run_id)
    if usecase != PLATFORM:
        workspace.usecase(usecase)
    alert = Alert(
        alert_id=hashlib.sha256(json.dumps(named).encode()).hexdigest()[:24],
        run_id=latest_run_id(workspace, usecase) if run_id is None else run_id,
        usecase=usecase,
        severity=severity,
        title=title,
        text=text,
        raised_at=workspace.clock(),
    )
    write_alerts(workspace.lake, [alert], under=f"alert:{alert.alert_id}")
    announce(workspace)
    return alert

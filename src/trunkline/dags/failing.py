"""The alert about a task of Airflow that failed for good: told by a task that runs when another one has failed.

What a step itself could say stands in the log of the task and, where the step came so far, in the records of its run.
This alert is there even where the step was killed, or never began.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Final

from trunkline.contracts.records import Alert
from trunkline.run.alerts import write_alerts
from trunkline.run.notifying import announce
from trunkline.run.records import refuse_malformed

if TYPE_CHECKING:
    from trunkline.run import Workspace

__all__ = ["raise_alert"]

_LONGEST: Final = 200


def raise_alert(
    workspace: "Workspace", usecase: str, *, run_id: str, dag: str, dag_run: str, tasks: tuple[str, ...] = ()
) -> Alert:
    """Write an alert about a run of a DAG, once for each such run, and tell those whom the settings name.

    Args:
        workspace: Where it is written.
        usecase: The use case.
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
    refuse_malformed(run_id)
    workspace.usecase(usecase)
    facts = json.dumps([dag, dag_run, run_id])
    failed = ", ".join(task[:_LONGEST] for task in tasks[:5]) or "a task"
    alert = Alert(
        alert_id=hashlib.sha256(facts.encode()).hexdigest()[:24],
        run_id=run_id,
        usecase=usecase,
        severity="major",
        title=f"the pipeline {dag[:_LONGEST]} failed",
        text=f"{failed} failed in the run {dag_run[:_LONGEST]} of Airflow, whose log says why",
        raised_at=workspace.clock(),
    )
    write_alerts(workspace.lake, [alert], under=f"alert:{alert.alert_id}")
    announce(workspace)
    return alert

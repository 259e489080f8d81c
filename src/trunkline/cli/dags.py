"""``dags``: render the use cases as DAGs for Airflow; and what these tell when a task failed, or a run is late."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from trunkline.cli.output import Common, emit, opened, tell_broken

if TYPE_CHECKING:
    from trunkline.contracts.records import Alert

app = App(name="dags", help="Render the use cases as DAGs for Airflow.")


@app.default
def dags(
    *usecases: str,
    out: Annotated[Path, Parameter(help="The Python file, in a folder that Airflow reads DAGs from.")],
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Write the plans of use cases into one file of DAGs for Airflow 3; of all of them where none is named.

    What is of the whole workspace (maintenance) has a DAG in a file of all of them.

    Args:
        usecases: Names of use cases.
        out: The Python file, in a folder that Airflow reads DAGs from.
        common: Options of every command.
    """
    from trunkline.dags import leaves_out, render, write

    with opened(common) as workspace:
        installed = workspace.installed()
        names = tuple(dict.fromkeys(usecases)) or tuple(installed.usecases)
        text = render(workspace, names)
        left_out = leaves_out(workspace, names)
    broken = [] if usecases else tell_broken(installed.broken)
    write(text, out)
    for name in left_out:
        print(f"trunkline: left out {name!r}, which is in a file of all use cases", file=sys.stderr)
    document = {
        "out": str(out.absolute()),
        "usecases": names,
        "bytes": len(text.encode()),
        "broken": broken,
        "left_out": left_out,
    }
    emit(document, common=common, text=lambda: print(f"{', '.join(names)} -> {out}"))
    return 0


@app.command
def failed(
    usecase: str,
    /,
    *,
    run_id: Annotated[str, Parameter(name="--run-id", help="The run of Trunkline that the DAG was about.")],
    dag: Annotated[str, Parameter(help="Id of the DAG.")],
    dag_run: Annotated[str, Parameter(help="Id of its run in Airflow.")],
    task: Annotated[tuple[str, ...], Parameter(help="A task that failed; may be given again.", negative="")] = (),
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Raise an alert: a task of a rendered DAG has failed for good. The DAG calls it; the same again raises no other.

    Args:
        usecase: Name of the use case; `platform` where the DAG is the workspace's.
        run_id: The run of Trunkline that the DAG was about.
        dag: Id of the DAG.
        dag_run: Id of its run in Airflow.
        task: A task that failed.
        common: Options of every command.
    """
    from trunkline.dags.alerting import alert_failed

    with opened(common) as workspace:
        alert = alert_failed(workspace, usecase, run_id=run_id, dag=dag, dag_run=dag_run, tasks=task)
    return _told(alert, common)


@app.command
def late(
    usecase: str,
    /,
    *,
    dag: Annotated[str, Parameter(help="Id of the DAG.")],
    dag_run: Annotated[str, Parameter(help="Id of its run in Airflow.")],
    deadline_s: Annotated[
        int, Parameter(help="How long after it was queued it had to be at its end, in seconds.", validator=Number(gt=0))
    ],
    run_id: Annotated[
        str | None,
        Parameter(name="--run-id", help="The run of Trunkline that the DAG is about; the newest by default."),
    ] = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Raise an alert: a run of a rendered DAG missed its deadline. The DAG calls it; the same again raises no other.

    Args:
        usecase: Name of the use case; `platform` where the DAG is the workspace's.
        dag: Id of the DAG.
        dag_run: Id of its run in Airflow.
        deadline_s: How long after it was queued it had to be at its end, in seconds.
        run_id: The run of Trunkline that the DAG is about; the newest by default.
        common: Options of every command.
    """
    from trunkline.dags.alerting import alert_late

    with opened(common) as workspace:
        alert = alert_late(
            workspace, usecase, run_id=run_id, dag=dag, dag_run=dag_run, deadline=timedelta(seconds=deadline_s)
        )
    return _told(alert, common)


def _told(alert: "Alert", common: Common) -> int:
    emit(alert.model_dump(mode="json"), common=common, text=lambda: print(f"ALERT {alert.severity}: {alert.title}"))
    return 0

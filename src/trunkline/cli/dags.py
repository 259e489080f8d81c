"""``dags``: render the use cases as DAGs for Airflow."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from trunkline.cli.output import Common, emit, opened

app = App(name="dags", help="Render the use cases as DAGs for Airflow.")


@app.default
def dags(
    *usecases: str,
    out: Annotated[Path, Parameter(help="The Python file, in a folder that Airflow reads DAGs from.")],
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Write the plans of use cases into one file of DAGs for Airflow 3; of all of them where none is named.

    Args:
        usecases: Names of use cases.
        out: The Python file, in a folder that Airflow reads DAGs from.
        common: Options of every command.
    """
    from trunkline.dags import render, write

    with opened(common) as workspace:
        text = render(workspace, usecases)
        write(text, out)
        named = usecases or workspace.usecases()
    document = {"out": str(out.absolute()), "usecases": list(named), "bytes": len(text.encode())}
    emit(document, common=common, text=lambda: print(f"{', '.join(named)} -> {out}"))
    return 0

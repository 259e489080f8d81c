"""The file that Airflow reads: data of the plans, and the few functions that make DAGs of them.

The functions stand in ``airflow_file.txt``, which is no module: Trunkline runs without Airflow. Those for batches of
Dataproc, which import Google's operators, stand in ``dataproc_file.txt`` and go in where the settings ask for them.
"""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.dags.content import content_of
from trunkline.dags.literals import literal
from trunkline.errors import InputError
from trunkline.files import replacing
from trunkline.run.outputs import refuse_unwritable

if TYPE_CHECKING:
    from trunkline.run import Workspace

__all__ = ["render", "write"]

_PLACE: Final = "__PLAN__"
_BATCHES: Final = "# BATCHES\n"
_ASSIGNED: Final = len("PLAN = ")


def render(workspace: "Workspace", usecases: tuple[str, ...] = ()) -> str:
    """Write the DAGs of use cases as one Python file; the same text for the same settings and use cases.

    Args:
        workspace: Knows the use cases and the settings.
        usecases: Their names; empty for all that are installed.

    Raises:
        UnknownNameError: There is no such use case.
        InputError: The settings ask for what Airflow cannot do.
    """
    names = tuple(dict.fromkeys(usecases)) or workspace.usecases()
    folder = files("trunkline.dags")
    text = folder.joinpath("airflow_file.txt").read_text(encoding="utf-8")
    batches = ""
    if workspace.settings.dags.dataproc is not None:
        batches = folder.joinpath("dataproc_file.txt").read_text(encoding="utf-8")
    text = text.replace(_BATCHES, batches, 1)
    return text.replace(_PLACE, literal(content_of(workspace, names), before=_ASSIGNED), 1)


def write(text: str, out: Path) -> None:
    """Write the file, whole or not at all: Airflow may read the folder at any moment.

    Raises:
        InputError: It cannot be written there.
    """
    if out.suffix != ".py":
        raise InputError("Airflow reads DAGs from Python files", where=str(out), next_step="e.g. --out dags/churn.py")
    refuse_unwritable(out)
    try:
        with replacing(out) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("the file cannot be written", where=f"{out} ({error.strerror})") from None

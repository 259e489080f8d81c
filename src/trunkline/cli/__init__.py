"""The command line: thin commands, imported only when they are called.

``main`` turns exceptions into text and exit codes: 0 done, 1 a fault, 2 bad input, 3 a refused gate.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["COMMANDS", "app", "main"]

COMMANDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("usecases", "trunkline.cli.usecases:usecases", "List what is installed."),
    ("new", "trunkline.cli.usecases:new", "Copy a use case into a plug-in of your own, or infer one from a file."),
    ("simulate", "trunkline.cli.usecases:simulate", "Write realistic data with known truth."),
    ("ingest", "trunkline.cli.steps:ingest", "Take sources into the lake by contract."),
    ("watch", "trunkline.cli.arrivals:watch", "Ingest files as they arrive in a folder."),
    ("sources", "trunkline.cli.sources:app", "Say how sources stand, and raise alerts of what is wrong."),
    ("schedule", "trunkline.cli.schedule:app", "Run what is due by its schedule, or list it."),
    ("quarantine", "trunkline.cli.quarantine:app", "List, show, export, replay or discard refused rows."),
    ("run", "trunkline.cli.steps:run", "Execute a use case's whole plan."),
    ("train", "trunkline.cli.steps:train", "Learn a candidate."),
    ("evaluate", "trunkline.cli.steps:evaluate", "Judge the candidate by the gates, or the champion on a file."),
    ("register", "trunkline.cli.steps:register", "Put a judged candidate into the registry."),
    ("rollout", "trunkline.cli.steps:rollout", "Make a registered version the champion."),
    ("predict", "trunkline.cli.steps:predict", "Score the lake's rows, or a file."),
    ("monitor", "trunkline.cli.steps:monitor", "Read drift and performance of the champion."),
    ("alarms", "trunkline.cli.alarming:alarms", "Find what is unusual without labels, and keep its alarms."),
    ("report", "trunkline.cli.steps:report", "Write the page of a run."),
    ("publish", "trunkline.cli.publishing:publish", "Bring tables to databases, stores and hooks."),
    ("notify", "trunkline.cli.notifying:notify", "Tell what became of runs, gates and alerts."),
    ("contact", "trunkline.cli.contacting:contact", "Decide who of an audience is sent a message."),
    ("push", "trunkline.cli.pushing:push", "Take messages to customers, and make pushes of them."),
    ("models", "trunkline.cli.models:app", "List, show, promote, roll back and retire versions."),
    ("serve", "trunkline.cli.serving:serve", "Start the API and the console."),
    ("devices", "trunkline.cli.devices:app", "Add, list and revoke devices that send records."),
    ("lineage", "trunkline.cli.lineage:lineage", "Say what an answer, a version or a run rests on."),
    ("maintain", "trunkline.cli.maintenance:maintain", "Compact tables and remove what retention lets go."),
    ("dags", "trunkline.cli.dags:app", "Render the use cases as DAGs for Airflow."),
    ("doctor", "trunkline.cli.doctor:doctor", "Say what is installed, reachable, missing, and what mends it."),
)
"""Name, import path and one line of help of each command."""


_ABOUT: Final = "The whole life of machine-learning models at a telecom operator."

_CLOSING: Final = (
    "Exit codes: 0 done, 1 a fault, 2 bad input, 3 a refused gate. "
    "Every command takes --help, --json and --workspace DIR; TRUNKLINE_DEBUG=1 shows the traceback of a fault."
)


def app() -> "App":
    """Build the application; no command is imported."""
    from cyclopts import App

    built = App(
        name="trunkline",
        help=_ABOUT,
        help_epilogue=_CLOSING,
        version=_version,
        version_flags=["--version"],
        suppress_keyboard_interrupt=False,  # run_command says how to go on
        help_format="plaintext",  # markdown would import rich.markdown: 0.15 s
    )
    for name, path, text in COMMANDS:
        built.command(path, name=name, help=text)
    return built


def _version() -> str:
    import trunkline

    return trunkline.__version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None takes those of the process.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given in ([], ["--help"], ["-h"]):
        print(_overview())  # the table above says it all: no command line library is loaded for it
        return 0
    from trunkline.cli.output import run_command

    return run_command(app(), given)


def _overview() -> str:
    import textwrap

    width = max(len(name) for name, _, _ in COMMANDS)
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, _, text in COMMANDS)
    return "\n\n".join(
        (
            "Usage: trunkline COMMAND [ARGUMENTS]",
            _ABOUT,
            f"Commands:\n{listed}",
            textwrap.fill(_CLOSING, width=78, break_on_hyphens=False),
        )
    )

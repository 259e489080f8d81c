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
    ("ingest", "trunkline.cli.steps:ingest", "Take files into the lake by contract."),
    ("quarantine", "trunkline.cli.quarantine:app", "List, show, replay or discard refused rows."),
    ("run", "trunkline.cli.steps:run", "Execute a use case's whole plan."),
    ("train", "trunkline.cli.steps:train", "Learn a candidate."),
    ("evaluate", "trunkline.cli.steps:evaluate", "Judge the candidate by the gates, or the champion on a file."),
    ("register", "trunkline.cli.steps:register", "Put a judged candidate into the registry."),
    ("rollout", "trunkline.cli.steps:rollout", "Make a registered version the champion."),
    ("predict", "trunkline.cli.steps:predict", "Score the lake's rows, or a file."),
    ("monitor", "trunkline.cli.steps:monitor", "Read drift and performance of the champion."),
    ("report", "trunkline.cli.steps:report", "Write the page of a run."),
    ("models", "trunkline.cli.models:app", "List, show, promote, roll back and retire versions."),
    ("serve", "trunkline.cli.serving:serve", "Start the API and the console."),
    ("lineage", "trunkline.cli.lineage:lineage", "Say what an answer, a version or a run rests on."),
    ("maintain", "trunkline.cli.maintenance:maintain", "Compact tables and remove what retention lets go."),
    ("doctor", "trunkline.cli.doctor:doctor", "Say what is installed, reachable, missing, and what mends it."),
)
"""Name, import path and one line of help of each command."""


def app() -> "App":
    """Build the application; no command is imported."""
    from cyclopts import App

    from trunkline import __version__

    built = App(
        name="trunkline",
        help="The whole life of machine-learning models at a telecom operator.",
        version=__version__,
        version_flags=["--version"],
    )
    for name, path, text in COMMANDS:
        built.command(path, name=name, help=text)
    return built


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; None takes those of the process.

    Returns:
        The exit code.
    """
    from trunkline.cli.output import run_command

    given = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(app(), given)

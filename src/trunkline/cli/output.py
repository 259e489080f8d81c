"""What commands print: JSON for programs, tables for people, errors for both; and the exit codes."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import CycloptsError, Parameter, UnusedCliTokensError

from trunkline.errors import InputError, TrunklineError, UnavailableError

if TYPE_CHECKING:
    from cyclopts import App

    from trunkline.run import SourcesRefusedError, Workspace

__all__ = [
    "Common",
    "emit",
    "opened",
    "progress",
    "refused_document",
    "run_command",
    "table",
    "tell_broken",
    "tell_refused",
]

_WIDE: Final = 160
_MOST_REASONS: Final = 12

DEBUG: Final = "TRUNKLINE_DEBUG"
"""Environment variable that, set to anything, shows the traceback of a fault."""


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """What every command takes.

    Attributes:
        json: Print one JSON document on stdout.
        workspace: Folder of everything that Trunkline keeps.
    """

    json: Annotated[
        bool, Parameter(name="--json", negative="", show_default=False, help="Print one JSON document on stdout.")
    ] = False
    workspace: Annotated[
        Path | None,
        Parameter(name="--workspace", help="Folder of the workspace; $TRUNKLINE_WORKSPACE or ./workspace by default."),
    ] = None


def run_command(app: "App", arguments: Sequence[str]) -> int:
    """Run a command and turn what it raises into text and an exit code.

    Args:
        app: The application.
        arguments: Command and options.

    Returns:
        0 done, 1 a fault, 2 bad input, 3 a refused gate.
    """
    as_json = "--json" in arguments
    try:
        result = app(
            list(arguments), exit_on_error=False, print_error=False, help_on_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        chain = " ".join(("trunkline", *(error.command_chain or ())))
        refused = InputError(_said(error), where="the command line", next_step=f"see `{chain} --help`")
        return _fail(refused, as_json=as_json)
    except TrunklineError as error:
        return _fail(error, as_json=as_json)
    except KeyboardInterrupt as stopped:
        said = getattr(stopped, "__notes__", ("to go on, repeat the command: what is done is not done twice",))
        print(f"trunkline: interrupted; {'; '.join(said)}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last door: a user sees one clear text and never a traceback
        if os.environ.get(DEBUG):
            traceback.print_exception(error)
        return _fail(_fault(error), as_json=as_json)
    return result if isinstance(result, int) else 0


def _said(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"the command takes no such argument: {' '.join(error.unused_tokens)}"
    return " ".join(str(error).split())


def _fault(error: Exception) -> TrunklineError:
    """Tell a fault of the world from one of the program, and say either in one sentence."""
    if isinstance(error, OSError) and error.errno is not None:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return UnavailableError(
            f"the system refused: {error.strerror or type(error).__name__}",
            where=", ".join(named),
            next_step="check space, permissions and limits there, then repeat the command: it goes on where it stopped",
        )
    first = next((line for line in str(error).splitlines() if line.strip()), "no text")
    return TrunklineError(
        f"something unforeseen: {type(error).__name__}: {first.strip()}",
        next_step=f"repeat the command; if it fails again, report it with the traceback that {DEBUG}=1 shows",
    )


def _fail(error: TrunklineError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": _document(error)}))
    print(f"trunkline: {error}", file=sys.stderr)
    return error.exit_code


def _document(error: TrunklineError) -> dict[str, object]:
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "allowed": error.allowed,
        "next": error.next_step,
    }


def emit(document: Mapping[str, object], *, common: Common, text: Callable[[], None]) -> None:
    """Print a document as JSON, or its text form.

    Args:
        document: The result; JSON or what ``default=str`` makes of it.
        common: Says which form is wanted.
        text: Prints the form for people.
    """
    if common.json:
        print(json.dumps(document, default=str))
    else:
        text()


def refused_document(refused: "SourcesRefusedError | None") -> dict[str, object]:
    """Put refused sources into the document of ``--json``: each with the facts of its error, and what they come to."""
    if refused is None:
        return {"refused": []}
    each = [{"source": one.source, **_document(one.error)} for one in refused.outcomes if one.error is not None]
    return {"refused": each, "error": _document(refused.told)}


def tell_refused(refused: "SourcesRefusedError") -> None:
    """Say on stderr why sources were refused; what is alike is said once, with the first of its places."""
    alike: dict[tuple[object, ...], list[TrunklineError]] = {}
    for error in refused.errors:
        alike.setdefault((error.what, error.allowed, error.next_step), []).append(error)
    reasons = list(alike.values())
    for errors in reasons[:_MOST_REASONS]:
        print(f"trunkline: {errors[0].rendered(error.where for error in errors)}", file=sys.stderr)
    more = sum(map(len, reasons[_MOST_REASONS:]))
    if more:
        print(f"trunkline: {more} more were refused for other reasons; --json tells those of each", file=sys.stderr)


def tell_broken(broken: Mapping[str, TrunklineError]) -> list[dict[str, object]]:
    """Say on stderr which use cases were left out because they are broken.

    Args:
        broken: By name.

    Returns:
        The same for the document of ``--json``.
    """
    for name, error in broken.items():
        print(f"trunkline: left out the use case {name!r}: {error}", file=sys.stderr)
    return [{"name": name, **_document(error)} for name, error in broken.items()]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table for people; cells are text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_cell(cell)) for cell in row))
    # a pipe or a file has no width: whoever reads it can fold lines, but not unfold them
    console = Console()
    (console if console.is_terminal else Console(width=_WIDE)).print(drawn)


def _cell(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return str(cell)


@contextmanager
def opened(common: Common, **given: object) -> "Iterator[Workspace]":
    """Open the workspace that options, environment and settings file name, and close it.

    Args:
        common: Options of every command.
        given: Settings that an option of the command gives; they win over environment and file.
    """
    from trunkline.cli.logs import set_up_log
    from trunkline.run import Workspace
    from trunkline.settings import load_settings

    settings = load_settings(workspace=common.workspace, **given)
    set_up_log(settings.log, quiet=True)
    if not settings.workspace.exists():
        print(f"· no workspace at {settings.workspace} yet", file=sys.stderr)
    with Workspace(settings) as workspace:
        yield workspace


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """Show progress on stderr: a bar on a terminal, one line per phase elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        said: list[str] = []

        def line(what: str, _share: float) -> None:
            if what != "done" and (not said or said[-1] != what):
                said.append(what)
                print(f"· {what}", file=sys.stderr)

        yield line
        return
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True)
    with bar:
        task = bar.add_task("starting", total=1.0)

        def update(what: str, share: float) -> None:
            bar.update(task, description=what, completed=share)

        yield update

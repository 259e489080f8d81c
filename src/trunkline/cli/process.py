"""The process of one command: it begins with a patient collector, and ends without taking its memory apart.

What a command imports makes some hundred thousand objects that stay. Python's collector of reference cycles would go
through them every few hundred new ones and find nothing, and at the end the interpreter would free each of them before
the operating system frees the whole: together a third of a command that takes a second. Mypy's command does the same
for the same reason; that its end is a right one is the way in which :mod:`multiprocessing` ends its processes.
"""

import atexit
import gc
import os
import sys
import threading
from typing import NoReturn

__all__ = ["begin", "end", "run"]

_NEW_OBJECTS = 100_000


def begin() -> None:
    """Let the collector run after a hundred thousand new objects, not after seven hundred.

    Pydantic is told to look for no plug-ins of its own, for which it would read what every installed package announces;
    who has one names the others in ``PYDANTIC_DISABLE_PLUGINS``, or sets it empty.
    """
    gc.set_threshold(_NEW_OBJECTS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def end(code: int) -> NoReturn:
    """End the process: threads are waited for, what is registered with :mod:`atexit` runs, output is flushed.

    Args:
        code: The exit code.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - it alone ends the idle threads of pools
    atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter calls at its end
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):  # whoever read it is gone, or it was closed: nothing is left to say
        pass
    os._exit(code)


def run() -> NoReturn:
    """Run the command that the process was started with."""
    from trunkline.cli import main

    begin()
    end(main())

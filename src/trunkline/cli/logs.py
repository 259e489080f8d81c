"""The log of a command: lines for people, or one JSON object a line for machines that collect logs.

Takes the settings, sets up the standard library's logging of this process on standard error. The form of a line is that
of the files in the workspace (:mod:`trunkline.run.run_log`).
"""

import logging
import sys
from typing import TextIO

from trunkline.run.run_log import LEVELS, JsonLines
from trunkline.settings.log import LogSettings

__all__ = ["set_up_log"]


def set_up_log(settings: LogSettings, *, quiet: bool = False) -> None:
    """Send the log of this process to standard error; a second call takes the place of the first.

    Args:
        settings: Form and level.
        quiet: As text, write nothing below a warning: a command that shows its progress says the rest.
    """
    root = logging.getLogger()
    for known in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(known)
    handler = _Handler(sys.stderr)
    level = LEVELS[settings.level]
    if settings.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        if quiet:
            level = max(level, logging.WARNING)
            handler.addFilter(lambda record: "state" not in record.__dict__)  # how a run ends is said by its command
    # libraries write addresses and arguments into their chatter
    handler.addFilter(lambda record: record.name.partition(".")[0] == "trunkline" or record.levelno >= logging.WARNING)
    handler.setLevel(level)  # the file of a run may want more than people do
    root.addHandler(handler)
    logging.getLogger("trunkline").setLevel(level)


class _Handler(logging.StreamHandler[TextIO]):
    """The handler of this module, to be told from others."""

"""The log of a command: lines for people, or one JSON object a line for machines that collect logs.

Takes the settings, sets up the standard library's logging of this process on standard error. What a record carries
beside its text (``usecase``, ``run_id``, ``batch_id``, counts and times) becomes members of the object; of an exception
its class alone is written, since its text may hold what a server said.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from trunkline.settings.log import LogSettings

__all__ = ["JsonLines", "set_up_log"]

_MEMBERS: Final = (
    "usecase",
    "dataset",
    "source",
    "run_id",
    "batch_id",
    "step",
    "state",
    "read",
    "accepted",
    "quarantined",
    "duplicates",
    "seconds",
)
"""What records of Trunkline may carry beside their text; anything else stays out."""

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class JsonLines(logging.Formatter):
    """One JSON object a line: ``at``, ``level``, ``logger``, ``text``, and what the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record down."""
        said: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        said |= {name: record.__dict__[name] for name in _MEMBERS if record.__dict__.get(name) is not None}
        if record.exc_info and record.exc_info[0] is not None:
            said["error"] = record.exc_info[0].__name__
        return json.dumps(said, default=str)


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
    level = _LEVELS[settings.level]
    if settings.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        if quiet:
            level = max(level, logging.WARNING)
            handler.addFilter(lambda record: "state" not in record.__dict__)  # how a run ends is said by its command
    # libraries write addresses and arguments into their chatter
    handler.addFilter(lambda record: record.name.partition(".")[0] == "trunkline" or record.levelno >= logging.WARNING)
    root.addHandler(handler)
    logging.getLogger("trunkline").setLevel(level)


class _Handler(logging.StreamHandler[TextIO]):
    """The handler of this module, to be told from others."""

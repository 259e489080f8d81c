"""The log of runs in files: JSON lines per use case, rotated by size, each line with the id of its run.

Takes a workspace; while a run goes on, what Trunkline logs in this process also goes to ``logs/USECASE.jsonl``. Runs of
a use case go on one at a time, so one process writes to a file. A disk that takes nothing stops no run. What a record
carries beside its text (``usecase``, ``run_id``, ``batch_id``, counts and times) becomes members of the object; of an
exception its class alone is written, since its text may hold what a server said.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["LEVELS", "JsonLines", "run_log"]

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""The levels of the settings, as the standard library counts them."""

_MEMBERS: Final = (
    "usecase",
    "dataset",
    "source",
    "sink",
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


class _File(RotatingFileHandler):
    def __init__(self, path: str, *, run_id: str, most_bytes: int, files: int) -> None:
        super().__init__(path, maxBytes=most_bytes, backupCount=files - 1, encoding="utf-8", delay=True)
        self._run_id = run_id

    def filter(self, record: logging.LogRecord) -> bool:
        """Note the run that a record belongs to; records of other runs are theirs."""
        if record.__dict__.get("run_id", self._run_id) != self._run_id:
            return False
        record.__dict__["run_id"] = self._run_id
        return bool(super().filter(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the signature of the library
        """A log that cannot be written is no reason to stop."""


@contextmanager
def run_log(workspace: "Workspace", usecase: str, run_id: str) -> Iterator[None]:
    """Write what is logged during a ``with`` block to the use case's file.

    Args:
        workspace: Its settings say how large files grow, and how many are kept.
        usecase: The use case.
        run_id: The run.
    """
    settings = workspace.settings.log
    if not settings.files:
        yield
        return
    path = workspace.folder("logs") / f"{usecase}.jsonl"
    handler = _File(str(path), run_id=run_id, most_bytes=int(settings.file_mb * (1 << 20)), files=settings.files)
    handler.setFormatter(JsonLines())
    handler.setLevel(LEVELS[settings.level])
    own = logging.getLogger("trunkline")
    level = own.level
    if level == logging.NOTSET or level > handler.level:
        own.setLevel(handler.level)
    own.addHandler(handler)
    try:
        yield
    finally:
        own.removeHandler(handler)
        own.setLevel(level)
        handler.close()

"""What a watch takes in, told to a lineage server: the events of the ingest step, for as long as the watch lasts.

A run has one ingest step and is over; a watch takes in what comes. So each turn of it is told as an ingest step of its
own below the run of the watch, by the code that tells of runs (:mod:`trunkline.run.openlineage`). A server that fails
is left alone for a minute; what is taken in meanwhile is not told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from trunkline.contracts.records import Receipt
from trunkline.run.openlineage import StepEvents, step_events

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["TOPIC_EVERY_S", "WatchEvents", "watch_events"]

TOPIC_EVERY_S: Final = 60.0
"""How long a turn lasts of a watch whose chunks come every second."""

_REST_S: Final = 60.0


class WatchEvents:
    """Tells the turns of a watch, each as an ingest step.

    Args:
        workspace: Its settings say whether and where to.
        usecase: The use case that takes in.
        run_id: The run of the watch.

    Raises:
        MissingExtraError: The settings want events, and the client is not installed.
    """

    def __init__(self, workspace: "Workspace", usecase: "UseCase", *, run_id: str) -> None:
        self._workspace, self._usecase, self._run_id = workspace, usecase, run_id
        self._is_wanted = step_events(workspace, usecase, run_id=run_id) is not None
        self._turn = 0
        self._open: StepEvents | None = None
        self._receipts: list[Receipt] = []
        self._missed: Exception | None = None
        self._begun_s = 0.0
        self._rests_until_s = 0.0

    def begin(self) -> None:
        """Tell that a turn begins; nothing where one goes on."""
        if not self._is_wanted or self._open is not None or monotonic() < self._rests_until_s:
            return
        self._turn += 1
        self._open = step_events(self._workspace, self._usecase, run_id=self._run_id, part=str(self._turn))
        self._begun_s = monotonic()
        if self._open is not None:
            self._open.started("ingest")

    def took(self, receipt: Receipt | None, error: Exception | None = None) -> None:
        """Count a batch to the turn; one without a receipt was refused, and a turn with nothing else has failed."""
        self.begin()
        if self._open is not None and receipt is not None:
            self._receipts.append(receipt)
        elif self._open is not None:
            self._missed = self._missed or error

    def end(self, *, after_s: float = 0.0) -> None:
        """Tell that the turn is over, with all its batches.

        Args:
            after_s: Only if it has lasted as long, in seconds.
        """
        from trunkline.run.steps.documents import IngestDocument

        if self._open is None or monotonic() - self._begun_s < after_s:
            return
        if self._missed is not None and not self._receipts:
            self._open.failed(self._missed)
        else:
            document = IngestDocument(receipts=tuple(self._receipts), known=(), batches=())
            self._open.completed("ingest", document.model_dump_json())
        self._close()

    def fail(self, error: Exception) -> None:
        """Tell that the turn has failed; nothing where none goes on."""
        if self._open is not None:
            self._open.failed(error)
            self._close()

    def _close(self) -> None:
        if self._open is not None and self._open.is_silenced:
            self._rests_until_s = monotonic() + _REST_S
        self._open = self._missed = None
        self._receipts.clear()


@contextmanager
def watch_events(workspace: "Workspace", usecase: "UseCase", *, run_id: str) -> Iterator[WatchEvents]:
    """Lend what tells the turns of a watch; a turn that goes on at the end is told as over, or as failed.

    Raises:
        MissingExtraError: The settings want events, and the client is not installed.
    """
    events = WatchEvents(workspace, usecase, run_id=run_id)
    try:
        yield events
    except Exception as error:
        events.fail(error)
        raise
    finally:
        events.end()

"""What comes of a watched topic, noted now and then: a topic has thousands of chunks, and each has its receipt anyway.

The first look of a watch is noted, then one for every five minutes with what came meanwhile, and how the watch ended.
So it is known that somebody consumes the topic, that it was quiet, and that it failed; and nobody who was killed, or
never started again, goes unnoticed. Only topics that the settings declare are noted: of others nobody expects one.
"""

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from trunkline.contracts.records import Receipt
from trunkline.errors import TrunklineError
from trunkline.monitor.sources.judging import NOTED_EVERY_S
from trunkline.run.attempts import Attempts
from trunkline.run.notifying import announce
from trunkline.run.resolving import dataset_of
from trunkline.run.source_health import look_after_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.spec.sources import TopicSource

__all__ = ["Looked", "TopicNotes"]


class Looked(Protocol):
    """Told by a watch that all that was there has been taken in."""

    def __call__(self, *, leads: bool) -> None:
        """As :meth:`TopicNotes.looked`."""
        ...


class TopicNotes:
    """Counts what comes of one watch of a topic, and notes it; a context manager around the watch.

    Args:
        workspace: Where it is noted.
        usecase: The use case that takes the records in.
        declared: The topic.
        run_id: The run of the watch.
        timer: Gives seconds that only grow.

    Raises:
        UnknownNameError: The use case has no such dataset.
    """

    def __init__(
        self,
        workspace: "Workspace",
        usecase: "UseCase",
        declared: "TopicSource",
        *,
        run_id: str,
        timer: "Callable[[], float]" = monotonic,
    ) -> None:
        self._workspace = workspace
        self._usecase = usecase
        self._dataset = dataset_of(usecase, declared.dataset)
        self._names = [name for name, one in workspace.settings.sources.items() if one == declared]
        self._run_id = run_id
        self._attempts = Attempts(usecase, declared=workspace.settings.sources, run_id=run_id)
        self._timer = timer
        self._noted_s = -NOTED_EVERY_S
        self._counts = False

    def took(self, receipt: Receipt) -> None:
        """Count a chunk."""
        for name in self._names:
            self._attempts.took(name, receipt)
        self._counts = True

    def looked(self, *, leads: bool) -> None:
        """Note, when it is time to, that all that was there has been taken in.

        Args:
            leads: Whether this process, of those that share the topic, is the one that notes it even when it has
                taken nothing.
        """
        if self._timer() - self._noted_s >= NOTED_EVERY_S and (leads or self._counts):
            self._note()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Note what was counted since, and what ended the watch."""
        if isinstance(error, TrunklineError):
            for name in self._names:
                self._counts = self._attempts.failed(name, dataset=self._dataset, error=error) or self._counts
        if self._counts:
            self._note()

    def _note(self) -> None:
        self._noted_s, self._counts = self._timer(), False
        if not self._names:
            return
        for name in self._names:
            self._attempts.answered(name, dataset=self._dataset)
        self._attempts.note(self._workspace.lake, clock=self._workspace.clock)
        look_after_sources(self._workspace, self._usecase, run_id=self._run_id)
        announce(self._workspace)

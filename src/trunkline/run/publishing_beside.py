"""Keeps sinks up to date beside whatever takes rows in, where the settings say how often: a server, or a watch.

It publishes as the step of a run does, with the same outbox, so a sink that is down is owed what came meanwhile, and a
process that is killed leaves the next one to finish. Of several processes of a workspace one publishes at a time.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trunkline.brokers.repeating import RepeatingThread
from trunkline.errors import BusyError, TrunklineError
from trunkline.run.publishing import publisher_of
from trunkline.run.workspace import Workspace

if TYPE_CHECKING:
    from trunkline.settings import Settings
    from trunkline.spec import UseCase

__all__ = ["publishing_beside"]

_logger = logging.getLogger(__name__)


@contextmanager
def publishing_beside(settings: "Settings", usecases: "Mapping[str, UseCase]", *, run_id: str) -> Iterator[None]:
    """Publish in a thread for a ``with`` block, and once more at its end; does nothing without a sink or an interval.

    Args:
        settings: Name the workspace, the sinks and the interval.
        usecases: Whose tables are published.
        run_id: What deliveries carry as their run.
    """
    said = settings.publish
    if said.every_s is None or not said.sinks:
        yield
        return
    wanted = [usecase for usecase in usecases.values() if _is_taken(settings, usecase)]
    beside = Workspace(settings.model_copy(update={"publish": said.model_copy(update={"lock_timeout_s": 0.0})}))

    def turn() -> None:
        for usecase in wanted:
            try:
                publisher_of(beside).publish(usecase, run_id=run_id)
            except BusyError:  # another process is at it
                continue
            except (TrunklineError, OSError) as error:  # of one use case: the others go on
                said = error.what if isinstance(error, TrunklineError) else type(error).__name__
                _logger.warning("%s was not published: %s", usecase.name, said, extra={"usecase": usecase.name})

    with RepeatingThread(turn, name="publishing", every_s=said.every_s, ended=beside.close):
        yield


def _is_taken(settings: "Settings", usecase: "UseCase") -> bool:
    """Whether a sink takes what a use case publishes."""
    takes = any(sink.takes(usecase.name) for sink in settings.publish.sinks.values())
    return takes and bool(usecase.publish or usecase.task)

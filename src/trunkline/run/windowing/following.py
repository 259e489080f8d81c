"""A thread that keeps windows fresh beside whatever takes rows in: a server, or a watched topic.

It has a lake of its own, because an engine belongs to one thread. Several processes may each have one: the lock of the
use case lets one refresh at a time, and the lake knows what is done.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.brokers.repeating import RepeatingThread
from trunkline.errors import BusyError
from trunkline.run.notifying import announce
from trunkline.run.windowing.refreshing import Refreshed, refresh_windows
from trunkline.run.workspace import Workspace

if TYPE_CHECKING:
    from trunkline.lake import Lake
    from trunkline.settings import Settings
    from trunkline.spec import UseCase

__all__ = ["WindowThread", "window_thread"]


class WindowThread(RepeatingThread):
    """Refreshes windows until it is stopped; a context manager.

    Args:
        usecases: Whose windows; those without any are left alone.
        lake: Opens the lake; called once, in the thread.
        locks: Folder for locks.
        run_id: What windows and alerts carry as their run.
        clock: Gives the current instant.
        every_s: Least time between two looks, in seconds.
        told: Called after each refresh of a table, in the thread.
    """

    def __init__(
        self,
        usecases: "Mapping[str, UseCase]",
        *,
        lake: "Callable[[], Lake]",
        locks: Path,
        run_id: str,
        clock: Callable[[], datetime],
        every_s: float = 1.0,
        told: Callable[[Refreshed], None] | None = None,
    ) -> None:
        super().__init__(self._look, name="windows", every_s=every_s)
        self._usecases = [usecase for usecase in usecases.values() if usecase.windows]
        self._open_lake = lake
        self._locks = locks
        self._run_id = run_id
        self._clock = clock
        self._told = told
        self._lake: Lake | None = None

    def start(self) -> None:
        """Begin; does nothing where no use case has windows."""
        if self._usecases:
            super().start()

    def _look(self) -> None:
        self._lake = self._lake or self._open_lake()
        for usecase in self._usecases:
            self._refresh(usecase, self._lake)

    def _refresh(self, usecase: "UseCase", lake: "Lake") -> None:
        try:
            found = refresh_windows(
                usecase, lake=lake, locks=self._locks, run_id=self._run_id, clock=self._clock, wait_s=0.0
            )
        except BusyError:  # another process is at it
            return
        for one in found:
            if self._told is not None:
                self._told(one)


def window_thread(settings: "Settings", usecases: "Mapping[str, UseCase]", *, run_id: str) -> WindowThread:
    """Make the thread of a process that takes rows into a workspace.

    Args:
        settings: Name the workspace.
        usecases: Whose windows are kept fresh.
        run_id: What windows and alerts carry as their run.
    """
    workspace = Workspace(settings)

    def tell() -> None:
        with Workspace(settings) as another:  # a lake belongs to one thread
            announce(another)

    def told(refreshed: Refreshed) -> None:
        if refreshed.alerts:  # beside the windows: a target that is slow to answer must hold up none
            threading.Thread(target=tell, name="notices").start()

    return WindowThread(
        usecases,
        lake=lambda: Workspace(settings).lake,
        locks=workspace.folder("locks"),
        run_id=run_id,
        clock=workspace.clock,
        told=told,
    )

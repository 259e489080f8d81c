"""A lake that many threads may ask: it belongs to one thread of its own, opened when the first question comes.

A lake and its engine belong to one thread, and pages are asked for from many.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from trunkline.lake import Lake

__all__ = ["LakeThread"]

Found = TypeVar("Found")


class LakeThread:
    """Asks a lake in its own thread.

    Args:
        lake: Opens the lake; called once, in that thread.
    """

    def __init__(self, lake: "Callable[[], Lake]") -> None:
        self._open_lake = lake
        self._lake: Lake | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trunkline-console")

    def close(self) -> None:
        """Close the lake's engine and end the thread; pages asked for afterwards fail."""
        self._thread.submit(self._close_lake).result()
        self._thread.shutdown()

    def _in_thread(self, read: "Callable[[Lake], Found]") -> Found:
        def opened() -> Found:
            if self._lake is None:
                self._lake = self._open_lake()
            return read(self._lake)

        return self._thread.submit(opened).result()

    def _close_lake(self) -> None:
        if self._lake is not None:
            self._lake.engine.close()
            self._lake = None

"""One process that answers: the API of ``trunkline.serve`` with the console mounted on it."""

import sys
from typing import TYPE_CHECKING

from trunkline.run import Workspace, utc_now

if TYPE_CHECKING:
    from trunkline.lake import Lake
    from trunkline.settings import Settings

__all__ = ["run_server"]


def run_server(settings: "Settings") -> int:
    """Serve a workspace until the process is told to stop.

    Args:
        settings: Where to listen, who may ask, and the workspace.

    Returns:
        The exit code.

    Raises:
        InputError: The address is not allowed, or cannot be bound.
        BusyError: Somebody else listens there.
    """
    from trunkline.console import LakeReader, mount
    from trunkline.serve import create_app, listen

    with Workspace(settings) as workspace:
        usecases = {name: workspace.usecase(name) for name in workspace.usecases()}

        def open_lake() -> "Lake":
            # an engine belongs to one thread: the flusher opens its own
            return Workspace(settings).lake

        app = create_app(
            workspace.folder("."),
            usecases=usecases,
            lake=open_lake,
            clock=utc_now,
            settings=settings.serve,
            log=settings.broker,
        )
        mount(app, LakeReader(workspace.lake, workspace.registry, usecases))
        listen(app, settings=settings.serve, announce=lambda url: print(f"trunkline serves {url}", file=sys.stderr))
    return 0

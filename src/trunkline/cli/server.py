"""One process that answers: the API of ``trunkline.serve`` with the console mounted on it."""

import sys
from typing import TYPE_CHECKING

from trunkline.run import Workspace, utc_now

if TYPE_CHECKING:
    from fastapi import FastAPI

    from trunkline.console import WorkspaceReader
    from trunkline.lake import Lake
    from trunkline.settings import Settings

__all__ = ["build_app", "run_server"]


def build_app(settings: "Settings") -> "tuple[FastAPI, WorkspaceReader]":
    """Put API and console of a workspace together.

    Args:
        settings: Who may ask, and the workspace.

    Returns:
        The application, and the console's reader, to be closed at the end.
    """
    from trunkline.console import WorkspaceReader, mount
    from trunkline.serve import create_app, page_access

    workspace = Workspace(settings)
    usecases = {name: workspace.usecase(name) for name in workspace.usecases()}

    def open_lake() -> "Lake":
        # an engine belongs to one thread, and the flusher and the console have one each
        return Workspace(settings).lake

    app = create_app(
        workspace.folder("."),
        usecases=usecases,
        lake=open_lake,
        clock=utc_now,
        settings=settings.serve,
        log=settings.broker,
    )
    reader = WorkspaceReader(
        lake=open_lake,
        registry=workspace.registry,
        usecases=usecases,
        reports=workspace.folder("runs"),
        is_running=workspace.is_running,
        clock=utc_now,
        sources=settings.sources,
        reject_budget=settings.ingest.reject_budget,
        export_rows=settings.serve.export_rows,
    )
    mount(app, reader, access=page_access(settings.serve))
    return app, reader


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
    from trunkline.serve import listen

    app, reader = build_app(settings)
    try:
        listen(app, settings=settings.serve, announce=lambda url: print(f"trunkline serves {url}", file=sys.stderr))
    finally:
        reader.close()
    return 0

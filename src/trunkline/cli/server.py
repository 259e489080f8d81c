"""One process that answers: the API of ``trunkline.serve`` with the console mounted on it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trunkline.cli.output import tell_broken
from trunkline.run import Workspace, utc_now

if TYPE_CHECKING:
    from fastapi import FastAPI

    from trunkline.console import WorkspaceReader
    from trunkline.console.intake import SourceState
    from trunkline.lake import Lake
    from trunkline.serve import SourceSample
    from trunkline.settings import Settings

__all__ = ["build_app", "run_server"]


def build_app(settings: "Settings") -> "tuple[FastAPI, WorkspaceReader]":
    """Put API and console of a workspace together. A broken use case is told, and served to nobody.

    Args:
        settings: Who may ask, and the workspace.

    Returns:
        The application, and the console's reader, to be closed at the end.
    """
    from trunkline.console import WorkspaceReader, mount
    from trunkline.notify.cloud_events import EVENT_SCHEMA
    from trunkline.run.topic_lags import TopicLags
    from trunkline.serve import SourceMetrics, TableMetrics, create_app, page_access
    from trunkline.serve.asyncapi import OtherTopics
    from trunkline.spec.sources import TopicSource

    workspace = Workspace(settings)
    installed = workspace.installed()
    usecases = installed.usecases
    tell_broken(installed.broken)
    broken = {name: error.what for name, error in installed.broken.items()}

    def open_lake() -> "Lake":
        # an engine belongs to one thread, and the flusher and the console have one each
        return Workspace(settings).lake

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
        lags=TopicLags(workspace, usecases),
    )
    app = create_app(
        workspace.folder("."),
        usecases=usecases,
        broken=broken,
        lake=open_lake,
        clock=utc_now,
        settings=settings.serve,
        log=settings.broker,
        keys=workspace.keys,
        limits=settings.ingest,
        warm_reasons=True,
        topics=OtherTopics(
            sources={name: one for name, one in settings.sources.items() if isinstance(one, TopicSource)},
            events=settings.notify.events_topic,
            event_schema=EVENT_SCHEMA,
        ),
        sources=SourceMetrics(
            lambda: [_sample(state) for state in reader.sources()],
            workspace=workspace.folder("."),
            clock=utc_now,
            tables=TableMetrics(reader.stocks),
        ),
    )
    mount(app, reader, access=page_access(settings.serve), broken=broken)
    return app, reader


def _sample(state: "SourceState") -> "SourceSample":
    """Put the state of a source into the form of the server's metrics."""
    from trunkline.serve import SourceSample

    health, last = state.health, state.health.newest
    rows = {"accepted": last.accepted, "quarantined": last.quarantined, "duplicate": last.duplicates} if last else {}
    return SourceSample(
        usecase=health.key.usecase,
        dataset=health.key.dataset,
        source=health.key.source,
        batches=state.batches,
        accepted=state.accepted,
        quarantined=state.quarantined,
        duplicates=state.duplicates,
        seconds=state.seconds,
        size_bytes=state.size_bytes,
        errors=state.errors,
        last_at=last.at if last else None,
        last_rows=rows,
        last_seconds=last.seconds if last else 0.0,
        problems=frozenset(finding.problem for finding in health.findings),
    )


def run_server(settings: "Settings") -> int:
    """Serve a workspace until the process is told to stop.

    Args:
        settings: Where to listen, who may ask, and the workspace.

    Returns:
        The exit code.

    Raises:
        InputError: The address is not allowed, or cannot be bound.
        BusyError: Somebody else listens there, or the pseudonyms are being changed.
    """
    from trunkline.cli.logs import set_up_log

    set_up_log(settings.log)
    with Workspace(settings).keys.naming():  # what this process calls somebody is not changed while it lives
        return _listen(settings)


def _listen(settings: "Settings") -> int:
    from trunkline.run import new_run_id
    from trunkline.run.publishing_beside import publishing_beside
    from trunkline.run.windowing import window_thread
    from trunkline.serve import listen

    app, reader = build_app(settings)
    workspace = Workspace(settings)
    usecases, run_id = workspace.installed().usecases, new_run_id(workspace)
    publishing = publishing_beside(settings, usecases, run_id=run_id)
    with publishing, window_thread(settings, usecases, run_id=run_id), _scheduler(settings) as begin:

        def announce(url: str) -> None:
            print(f"trunkline serves {url}", file=sys.stderr)
            begin()

        try:
            listen(app, settings=settings.serve, announce=announce)
        finally:
            reader.close()
    return 0


@contextmanager
def _scheduler(settings: "Settings") -> Iterator[Callable[[], None]]:
    """Lend what starts the scheduler, where the settings want one, and end it with the block."""
    if not settings.scheduler.enabled:
        yield lambda: None
        return
    from trunkline.cli.stopping import until_told
    from trunkline.run.scheduling import SchedulerThread

    thread = SchedulerThread(lambda: Workspace(settings))
    with until_told():  # the server raises the signal that ended it once more; running jobs have a grace first
        try:
            yield thread.start
        finally:
            thread.stop()

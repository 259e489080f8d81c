"""The publish step: the tables that a use case publishes, to the sinks that the settings name."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from trunkline.errors import InputError, UnknownNameError
from trunkline.lake import held
from trunkline.publish import Memory, Outbox, Published, Publisher, Shown, open_sink, planned, saved_objects
from trunkline.publish.refusing import refuse_unknown
from trunkline.run.steps import StepContext
from trunkline.settings import SETTINGS_FILE

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["PublishDocument", "dashboard_of", "outbox_of", "preview_publish", "publish", "refuse_nothing_to_publish"]


class PublishDocument(BaseModel):
    """What became of the publications of a run.

    Attributes:
        published: Each publication at each sink.
        owed: How many of them a sink has not got; the next `trunkline publish` delivers them.
    """

    model_config = ConfigDict(frozen=True)

    published: tuple[Published, ...]
    owed: int


def publish(context: StepContext) -> PublishDocument:
    """Deliver what the use case publishes; a sink that is down is owed it, and stops nobody."""
    context.progress("publish", 0.0)
    found = publisher_of(context.workspace).publish(context.usecase, run_id=context.run_id)
    return PublishDocument(published=found, owed=sum(one.state in ("owed", "refused") for one in found))


def preview_publish(workspace: "Workspace", usecase_name: str) -> tuple[tuple[Published, tuple[str, ...]], ...]:
    """Say what :func:`publish` would deliver, and how, without doing it.

    Args:
        workspace: The workspace.
        usecase_name: The use case.

    Raises:
        InputError: There is nothing to publish, or no sink.
    """
    usecase = workspace.usecase(usecase_name)
    refuse_nothing_to_publish(workspace, usecase_name)
    return publisher_of(workspace).preview(usecase)


def dashboard_of(workspace: "Workspace", usecase_name: str) -> bytes:
    """Give a dashboard of what a use case publishes to search servers, as saved objects: NDJSON.

    Args:
        workspace: Its settings have the prefix of published names.
        usecase_name: The use case.

    Raises:
        InputError: Nothing that it publishes has an instant.
    """
    usecase = workspace.usecase(usecase_name)
    plans = planned(usecase, prefix=workspace.settings.publish.prefix)
    found = saved_objects(usecase.title, [Shown(one.target, bool(one.dated_by)) for one in plans])
    if not found:
        raise InputError(
            "nothing that it publishes has an instant, so there is nothing to draw over time",
            where=f"use case {usecase_name!r}",
            next_step="declare a publication of a table with one; see docs/publish.md",
        )
    return found


def publisher_of(workspace: "Workspace", *, only: tuple[str, ...] = ()) -> Publisher:
    """Give what publishes from a workspace, to some sinks alone where they are named; one process at a time does."""
    settings = workspace.settings.publish
    return Publisher(
        lake=workspace.lake,
        outbox=outbox_of(workspace),
        settings=settings.model_copy(update={"only": only}) if only else settings,
        clock=workspace.clock,
        lock=lambda usecase: held(
            workspace.folder("locks") / f"publish-{usecase}.lock",
            what=f"publishing of {usecase}",
            timeout_s=settings.lock_timeout_s,
            clock=workspace.clock,
        ),
    )


def outbox_of(workspace: "Workspace") -> Outbox:
    """Give the list of what sinks have, and are owed."""
    return Outbox(Path(workspace.root) / "publish" / "outbox.db")


def publishes(workspace: "Workspace", usecase_name: str) -> tuple[str, ...]:
    """Name what a use case publishes."""
    return tuple(one.name for one in planned(workspace.usecase(usecase_name)))


def refuse_nothing_to_publish(workspace: "Workspace", usecase_name: str) -> None:
    """Refuse to publish where nothing is declared, or to nobody.

    Args:
        workspace: Its settings name the sinks.
        usecase_name: The use case.

    Raises:
        InputError: There is nothing to publish, no sink takes it, or the URL of one is malformed.
        UnknownNameError: There is no such use case, or the settings name a sink or table that is not there.
    """
    names = publishes(workspace, usecase_name)
    if not names:
        raise InputError(
            f"the use case {usecase_name!r} publishes nothing",
            where="`publish` of the use case",
            next_step="declare a Publication there (docs/publish.md)",
        )
    settings = workspace.settings.publish
    taking = {name: one for name, one in settings.sinks.items() if one.takes(usecase_name)}
    refuse_unknown(settings, workspace.usecase(usecase_name))
    _refuse_unknown_tables(workspace)
    for name in settings.only:
        if name not in taking:
            raise InputError(
                f"the sink {name[:40]!r} does not take the tables of {usecase_name!r}",
                where=f"`usecases` of [publish.sinks.{name}]",
                allowed=taking,
                next_step="name another sink, or add the use case there",
            )
    if not taking:
        raise InputError(
            f"no sink takes the tables of {usecase_name!r}: {', '.join(names)}",
            where=f"[publish] of {SETTINGS_FILE}",
            next_step=f"trunkline publish {usecase_name} --to sqlite:///published.db, or declare a sink: "
            "[publish.sinks.NAME] with `url` (docs/publish.md)",
        )
    for name, one in taking.items():
        if not settings.only or name in settings.only:
            open_sink(one, settings=settings, memory=Memory(outbox_of(workspace), name)).close()


def _refuse_unknown_tables(workspace: "Workspace") -> None:
    """Refuse sinks that name a use case that is not installed, or a table that none of theirs publishes.

    Raises:
        UnknownNameError: There is one.
    """
    installed = workspace.installed().usecases
    named = workspace.usecases()
    for name, one in workspace.settings.publish.sinks.items():
        where = f"[publish.sinks.{name}] of the settings"
        for usecase in one.usecases:
            if usecase not in named:
                raise UnknownNameError(f"there is no use case {usecase[:40]!r}", where=where, allowed=named)
        takes = one.usecases or named
        if not set(takes) <= set(installed):  # of one that is broken nobody knows what it publishes
            continue
        known = sorted({table.name for usecase in takes for table in planned(installed[usecase])})
        for table in one.tables:
            if table not in known:
                raise UnknownNameError(
                    f"no use case publishes a table {table[:40]!r} there", where=where, allowed=known
                )

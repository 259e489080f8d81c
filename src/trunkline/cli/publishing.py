"""``publish``: tables of a use case to databases, stores, topics and hooks."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened, table
from trunkline.cli.steps.executing import executed

if TYPE_CHECKING:
    from trunkline.run import Workspace

__all__ = ["publish"]

_ONCE: Final = "to_"


def publish(
    usecase: str,
    /,
    *,
    to: Annotated[
        str | None, Parameter(help="URL of a sink, beside those of the settings, e.g. sqlite:///out.db")
    ] = None,
    sink: Annotated[
        tuple[str, ...], Parameter(help="Only this sink of the settings; may be given again.", negative="")
    ] = (),
    only: Annotated[
        tuple[str, ...], Parameter(help="Only this table, by its published name; goes with --to.", negative="")
    ] = (),
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Say what would be delivered, and how; write nothing.")
    ] = False,
    saved_objects: Annotated[
        Path | None,
        Parameter(help="Write a dashboard for OpenSearch Dashboards or Kibana to this file; publish nothing."),
    ] = None,
    run_id: Annotated[
        str | None, Parameter(name="--run-id", help="The run that publishes; the newest by default.")
    ] = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Bring what a use case publishes to its sinks: what they are owed first, then what is new.

    Args:
        usecase: Name of the use case.
        to: URL of a sink that the settings do not name; only it is written to. A password is better left to MYSQL_PWD
            or PGPASSWORD.
        sink: Only these sinks of the settings.
        only: Only these tables, by their published names without prefix; goes with ``to``.
        dry_run: Say what would be delivered, and how; write nothing.
        saved_objects: Write a dashboard of what it publishes to this file; publish nothing.
        run_id: The run that publishes; the newest by default.
        common: Options of every command.
    """
    if saved_objects is not None:
        return _drawn(usecase, common, saved_objects)
    given = _given(to, sink, only)
    if dry_run:
        return _previewed(usecase, common, given)
    with opened(common, **given) as workspace:
        from trunkline.run import refuse_nothing_to_publish

        if run_id is None or given:  # a run that names no sink does this step as it does all: there may be none
            refuse_nothing_to_publish(workspace, usecase)
        _refuse_no_run(workspace, usecase)
    # a plain `trunkline publish` knows nothing of a sink that the settings do not name
    owed_by = None if to is None else "the same command, --to included,"
    return executed(usecase, common, run_id=run_id, only="publish", again=True, given=given, owed_by=owed_by)


def _given(to: str | None, sink: tuple[str, ...], only: tuple[str, ...]) -> dict[str, object]:
    from trunkline.errors import InputError

    if only and to is None:
        raise InputError(
            "--only needs --to",
            where="the command line",
            next_step="for a sink of the settings say its `tables`",
        )
    said: dict[str, object] = {}
    if to is not None:
        # what a place has is known by the sink's name: one for each place, however its password is spelled
        name = _ONCE + hashlib.sha256(re.sub(r"//[^/@]*@", "//", to).encode()).hexdigest()[:8]
        said = {"sinks": {name: {"url": to, "tables": only}}, "only": (name, *sink)}
    elif sink:
        said = {"only": sink}
    return {"publish": said} if said else {}


def _refuse_no_run(workspace: "Workspace", usecase: str) -> None:
    """Say early that there is nothing yet."""
    from trunkline.run import latest_run_id

    latest_run_id(workspace, usecase, having=("ingest", "train", "predict"))


def _drawn(usecase: str, common: Common, file: Path) -> int:
    from trunkline.run import dashboard_of

    with opened(common) as workspace:
        found = dashboard_of(workspace, usecase)
    file.write_bytes(found)
    document = {"usecase": usecase, "file": str(file), "objects": found.count(b"\n")}
    emit(document, common=common, text=lambda: print(f"written: {file}"))
    return 0


def _previewed(usecase: str, common: Common, given: dict[str, object]) -> int:
    from trunkline.run import preview_publish

    with opened(common, **given) as workspace:
        found = preview_publish(workspace, usecase)

    def text() -> None:
        table(
            "would be delivered",
            ["sink", "to", "table", "state", "rows"],
            [[one.sink, one.to, one.target, one.state, one.rows] for one, _ in found],
        )
        for one, statements in found:
            for statement in statements:
                print(f"{one.sink}, {one.target}: {statement}")

    document = {"published": [one.model_dump(mode="json") | {"would": list(how)} for one, how in found]}
    emit(document, common=common, text=text)
    return 0

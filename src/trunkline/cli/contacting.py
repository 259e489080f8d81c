"""``contact``: decide who of an audience is sent a message, and hand the messages over as events."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened

if TYPE_CHECKING:
    from trunkline.run.contacting import Contacted

__all__ = ["contact"]

_OWED = 1


def contact(
    usecase: str,
    *,
    campaign: Annotated[
        str | None, Parameter(help="The run that made the audience; the newest one by default.")
    ] = None,
    dry_run: Annotated[bool, Parameter(help="Only decide, and write nothing.", negative="")] = False,
    out: Annotated[
        Path | None,
        Parameter(help="Write who gets what, and who nothing and why, to this CSV file, in a folder that is there."),
    ] = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Decide who of an audience is sent a message: by consent, holdout, frequency cap and age, each member once.

    Messages leave as events to the sinks of ``messages.sinks``; those who get nothing stand in the lake table
    ``platform.messages`` with the reason, too. Exit code 1 where a sink has not got them yet: the same command
    again, or the next run, delivers them.

    Args:
        usecase: The use case.
        campaign: The run that made the audience; the newest one by default.
        dry_run: Only decide, and write nothing.
        out: Write who gets what, and who nothing and why, to this CSV file, in a folder that is there.
        common: Options of every command.
    """
    from trunkline.files import replacing
    from trunkline.run.contacting import contact as decide
    from trunkline.run.outputs import refuse_unwritable

    if out is not None:
        refuse_unwritable(out)
    with opened(common) as workspace:
        found, rows = decide(workspace, usecase, campaign=campaign, dry_run=dry_run)
        if out is not None:
            from pyarrow import csv

            with replacing(out) as part:
                csv.write_csv(rows, part)
    emit(found.model_dump(mode="json"), common=common, text=lambda: _show(found, dry_run=dry_run, out=out))
    return _OWED if any(one.state in ("owed", "refused") for one in found.published) else 0


def _show(found: "Contacted", *, dry_run: bool, out: Path | None) -> None:
    would = "would get a message" if dry_run else "get a message"
    print(f"campaign {found.campaign}, channel {found.channel}: {found.sent:,} of {found.members:,} members {would}")
    for reason, members in found.withheld.items():
        print(f"  {reason:<12} {members:>9,}")
    if not found.has_consents:
        print(f"nobody has said anything of being contacted: trunkline ingest {found.usecase} --dataset consents FILE")
    if found.known:
        print("decided before: nobody was decided about again")
    for one in found.published:
        print(f"  {one.sink}: {one.rows:,} {one.state}{': ' if one.error else ''}{one.error}")
    if not found.has_sinks and found.sent and not dry_run:
        print("no sink is named in messages.sinks: the messages stand in the lake, and nobody gets them yet")
    if out is not None:
        print(f"who gets what: {out}")

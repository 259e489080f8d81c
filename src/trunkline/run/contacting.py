"""Contacts the audience of a campaign: who gets a message, who does not and why, each decided once.

Nobody is contacted by a run: this is asked for. Decisions go to ``platform.messages``, all of a campaign and channel in
one commit, so that asking again decides nothing twice. What is to be sent also goes to the table ``USECASE.messages``,
which the use case publishes: it leaves to the sinks of the settings by the way of all publications, with their outbox.
One process at a time decides, for the cap holds over all use cases.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.keys import joined_key
from trunkline.contracts.records import AUDIENCES, MESSAGES, OUTGOING, AudienceMember, CustomerMessage
from trunkline.errors import InputError, UnknownNameError
from trunkline.lake import Transaction, held
from trunkline.lake.versions import newest, present
from trunkline.notify import decided
from trunkline.publish import Published
from trunkline.run.publishing import publisher_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Contacted", "consents_of", "contact"]

_LONGEST_WAIT_S: Final = 60.0


class Contacted(BaseModel):
    """What was decided of a campaign.

    Attributes:
        usecase: The use case.
        campaign: The run that made the audience.
        channel: The channel.
        members: Members of the audience.
        sent: Messages.
        withheld: Reason to members who get nothing.
        known: The campaign was decided before, and nothing was decided now.
        published: What became of the messages at each sink; nothing in a dry run.
        has_sinks: Whether the settings name any.
        has_consents: Whether anybody has ever said anything of the channel.
    """

    model_config = ConfigDict(frozen=True)

    usecase: str
    campaign: str
    channel: str
    members: int
    sent: int
    withheld: Mapping[str, int]
    known: bool
    published: tuple[Published, ...]
    has_sinks: bool
    has_consents: bool


def contact(
    workspace: "Workspace", usecase_name: str, *, campaign: str | None = None, dry_run: bool = False
) -> "tuple[Contacted, pa.Table]":
    """Decide who of an audience is contacted.

    Args:
        workspace: The workspace; its settings say through which channel and how often.
        usecase_name: The use case.
        campaign: The run that made the audience; None is the newest one.
        dry_run: Decide, and write nothing.

    Returns:
        The sums, and one row per member as ``platform.messages`` has it.

    Raises:
        UnknownNameError: There is no such use case or campaign.
        InputError: The use case has no audience.
        BusyError: Another process decides.
    """
    usecase = workspace.usecase(usecase_name)
    if usecase.audience is None:
        raise InputError(
            f"the use case {usecase.name!r} has no audience",
            next_step="see `trunkline usecases`; docs/contacts.md says how to declare one",
        )
    _refuse_deaf_sinks(workspace)
    lock = workspace.folder("locks") / "contact.lock"
    with held(lock, what="contacts of this workspace", timeout_s=_LONGEST_WAIT_S, clock=workspace.clock):
        members = _members(workspace, usecase, campaign)
        name = str(members.column("campaign")[0].as_py())
        rows = _decided_before(workspace, usecase, name)
        known = rows is not None
        if rows is None:
            rows = _decided(workspace, usecase, members)
            if not dry_run:
                workspace.lake.append(MESSAGES, rows, transaction=_transaction(workspace, usecase, name))
        published = () if dry_run else _handed_over(workspace, usecase, rows, campaign=name)
    withheld = Counter(reason for reason in rows.column("reason").to_pylist() if reason is not None)
    document = Contacted(
        usecase=usecase.name,
        campaign=name,
        channel=workspace.settings.messages.channel,
        members=rows.num_rows,
        sent=rows.num_rows - withheld.total(),
        withheld=dict(sorted(withheld.items())),
        known=known,
        published=published,
        has_sinks=bool(workspace.settings.messages.sinks),
        has_consents=consents_of(workspace, usecase) is not None,
    )
    return document, rows


def _refuse_deaf_sinks(workspace: "Workspace") -> None:
    """Refuse sinks that are not there, or take no messages, before anybody is decided about."""
    known = workspace.settings.publish.sinks
    for name in workspace.settings.messages.sinks:
        if name not in known:
            raise UnknownNameError(f"there is no sink {name[:40]!r}", where="messages.sinks", allowed=known)
        if OUTGOING not in known[name].tables:
            raise InputError(
                f"the sink {name[:40]!r} does not take the table of messages",
                where=f"[publish.sinks.{name}] of the settings",
                next_step=f'say tables = ["{OUTGOING}"] there',
            )


def _transaction(workspace: "Workspace", usecase: "UseCase", campaign: str) -> Transaction:
    return Transaction(f"messages:{usecase.name}:{campaign}:{workspace.settings.messages.channel}", 1)


def _handed_over(
    workspace: "Workspace", usecase: "UseCase", rows: "pa.Table", *, campaign: str
) -> tuple[Published, ...]:
    """Put what is to be sent where it is published from, once, and publish it where the settings name sinks."""
    import pyarrow.compute as pc

    chosen = rows.filter(pc.equal(rows.column("state"), "sent"))
    if chosen.num_rows:
        workspace.lake.append(
            usecase.table_name(OUTGOING), chosen, transaction=_transaction(workspace, usecase, campaign)
        )
    sinks = workspace.settings.messages.sinks
    if not sinks:
        return ()
    found = publisher_of(workspace, only=sinks).publish(usecase, run_id=campaign)
    return tuple(one for one in found if one.publication == OUTGOING)


def _members(workspace: "Workspace", usecase: "UseCase", campaign: str | None) -> "pa.Table":
    """The members of a campaign, the most valuable first; of the newest one where none is named."""
    import pyarrow.compute as pc

    def wanted(table: "ir.Table") -> "ir.BooleanValue":
        own = table["usecase"] == usecase.name
        return own if campaign is None else own & (table["campaign"] == campaign)

    if workspace.lake.exists(AUDIENCES):
        found = workspace.lake.arrow(AUDIENCES, schema=arrow_schema(AudienceMember), where=wanted)
        if found.num_rows:
            found = found.sort_by([("decided_at", "descending"), ("campaign", "descending")])
            newest = found.filter(pc.equal(found.column("campaign"), found.column("campaign")[0]))
            return newest.sort_by([("expected_value", "descending")])
    named = "" if campaign is None else f" {campaign[:60]!r}"
    raise UnknownNameError(
        f"the use case {usecase.name!r} has no audience{named} yet",
        where=str(workspace.root),
        next_step=f"make one: trunkline run {usecase.name}",
    )


def _decided_before(workspace: "Workspace", usecase: "UseCase", campaign: str) -> "pa.Table | None":
    if not workspace.lake.exists(MESSAGES):
        return None
    found = workspace.lake.arrow(
        MESSAGES,
        schema=arrow_schema(CustomerMessage),
        where=lambda table: (
            (table["usecase"] == usecase.name)
            & (table["campaign"] == campaign)
            & (table["channel"] == workspace.settings.messages.channel)
        ),
    )
    return found if found.num_rows else None


def _decided(workspace: "Workspace", usecase: "UseCase", members: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    settings, now = workspace.settings.messages, workspace.clock()
    sent = pa.table({"entity_key": pa.array([], pa.string())})
    if workspace.lake.exists(MESSAGES):
        since = now - timedelta(days=settings.cap_days)
        sent = workspace.lake.arrow(
            MESSAGES,
            schema=arrow_schema(CustomerMessage),
            columns=["entity_key"],
            where=lambda table: (table["state"] == "sent") & (table["decided_at"] > since),
        )
    return decided(
        members,
        consents=consents_of(workspace, usecase),
        sent=sent,
        channel=settings.channel,
        cap=settings.cap,
        valid_days=settings.valid_days,
        now=now,
    )


def consents_of(workspace: "Workspace", usecase: "UseCase") -> "pa.Table | None":
    """Read the newest word of each customer on the channel, ``entity_key`` and ``given``; None where there is none.

    A word that its newest version says is gone is none: the word before it does not come back.
    """
    import ibis
    import pyarrow as pa

    dataset = usecase.audience.consents if usecase.audience is not None else None
    if dataset is None or not workspace.lake.exists(usecase.table_name(dataset)):
        return None
    table = usecase.datasets[dataset].table
    at = table.event_at
    order = [*table.version_order, "_ingested_at", "_row"]
    name = usecase.table_name(dataset)
    rows = workspace.lake.read(name)
    is_meant = rows["channel"] == workspace.settings.messages.channel
    if table.deleted:  # a row that takes words back may have its key alone
        is_meant |= rows["channel"].isnull() & rows[table.deleted].fill_null(False)
    rows = rows.filter(is_meant)
    if at:  # a word that is dated tomorrow would stand against all that are said until then
        rows = rows.filter((rows[at] <= ibis.literal(workspace.clock())).fill_null(table.ordered_by is not None))
    said = present(newest(rows, key=usecase.entity_key, newest_by=order, table=name), table)
    found = workspace.lake.engine.arrow(said.select(*usecase.entity_key, "given"))
    parts = zip(*(found.column(part).to_pylist() for part in usecase.entity_key), strict=True)
    names = pa.array([joined_key([str(part) for part in key]) for key in parts], pa.string())
    return pa.table({"entity_key": names, "given": found.column("given")})

"""Whom to contact with what: applies a use case's audience rules to the answers of a run, and joins results back.

Takes the rows and scores of a run, and the newest scores of the companion's champion; gives members in
``platform.audiences``. A random share of them is held out: it is drawn by a keyed hash of the entity, so that the same
subscriber is held out of every campaign, and whoever was a member before stays on the side on which they were.
"""

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.expressions import vector
from trunkline.contracts.records import AUDIENCES, PREDICTIONS, AudienceMember, PredictionLog
from trunkline.files import replacing
from trunkline.lake import Transaction
from trunkline.lake.versions import newest
from trunkline.report.audience import AudiencePart, CampaignResult, audience_page
from trunkline.run.campaigns import campaign_results, take_results
from trunkline.run.steps import StepContext, scored_rows
from trunkline.spec.audience import RULE_COLUMNS, Audience
from trunkline.train import entity_keys

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["AudienceDocument", "audience"]

_HOLDOUT: Final = "holdout"


class AudienceDocument(BaseModel):
    """Whom a run would contact, and what campaigns before it brought.

    Attributes:
        campaign: The run.
        members: Members, those held out included.
        held_out: Members who are never contacted.
        expected_value: Of contacting all others, in currency units.
        spend: What contacting them costs.
        companion: Use case that was asked who stays; None where the audience does not ask.
        companion_version: Its version that answered; None where it has not.
        note: What the audience rests on, one sentence.
        parts: By segment and offer.
        results: Of campaigns whose results have come, by segment.
        path: Of the business page, below the workspace.
    """

    model_config = ConfigDict(frozen=True)

    campaign: str
    members: int
    held_out: int
    expected_value: float
    spend: float
    companion: str | None
    companion_version: str | None
    note: str
    parts: tuple[AudiencePart, ...]
    results: tuple[CampaignResult, ...]
    path: str


def audience(context: StepContext) -> AudienceDocument | None:
    """Make the audience of a run, take the results of campaigns, and write the business page.

    Args:
        context: Names the run; its answers are in the log.

    Returns:
        What came of it; None where the use case has no audience, or the run has scored nothing.
    """
    declared = context.usecase.audience
    if declared is None or context.document("predict") is None:
        return None
    context.progress("audience", 0.0)
    lake, usecase = context.workspace.lake, context.usecase
    version = _companion_version(context, declared)
    members = _members_of(context)
    if members is None:
        made = _made(context, declared, version)
        lake.append(AUDIENCES, made, transaction=Transaction(f"audience:{context.run_id}", 1))
        members = made
    known = set(members.column("companion_version").to_pylist()) - {None}
    version = str(known.pop()) if known else None
    take_results(context, declared)
    results = campaign_results(context, declared)
    parts = _parts(members, declared)
    if declared.companion is None:
        note = f"Members are likely to do what {usecase.name} predicts; nobody is asked who stays."
    elif version is None:
        note = f"The lake has no answers of {declared.companion}: the audience is {usecase.name} only."
    else:
        note = (
            f"Members will stay ({declared.companion}, version {version}: at least "
            f"{declared.least_stays:.0%} likely) and will respond ({usecase.name})."
        )
    folder = context.workspace.folder(f"runs/{context.run_id}")
    document = AudienceDocument(
        campaign=context.run_id,
        members=members.num_rows,
        held_out=sum(part.held_out for part in parts),
        expected_value=sum(part.expected_value for part in parts),
        spend=sum(part.spend for part in parts),
        companion=declared.companion,
        companion_version=version,
        note=note,
        parts=parts,
        results=results,
        path=str((folder / "audience.html").relative_to(context.workspace.root)),
    )
    page = audience_page(title=usecase.title, campaign=context.run_id, note=note, parts=parts, results=results)
    with replacing(folder / "audience.html") as part:
        part.write_text(page, encoding="utf-8")
    return document


def _members_of(context: StepContext) -> pa.Table | None:
    """The members that the run has made before; None where it has not come so far."""
    lake = context.workspace.lake
    if not lake.exists(AUDIENCES):
        return None
    schema = arrow_schema(AudienceMember)
    found = lake.arrow(AUDIENCES, schema=schema, where=lambda table: table["campaign"] == context.run_id)
    return found if found.num_rows else None


def _companion_version(context: StepContext, declared: Audience) -> str | None:
    if declared.companion is None:
        return None
    live = context.workspace.registry.live(declared.companion).champion
    return None if live is None else live.version


def _made(context: StepContext, declared: Audience, version: str | None) -> pa.Table:
    usecase = context.usecase
    rows = scored_rows(context)
    keys = entity_keys(usecase, rows)
    own = context.workspace.lake.arrow(
        PREDICTIONS,
        schema=arrow_schema(PredictionLog),
        columns=["prediction_id", "entity_key", "score", "model_version"],
        where=lambda table: (table["usecase"] == usecase.name) & (table["request_id"] == context.run_id),
    )
    place = pc.index_in(keys, value_set=own.column("entity_key").combine_chunks())
    answered = pc.is_valid(place)
    rows, keys, own = rows.filter(answered), keys.filter(answered), own.take(place.filter(answered))
    score = own.column("score").to_numpy()
    stays = _stays(context, declared, keys, version)
    answers = stays is not None and not bool(np.isnan(stays).all())
    columns = _rule_columns(declared, rows, score, stays)
    member = _true(declared.eligible, columns, rows.num_rows)
    if answers:
        assert stays is not None
        member &= np.nan_to_num(stays, nan=-1.0) >= declared.least_stays
    segment = np.full(rows.num_rows, -1)
    for number, one in enumerate(declared.segments):
        holds = np.ones(rows.num_rows, dtype=bool) if one.where is None else _true(one.where, columns, rows.num_rows)
        segment[(segment < 0) & holds] = number
    names = [one.name for one in declared.segments]
    offer = np.full(rows.num_rows, -1)
    value, cost = np.zeros(rows.num_rows), np.zeros(rows.num_rows)
    for number, one_offer in enumerate(declared.offers):
        taken = (offer < 0) & np.isin(segment, [names.index(name) for name in one_offer.segments])
        offer[taken], value[taken], cost[taken] = number, one_offer.value, one_offer.cost
    expected = score * (np.nan_to_num(stays, nan=1.0) if answers and stays is not None else 1.0) * value - cost
    member &= (offer >= 0) & (expected > 0)
    chosen = np.flatnonzero(member)
    entities = keys.take(pa.array(chosen)).to_pylist()
    count = len(chosen)
    schema = arrow_schema(AudienceMember)
    made = {
        "member_id": own.column("prediction_id").take(pa.array(chosen)),
        "usecase": [usecase.name] * count,
        "campaign": [context.run_id] * count,
        "entity_key": entities,
        "segment": [names[at] for at in segment[chosen]],
        "offer": [declared.offers[at].name for at in offer[chosen]],
        "score": score[chosen],
        "stays": pa.array(stays[chosen], from_pandas=True) if answers and stays is not None else [None] * count,
        "expected_value": expected[chosen],
        "cost": cost[chosen],
        "holdout": _held_out(context, declared, entities),
        "model_version": own.column("model_version").take(pa.array(chosen)),
        "companion_version": [version if answers else None] * count,
        "decided_at": [context.workspace.clock()] * count,
    }
    typed = {
        name: values if isinstance(values, pa.ChunkedArray | pa.Array) else pa.array(values, schema.field(name).type)
        for name, values in made.items()
    }
    return pa.table(typed).cast(schema)


def _stays(context: StepContext, declared: Audience, keys: pa.Array, version: str | None) -> "Floats | None":
    """One less the newest score that the companion's champion gave each entity; NaN where it gave none."""
    lake = context.workspace.lake
    if version is None or not lake.exists(PREDICTIONS):
        return None
    log = lake.read(PREDICTIONS, schema=arrow_schema(PredictionLog))
    log = log.filter(log["usecase"] == declared.companion, log["model_version"] == version, log["entity_key"].notnull())
    last = newest(log, key=("entity_key",), newest_by=["predicted_at", "prediction_id"], table=PREDICTIONS)
    found = lake.engine.arrow(last.select("entity_key", "score"))
    place = pc.index_in(keys, value_set=found.column("entity_key").combine_chunks())
    scores = found.column("score").combine_chunks().take(place)
    return np.asarray(1.0 - scores.to_numpy(zero_copy_only=False), dtype=np.float64)


def _rule_columns(
    declared: Audience, rows: pa.Table, score: "Floats", stays: "Floats | None"
) -> "dict[str, npt.NDArray[np.generic]]":
    from trunkline.tasks.base_matrix import number_column

    rules = [declared.eligible, *(one.where for one in declared.segments if one.where is not None)]
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for name in sorted(set().union(*(rule.columns() for rule in rules)) - set(RULE_COLUMNS)):
        kind = rows.schema.field(name).type
        is_text = pa.types.is_string(kind) or pa.types.is_dictionary(kind)
        columns[name] = np.array(rows.column(name).to_pylist(), dtype=object) if is_text else number_column(rows, name)
    return columns | {"score": score, "stays": np.full(len(score), np.nan) if stays is None else stays}


def _true(rule: object, columns: "dict[str, npt.NDArray[np.generic]]", rows: int) -> "npt.NDArray[np.bool_]":
    from trunkline.contracts import Expr

    assert isinstance(rule, Expr)
    return np.asarray(np.nan_to_num(vector(rule, columns, rows=rows)) != 0.0)


def _held_out(context: StepContext, declared: Audience, keys: Sequence[str]) -> list[bool]:
    """Who is never contacted: who never was before, and of new members a random share."""
    lake = context.workspace.lake
    before: dict[str, bool] = {}
    if lake.exists(AUDIENCES):
        known = lake.arrow(
            AUDIENCES,
            schema=arrow_schema(AudienceMember),
            columns=["entity_key", "holdout", "decided_at"],
            where=lambda table: table["usecase"] == context.usecase.name,
        ).sort_by("decided_at")
        before = dict(zip(known.column("entity_key").to_pylist(), known.column("holdout").to_pylist(), strict=True))
    secret = context.workspace.keys.pseudonym_key(_HOLDOUT).secret
    below = int(declared.holdout_share * 2**64)
    named = f"{context.usecase.name}|".encode()

    def drawn(key: str) -> bool:
        return int.from_bytes(hmac.digest(secret, named + key.encode(), "sha256")[:8]) < below

    return [before[key] if key in before else drawn(key) for key in keys]


def _parts(members: pa.Table, declared: Audience) -> tuple[AudiencePart, ...]:
    titles = {one.name: one.title for one in declared.segments}
    offers = {one.name: one.title for one in declared.offers}
    grouped = members.append_column(
        "spent", pc.if_else(members.column("holdout"), 0.0, members.column("cost"))
    ).append_column("gained", pc.if_else(members.column("holdout"), 0.0, members.column("expected_value")))
    counted = grouped.append_column("held", members.column("holdout").cast(pa.int64())).group_by(["segment", "offer"])
    found = counted.aggregate(
        [("score", "mean"), ("score", "count"), ("spent", "sum"), ("gained", "sum"), ("held", "sum")]
    ).to_pylist()
    order = {name: place for place, name in enumerate(titles)}
    found.sort(key=lambda row: (order.get(row["segment"], len(order)), row["offer"]))
    return tuple(
        AudiencePart(
            segment=titles.get(row["segment"], row["segment"]),
            offer=offers.get(row["offer"], row["offer"]),
            members=row["score_count"],
            held_out=row["held_sum"],
            mean_score=row["score_mean"],
            expected_value=row["gained_sum"],
            spend=row["spent_sum"],
        )
        for row in found
    )

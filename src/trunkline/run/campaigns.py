"""What came of campaigns: results become outcomes of the answers they rest on, and are held against the holdout group.

Takes the use case's dataset of results and the members of ``platform.audiences``. A result of somebody who is no member
of the campaign is left aside; the quarantine has those that broke the contract.
"""

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.checks import arrow_schema
from trunkline.contracts.records import AUDIENCES, OUTCOMES, AudienceMember, Outcome
from trunkline.lake.versions import newest
from trunkline.report.audience import CampaignResult
from trunkline.run.steps import StepContext
from trunkline.spec.audience import Audience
from trunkline.stats.uplift import campaign_effect
from trunkline.train import entity_keys

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["campaign_results", "take_results"]

_RESULTS: Final = ("campaign", "contacted", "responded", "revenue", "observed_at")


def take_results(context: StepContext, declared: Audience) -> None:
    """Write each result of a member as an outcome that names the answer it judges; those that are known stay."""
    lake, usecase = context.workspace.lake, context.usecase
    results = _joined_results(context, declared)
    if results is None or not results.num_rows:
        return
    members = lake.arrow(
        AUDIENCES,
        schema=arrow_schema(AudienceMember),
        columns=["member_id", "campaign", "entity_key"],
        where=lambda table: table["usecase"] == usecase.name,
    )
    joined = results.join(members, keys=["campaign", "entity_key"], join_type="inner")
    ids = [
        hashlib.sha256(f"campaign|{member}|{responded}".encode()).hexdigest()[:32]
        for member, responded in zip(
            joined.column("member_id").to_pylist(), joined.column("responded").to_pylist(), strict=True
        )
    ]
    schema = arrow_schema(Outcome)
    outcomes = pa.table(
        {
            "outcome_id": pa.array(ids, pa.string()),
            "usecase": pa.array([usecase.name] * len(ids), pa.string()),
            "entity_key": joined.column("entity_key"),
            "prediction_id": joined.column("member_id"),
            "value": joined.column("responded").cast(pa.int8()).cast(pa.float64()),
            "observed_at": joined.column("observed_at"),
            "recorded_at": pa.array([context.workspace.clock()] * len(ids), schema.field("recorded_at").type),
        }
    ).cast(schema)
    if lake.exists(OUTCOMES):
        known = lake.arrow(
            OUTCOMES, schema=schema, columns=["outcome_id"], where=lambda table: table["usecase"] == usecase.name
        )
        outcomes = outcomes.filter(
            pc.invert(pc.is_in(outcomes.column("outcome_id"), known.column("outcome_id").combine_chunks()))
        )
    if outcomes.num_rows:
        lake.append(OUTCOMES, outcomes)


def campaign_results(context: StepContext, declared: Audience) -> tuple[CampaignResult, ...]:
    """Each campaign whose results have come against its holdout group, by segment and as a whole.

    Everybody counts who was to be contacted, and who is named in no result did not respond and brought nothing.
    """
    results = _joined_results(context, declared)
    if results is None or not results.num_rows:
        return ()
    titles = {one.name: one.title for one in declared.segments}
    found: list[CampaignResult] = []
    members = context.workspace.lake.arrow(
        AUDIENCES,
        schema=arrow_schema(AudienceMember),
        where=lambda table: table["usecase"] == context.usecase.name,
    )
    known = set(results.column("campaign").to_pylist())
    for campaign in sorted(known & set(members.column("campaign").to_pylist())):
        theirs = members.filter(pc.equal(members.column("campaign"), campaign))
        came = results.filter(pc.equal(results.column("campaign"), campaign))
        place = pc.index_in(
            theirs.column("entity_key").combine_chunks(), value_set=came.column("entity_key").combine_chunks()
        )
        responded = _taken(came, "responded", place)
        revenue = _taken(came, "revenue", place)
        contacted = _taken(came, "contacted", place)
        held = theirs.column("holdout").to_numpy(zero_copy_only=False).astype(bool)
        cost = theirs.column("cost").to_numpy()
        segments = np.array(theirs.column("segment").to_pylist(), dtype=object)
        for name in (None, *titles):
            inside = np.ones(len(held), dtype=bool) if name is None else segments == name
            sent, left = inside & ~held, inside & held
            if not sent.any():
                continue
            effect = campaign_effect(
                responded[sent],
                revenue[sent],
                holdout_responded=responded[left],
                holdout_revenue=revenue[left],
                spend=float((cost * contacted)[sent].sum()),
            )
            found.append(
                CampaignResult(
                    campaign=campaign,
                    segment="all" if name is None else titles[name],
                    reached=int(contacted[sent].sum()),
                    holdout_contacted=int(contacted[left].sum()),
                    effect=effect,
                )
            )
    return tuple(found)


def _taken(rows: pa.Table, name: str, place: pa.Array) -> "Floats":
    values = rows.column(name).combine_chunks().cast(pa.float64() if name == "revenue" else pa.int8()).take(place)
    return np.nan_to_num(np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64))


def _joined_results(context: StepContext, declared: Audience) -> pa.Table | None:
    """Results of campaigns, the newest per entity and campaign, with the entity's key; None where there are none."""
    lake, usecase = context.workspace.lake, context.usecase
    if declared.results is None or not lake.exists(usecase.table_name(declared.results)):
        return None
    contract = usecase.datasets[declared.results]
    table = usecase.table_name(declared.results)
    rows = newest(
        lake.read(table), key=contract.table.key, newest_by=["observed_at", "_ingested_at", "_row"], table=table
    )
    found = lake.engine.arrow(rows.select(*dict.fromkeys((*usecase.entity_key, *_RESULTS))))
    return found.append_column("entity_key", entity_keys(usecase, found))

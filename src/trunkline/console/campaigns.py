"""Campaigns for the console: the audience of each run that made one, and what came of it.

Takes a lake, gives rows of the list; the page of a campaign is written by its run. A use case that has no audience is
not in it.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.console.listing import CampaignRow, Listing, Page
from trunkline.console.queries import Stored, instant, interval, mapping, parsed, whole
from trunkline.contracts.records import RECORDS, STEPS
from trunkline.lake.versions import newest

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.lake import Lake

__all__ = ["campaigns"]

_WHOLE: Final = "all"


def campaigns(
    lake: "Lake", *, usecase: str | None, page: Page, has_page: Callable[[str], bool]
) -> Listing[CampaignRow]:
    """List campaigns, the newest first.

    Args:
        lake: The lake.
        usecase: Only of this use case.
        page: Which page.
        has_page: Tells whether the business page of a run was written.

    Returns:
        One row per run that made an audience, with the newest results that any run of its use case has read.
    """
    if not lake.exists(STEPS):
        return Listing((), 0, page)

    def made(rows: "ir.Table") -> "ir.Table":
        kept = newest(rows, key=("run_id", "step"), newest_by=("finished_at",), table=STEPS)
        kept = kept.filter(kept["step"] == "report")
        if usecase is not None:
            kept = kept.filter(kept["usecase"] == usecase)
        # taken out in the engine, as an audience is a small part of what a lake says of its runs
        audience = kept["document"].cast("json")["audience"].cast("string")
        found = kept.select("run_id", "usecase", "finished_at", audience=audience)
        return found.filter(found["audience"].notnull() & (found["audience"] != "null")).order_by(
            found["finished_at"].desc(), found["run_id"].desc()
        )

    stored = lake.collect(made, STEPS, schemas={STEPS: arrow_schema(RECORDS[STEPS])}).to_pylist()
    effects: dict[tuple[str, str], Stored] = {}
    for row in reversed(stored):  # a later run has read what earlier ones had, and more
        for campaign, effect in _effects(parsed(str(row["audience"]))).items():
            effects[str(row["usecase"]), campaign] = effect
    shown = stored[page.offset : page.offset + page.rows]
    rows = tuple(
        _row(row, effects.get((str(row["usecase"]), str(row["run_id"])), {}), has_page(str(row["run_id"])))
        for row in shown
    )
    return Listing(rows, len(stored), page)


def _effects(audience: Stored) -> Mapping[str, Stored]:
    """The effect of each campaign over all its segments, by campaign."""
    results = audience.get("results")
    return {
        str(one["campaign"]): mapping(one, "effect")
        for one in (results if isinstance(results, list) else [])
        if one["segment"] == _WHOLE
    }


def _row(row: Stored, effect: Stored, has_page: bool) -> CampaignRow:
    audience = parsed(str(row["audience"]))
    return CampaignRow(
        run_id=str(row["run_id"]),
        usecase=str(row["usecase"]),
        made_at=instant(row["finished_at"]),
        note=str(audience.get("note", "")),
        members=whole(audience.get("members")),
        held_out=whole(audience.get("held_out")),
        expected_value=float(str(audience.get("expected_value", 0))),
        spend=float(str(audience.get("spend", 0))),
        response=interval(effect.get("response")),
        uplift=interval(effect.get("uplift")),
        incremental_revenue=interval(effect.get("incremental_revenue")),
        has_page=has_page,
    )

"""The business page of an audience: whom to contact, what to expect, and what campaigns brought.

Takes the records of an audience, gives one HTML text that needs neither network nor scripts; the same records give the
same bytes. Money is in the currency of the use case's rules.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from trunkline.report.charts.shapes import interval_row, interval_rows
from trunkline.report.drawing import Chart, draw
from trunkline.stats.uplift import CampaignEffect

__all__ = ["AudiencePart", "CampaignResult", "audience_page"]


class AudiencePart(BaseModel):
    """The members of one segment who get one offer.

    Attributes:
        segment: What it is called.
        offer: What it is called.
        members: Members, those held out included.
        held_out: Members who are never contacted.
        mean_score: Mean score of the members.
        expected_value: Of contacting those who are not held out, costs taken off, in currency units.
        spend: What contacting them costs.
    """

    model_config = ConfigDict(frozen=True)

    segment: str
    offer: str
    members: int
    held_out: int
    mean_score: float
    expected_value: float
    spend: float


class CampaignResult(BaseModel):
    """What a campaign brought in one segment.

    Attributes:
        campaign: The run that made its audience.
        segment: What it is called; ``all`` for all of them.
        reached: Members whom the results name as contacted.
        holdout_contacted: Members of the holdout group whom the results name as contacted: there should be none.
        effect: Against the holdout group.
    """

    model_config = ConfigDict(frozen=True)

    campaign: str
    segment: str
    reached: int
    holdout_contacted: int
    effect: CampaignEffect


def audience_page(
    *, title: str, campaign: str, note: str, parts: Sequence[AudiencePart], results: Sequence[CampaignResult]
) -> str:
    """Render the page.

    Args:
        title: Of the use case.
        campaign: The run that made the audience.
        note: What the audience rests on.
        parts: By segment and offer.
        results: Of campaigns whose results have come.

    Returns:
        A complete HTML document.
    """
    from trunkline.report.page import TEMPLATES, environment, style

    return (
        environment(TEMPLATES)
        .get_template("audience.html.j2")
        .render(
            title=title,
            campaign=campaign,
            note=note,
            parts=parts,
            results=results,
            style=style(),
            drawings={chart.name: draw(chart) for chart in _charts(parts, results)},
        )
    )


def _charts(parts: Sequence[AudiencePart], results: Sequence[CampaignResult]) -> list[Chart]:
    from trunkline.report.charts.shapes import bars

    found: list[Chart] = []
    if parts:
        found.append(
            Chart(
                "expected",
                "Expected value by segment and offer",
                "Score, probability to stay where it is known, and the offer's value, less what the contacts cost; "
                "without those who are held out.",
                bars(
                    [{"label": part.offer, "value": part.expected_value, "colour": "var(--one)"} for part in parts],
                    "Expected value",
                ),
            )
        )
    for name, said, chosen in (
        ("uplift", "Response above the holdout group", [(one, one.effect.uplift) for one in results]),
        ("profit", "Incremental profit", [(one, one.effect.incremental_profit) for one in results]),
    ):
        rows = [interval_row(f"{one.segment} ({one.campaign})", effect) for one, effect in chosen if effect is not None]
        if rows:
            found.append(
                Chart(
                    name,
                    f"{said} by segment and campaign",
                    "With 95 % intervals. The dashed line is no effect: an interval that crosses it shows none.",
                    interval_rows(rows, said, reference=0.0),
                )
            )
    return found

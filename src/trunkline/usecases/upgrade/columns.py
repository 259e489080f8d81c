"""Which columns a model of upgrades may read, and why: the part of the use case that keeps it honest.

The label is known at the extract, and the extract is later than the day on which an offer would have been made. A
column belongs to one of these groups; what is in none of them was so before the upgrade, and is read.
"""

from typing import Final, Literal

__all__ = ["GROUPS", "HANDSET", "JUSTIFIED", "PostDated", "left_out"]

PostDated = Literal["changes", "retention", "churn", "handset", "handset_age"]
"""A group of columns that may, or must, be later than the upgrade."""

HANDSET: Final = (
    "handsets",
    "handset_models",
    "handset_price",
    "handset_refurbished",
    "handset_web_capable",
)
"""Of the present handset, that is, of the new one where there was an upgrade: they hold the answer."""

GROUPS: Final[dict[PostDated, tuple[str, ...]]] = {
    "changes": ("change_minutes", "change_revenue"),
    "retention": ("retention_calls", "retention_offers_accepted", "called_retention"),
    "churn": ("churned",),
    "handset": HANDSET,
    "handset_age": ("current_equipment_days",),
}
"""Columns of each group."""

JUSTIFIED: Final[dict[PostDated, str]] = {
    "changes": "the newest month against the three before: an operator computes it on the day of scoring, from closed "
    "bills, so it is known before the 90 days begin. In an extract it overlaps them, and part of what it adds may be "
    "the effect of the new handset: the ablation in docs/upgrade.md shows the score without it, and "
    '[usecases.upgrade] also = "" leaves it out',
    "retention": "calls to the retention team come before the upgrade they talk people into; put in by hand, for the "
    "ablation only",
    "churn": "known after the upgrade; put in by hand, for the ablation only",
    "handset": "attributes of the new handset; put in by hand, to see that the leakage gate refuses them",
    "handset_age": "the label is derived from it; put in by hand, to see that the leakage gate refuses it",
}
"""Why a group is read where it is."""


def left_out(also: tuple[PostDated, ...]) -> tuple[str, ...]:
    """Name the columns that are not read.

    Args:
        also: Groups that are read nevertheless.
    """
    return tuple(name for group, names in GROUPS.items() if group not in also for name in names)

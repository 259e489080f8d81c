"""Who is to be contacted with what, as data: segments, offers and a holdout group of a use case's predictions.

Rules are expressions over the columns of the use case's rows and two more: ``score`` (what this use case predicts),
``stays`` (one less the score of the companion use case, null where it has none).
Nothing is computed here; ``trunkline.run.audiences`` applies them.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from trunkline.contracts import Contract, Expr
from trunkline.errors import UseCaseError

__all__ = ["Audience", "Offer", "Segment", "refuse_unaddressable"]

RULE_COLUMNS = ("score", "stays")
"""What rules read beside the columns of the contract."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of the audience.

    Attributes:
        name: Lower-case letters, digits and underscores.
        title: A few words for people.
        where: Condition on a row; null counts as not. None takes whoever is left.
    """

    name: str
    title: str
    where: Expr | None = None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a member is offered.

    Attributes:
        name: Lower-case letters, digits and underscores.
        title: A few words for people.
        segments: Names of the segments that it is for.
        value: What an accepted offer brings, in currency units, more than 0.
        cost: What a contact with it costs, in currency units, at least 0.
    """

    name: str
    title: str
    segments: tuple[str, ...]
    value: float
    cost: float


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Whom a use case would contact.

    Attributes:
        eligible: Condition that a row must hold to be a member, beside an expected value above 0: e.g. that mailings
            are not opted out of. Null counts as not.
        segments: In the order in which they are tried; who is in none is no member.
        offers: In the order in which they are tried; who has none is no member.
        holdout_share: Share of the members that is never contacted, drawn by a keyed hash, in (0, 0.5].
        companion: Use case whose champion says who leaves; None where the audience does not ask.
        least_stays: Least probability to stay, in [0, 1], where the companion has answered for a row. Rows it has not
            answered for are no members, if it has answered for any.
        consents: Dataset with what customers say of being contacted: the key of the rows, ``channel`` and ``given``;
            None where nothing is known, and nobody is contacted.
        results: Dataset with the results of campaigns, one row per subscriber and campaign; None where there is none.
    """

    eligible: Expr
    segments: tuple[Segment, ...]
    offers: tuple[Offer, ...]
    holdout_share: float = 0.05
    companion: str | None = None
    least_stays: float = 0.5
    consents: str | None = None
    results: str | None = None


def refuse_unaddressable(
    audience: Audience, contract: type[Contract], datasets: Collection[str], *, where: str
) -> None:
    """Refuse an audience that could not be made.

    Args:
        audience: The declaration.
        contract: That of the use case's main dataset.
        datasets: Datasets of the use case.
        where: Names the use case.

    Raises:
        UseCaseError: A name is malformed or there twice, a share is out of range, an offer names no segment, a rule
            reads a column that is not there, or the rows have no key.
    """
    here = f"{where}, audience"
    if not contract.table.key:
        raise UseCaseError("an audience needs rows with a key", where=here)
    for what, names in (
        ("segment", [segment.name for segment in audience.segments]),
        ("offer", [offer.name for offer in audience.offers]),
    ):
        if not names:
            raise UseCaseError(f"an audience needs at least one {what}", where=here)
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or names.count(name) > 1:
                raise UseCaseError(
                    f"the {what} {name!r} is named twice, or not in lower-case letters, digits and underscores",
                    where=here,
                )
    if not 0 < audience.holdout_share <= 0.5:
        raise UseCaseError("holdout_share must lie in (0, 0.5]", where=here)
    if not 0 <= audience.least_stays <= 1:
        raise UseCaseError("least_stays must lie in [0, 1]", where=here)
    _refuse_offers(audience, here)
    columns = {column.name for column in contract.columns} | set(RULE_COLUMNS)
    rules = [audience.eligible, *(segment.where for segment in audience.segments if segment.where is not None)]
    if unknown := sorted(set().union(*(rule.columns() for rule in rules)) - columns):
        raise UseCaseError(
            f"a rule reads {unknown[0]!r}, which the contract lacks", where=here, allowed=sorted(columns)
        )
    for named in (audience.consents, audience.results):
        if named is not None and named not in datasets:
            raise UseCaseError(f"there is no dataset {named!r}", where=here, allowed=datasets)


def _refuse_offers(audience: Audience, here: str) -> None:
    known = {segment.name for segment in audience.segments}
    for offer in audience.offers:
        if unknown := sorted(set(offer.segments) - known):
            raise UseCaseError(
                f"the offer {offer.name!r} is for an unknown segment {unknown[0]!r}", where=here, allowed=known
            )
        if not offer.value > 0 or offer.cost < 0:
            raise UseCaseError(f"the offer {offer.name!r} needs a value above 0 and a cost of at least 0", where=here)

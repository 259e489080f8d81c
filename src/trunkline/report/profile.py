"""The page of a source that nobody has described yet: what its columns hold, and the contract drafted from them.

Takes a :class:`SourceProfile`, gives one HTML text that needs neither network nor scripts; the same profile gives the
same bytes. What looks personal was left out of the profile before: this module cannot show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from trunkline.report.page import TEMPLATES, environment, style

if TYPE_CHECKING:
    import jinja2

__all__ = ["ColumnProfile", "SourceProfile", "render_profile"]

_WIDTH: Final = 220
_HEIGHT: Final = 56


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    Attributes:
        source: Its name in the file.
        name: The field's name in the draft.
        kind: The kind of the draft.
        nulls: Rows without a value.
        distinct: Different values.
        is_distinct_exact: Whether they were counted; otherwise estimated to about 2 %.
        personal: Why its values are not shown; empty where they may be.
        low: Smallest value; empty where there is none to show.
        high: Largest value.
        mean: Mean of numbers; empty for others.
        quantiles: Name and value, of the sample.
        bins: Values of the sample by equal intervals from low to high quantile; none where there is nothing to draw.
        top: Value and its rows in the sample, of closed categories and flags.
        lengths: Shortest and longest text in characters; None for others.
        unfit: Rows whose value is none of the drafted kind.
        suspicions: What is odd about it.
    """

    source: str
    name: str
    kind: str
    nulls: int
    distinct: int
    is_distinct_exact: bool
    personal: str = ""
    low: str = ""
    high: str = ""
    mean: str = ""
    quantiles: tuple[tuple[str, str], ...] = ()
    bins: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    lengths: tuple[int, int] | None = None
    unfit: int = 0
    suspicions: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceProfile:
    """What a source holds.

    Attributes:
        source: Name of the file.
        rows: Rows, all of them counted.
        malformed: Lines that are no rows.
        sampled: Rows of the sample.
        guessed: Rows from which kinds were told.
        columns: In the order of the file.
        keys: Columns that identify a row, each alone.
        identity: Columns of the drafted key, where it holds for all rows.
        label: The column to predict.
        contract: The drafted contract, as code.
    """

    source: str
    rows: int
    malformed: int
    sampled: int
    guessed: int
    columns: tuple[ColumnProfile, ...]
    keys: tuple[str, ...]
    identity: tuple[str, ...]
    label: str
    contract: str

    @property
    def suspicious(self) -> tuple[ColumnProfile, ...]:
        """Columns with something odd."""
        return tuple(column for column in self.columns if column.suspicions)


def render_profile(profile: SourceProfile) -> str:
    """Render the page of a source.

    Args:
        profile: What it holds.

    Returns:
        A complete HTML document.
    """
    return _environment().get_template("profile.html.j2").render(profile=profile, style=style(), histogram=_histogram)


@cache
def _environment() -> "jinja2.Environment":
    return environment(TEMPLATES)


def _histogram(bins: Sequence[int]) -> Markup:
    """Draw bars by hand: a page may have a thousand of them."""
    most = max(bins, default=0)
    if most == 0:
        return Markup("")
    step = _WIDTH / len(bins)
    bars = "".join(
        f'<rect x="{place * step:.1f}" y="{_HEIGHT - _HEIGHT * count / most:.1f}" width="{max(step - 1, 0.5):.1f}" '
        f'height="{_HEIGHT * count / most:.1f}"/>'
        for place, count in enumerate(bins)
        if count
    )
    return Markup(  # noqa: S704 - made of numbers only
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{bars}</svg>'
    )

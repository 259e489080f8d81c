"""Where the objects of a fleet stand, coloured by the severity of their alarms, as inline SVG.

Takes positions in degrees, gives a drawing without script or network: no tiles are asked for, north is up, and a line
says how long some kilometres are. Distances are those of an equirectangular projection about the middle of the fleet,
good for a country.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

__all__ = ["Placed", "site_map"]

_WIDTH: Final = 760.0
_HEIGHTS: Final = (220.0, 560.0)
_EDGE: Final = 18.0
_KM_PER_DEGREE: Final = 111.195
"""Of a great circle, with the mean radius of the Earth (6371.0088 km, IUGG)."""

_LEAST_KM: Final = 0.5
_LENGTHS: Final = (1.0, 2.0, 5.0)
_SIZES: Final = {"critical": 7.0, "major": 6.0, "minor": 5.0, "warning": 4.5, "indeterminate": 4.0}
_QUIET: Final = 2.5


@dataclass(frozen=True)
class Placed:
    """One object with its position.

    Attributes:
        object_id: The object.
        latitude: Degrees north.
        longitude: Degrees east.
        severity: The worst that stands; empty where none does.
        problem: What is wrong; empty where nothing is.
    """

    object_id: str
    latitude: float
    longitude: float
    severity: str = ""
    problem: str = ""


def site_map(placed: Sequence[Placed], link: Callable[[str], str]) -> Markup:
    """Draw a fleet; the worst lie on top, are larger, and lead to their own page.

    Args:
        placed: At least one object.
        link: Address of an object's page.

    Returns:
        An SVG that says how many objects it shows, and how many with an alarm, to who cannot see it.
    """
    middle = (min(one.latitude for one in placed) + max(one.latitude for one in placed)) / 2
    shrunk = max(math.cos(math.radians(middle)), 0.01)
    east, north = _unwrapped([one.longitude for one in placed]), [one.latitude for one in placed]
    across = [value * shrunk * _KM_PER_DEGREE for value in east]
    up = [value * _KM_PER_DEGREE for value in north]
    wide, high = max(max(across) - min(across), _LEAST_KM), max(max(up) - min(up), _LEAST_KM)
    per_km = min((_WIDTH - 2 * _EDGE) / wide, (_HEIGHTS[1] - 3 * _EDGE) / high)
    height = max(_HEIGHTS[0], high * per_km + 3 * _EDGE)
    left = (_WIDTH - (max(across) - min(across)) * per_km) / 2
    top = (height - _EDGE - (max(up) - min(up)) * per_km) / 2
    ranked = sorted(range(len(placed)), key=lambda at: (_SIZES.get(placed[at].severity, 0.0), at))
    parts = [
        _dot(placed[at], left + (across[at] - min(across)) * per_km, top + (max(up) - up[at]) * per_km, link)
        for at in ranked
    ]
    standing = sum(bool(one.severity) for one in placed)
    said = f"Map of {len(placed)} positions, {standing} with an alarm that stands"
    drawn = "".join(parts) + _scale_bar(per_km, height)
    return Markup(  # noqa: S704 - made of numbers, and of texts that are escaped
        f'<svg class="map" role="group" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" aria-label="{said}">{drawn}</svg>'
    )


def _unwrapped(longitudes: Sequence[float]) -> list[float]:
    """Longitudes without the jump at 180 degrees, for a fleet that lies across it."""
    if max(longitudes) - min(longitudes) <= 180:
        return list(longitudes)
    return [value % 360 for value in longitudes]


def _dot(one: Placed, x: float, y: float, link: Callable[[str], str]) -> str:
    if not one.severity:
        said = escape(f"{one.object_id}: no alarm stands")
        return f'<circle class="quiet" cx="{x:.1f}" cy="{y:.1f}" r="{_QUIET}"><title>{said}</title></circle>'
    said = escape(f"{one.object_id}: {one.severity}, {one.problem}")
    size = _SIZES[one.severity]
    return (
        f'<a href="{escape(link(one.object_id))}" aria-label="{said}">'
        f'<circle class="{one.severity}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"><title>{said}</title></circle></a>'
    )


def _scale_bar(per_km: float, height: float) -> str:
    """A line of a round number of kilometres, a fifth of the width at most."""
    most = _WIDTH / 5 / per_km
    size = 10.0 ** math.floor(math.log10(most))
    length = max(one * size for one in _LENGTHS if one * size <= most)
    said = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    begin, foot = _EDGE, height - 8
    end = begin + length * per_km
    return (
        f'<line class="ruler" x1="{begin}" x2="{end:.1f}" y1="{foot:.1f}" y2="{foot:.1f}"/>'
        f'<text x="{end + 6:.1f}" y="{foot + 4:.1f}">{said}</text>'
    )

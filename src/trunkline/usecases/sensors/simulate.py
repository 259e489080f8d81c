"""Readings of simulated devices, and what is known of them: where they stand, whose they are, and since when.

Takes how many devices, gives tables under the contracts' names. Handsets move and belong to a subscriber; routers and
base stations stand at a site. Halfway some equipment is moved to another site and some subscribers change their tariff,
so that windows before and after are told different things. Some devices fall silent, are shaken, or run out of battery.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.spec import Simulation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["BEGIN", "SECONDS", "simulate"]

BEGIN: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""When the devices begin to tell."""

SECONDS: Final = 60
"""For how long they do."""

_BEFORE: Final = timedelta(days=30)
_HALF: Final = BEGIN + timedelta(seconds=SECONDS / 2)
_DEVICES_PER_SITE: Final = 10
_REGIONS: Final = ("north", "east", "south", "west")
_AREAS: Final = ("urban", "suburban", "rural")
_PLANS: Final = ("prepaid", "flat", "flat_plus")
_SEGMENTS: Final = ("private", "business")
_HANDSET_SHARE: Final = 0.7
_MOVED_SHARE: Final = 0.2
_ODD_SHARE: Final = 0.05
_SILENT_S: Final = range(41, 46)
_SHAKEN_S: Final = range(50, 60)
_METRES_PER_DEGREE: Final = 111_195.0

_Row = dict[str, object]


def simulate(*, rows: int, seed: int) -> Simulation:
    """Make ``rows`` devices and a minute of their readings.

    Args:
        rows: Devices, at least 1.
        seed: The same seed gives the same rows.

    Returns:
        Tables ``readings``, ``devices``, ``sites`` and ``subscribers``; nothing is predicted, so no score is the best.
    """
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng([seed, 5])
    sites = [f"site-{number}" for number in range(rows // _DEVICES_PER_SITE + 1)]
    is_handset = rng.random(rows) < _HANDSET_SHARE
    tables = {
        "readings": [one for number in range(rows) for one in _readings(number, bool(is_handset[number]), rng)],
        "devices": [one for number in range(rows) for one in _device(number, bool(is_handset[number]), sites, rng)],
        "sites": [_site(site, rng) for site in sites],
        "subscribers": [one for number in np.flatnonzero(is_handset) for one in _subscriber(int(number), rng)],
    }
    return Simulation({name: pa.Table.from_pylist(found) for name, found in tables.items()}, best_score=0.0, metric="")


def _at(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _device(number: int, is_handset: bool, sites: list[str], rng: "np.random.Generator") -> list[_Row]:
    told: _Row = {"device_id": f"device-{number}", "valid_from_at": _at(BEGIN - _BEFORE), "site": None}
    if is_handset:
        return [{**told, "kind": "handset", "subscriber_id": f"subscriber-{number}"}]
    kind = str(rng.choice(["router", "base_station"]))
    first, second = (sites[int(place)] for place in rng.integers(0, len(sites), 2))
    stands = [{**told, "kind": kind, "site": first, "subscriber_id": None}]
    if rng.random() < _MOVED_SHARE:
        stands.append({**stands[0], "valid_from_at": _at(_HALF), "site": second})
    return stands


def _site(site: str, rng: "np.random.Generator") -> _Row:
    return {
        "site": site,
        "valid_from_at": _at(BEGIN - _BEFORE),
        "region": str(rng.choice(_REGIONS)),
        "area": str(rng.choice(_AREAS)),
        "latitude": round(float(rng.uniform(47.5, 54.5)), 5),
        "longitude": round(float(rng.uniform(6.5, 14.5)), 5),
    }


def _subscriber(number: int, rng: "np.random.Generator") -> list[_Row]:
    plan, other = (str(one) for one in rng.choice(_PLANS, 2, replace=False))
    first: _Row = {
        "subscriber_id": f"subscriber-{number}",
        "valid_from_at": _at(BEGIN - _BEFORE),
        "plan": plan,
        "segment": str(rng.choice(_SEGMENTS)),
    }
    changes = rng.random() < _MOVED_SHARE
    return [first, {**first, "valid_from_at": _at(_HALF), "plan": other}] if changes else [first]


def _readings(number: int, is_handset: bool, rng: "np.random.Generator") -> list[_Row]:
    carried: _Row = {"device_id": f"device-{number}", "session_id": "simulated"}
    silent, shaken, low = rng.random(3) < _ODD_SHARE
    speed = float(rng.gamma(2.0, 2.0)) if is_handset else 0.0
    level = 0.12 if low else float(rng.uniform(0.3, 1.0))
    latitude, longitude = float(rng.uniform(47.5, 54.5)), float(rng.uniform(6.5, 14.5))
    moves = rng.normal(0.0, 0.3 if is_handset else 0.02, (SECONDS, 6))
    found: list[_Row] = []
    for second in range(SECONDS):
        if silent and second in _SILENT_S:
            continue
        told = {**carried, "read_at": _at(BEGIN + timedelta(seconds=second, milliseconds=number % 1000))}
        strength = 12.0 if shaken and second in _SHAKEN_S else 1.0
        found.append({**told, "sensor": "accelerometer", **_vector(strength * moves[second, :3])})
        found.append({**told, "sensor": "gyroscope", **_vector(strength * moves[second, 3:])})
        if second % 10 == 0:
            found.append({**told, "sensor": "battery", "battery_level": round(level - second / 10_000, 4)})
        if is_handset and second % 5 == 0:
            north = latitude + speed * second / _METRES_PER_DEGREE
            place = {"latitude": round(north, 7), "longitude": round(longitude, 7), "speed_mps": round(speed, 3)}
            found.append({**told, "sensor": "location", **place})
    return found


def _vector(values: "npt.NDArray[np.float64]") -> _Row:
    return {axis: round(float(value), 5) for axis, value in zip("xyz", values, strict=True)}

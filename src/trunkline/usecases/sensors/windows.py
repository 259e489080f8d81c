"""What is computed of a device: in ten seconds how it moves, in a minute how fast it went and what its battery lost.

Movement has hundreds of readings a second, so its windows tumble; places and batteries have one, so theirs may overlap.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from trunkline.contracts import col
from trunkline.features.windows import END, START, gap_s, great_circle_m, squared_norm
from trunkline.spec import Ewma, HalfSpace, Lookup, Windowed, WindowRule, Windows
from trunkline.usecases.sensors.contracts import Movement, Travel

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["LATENESS", "movement", "moving", "travel", "travelling"]

LATENESS: Final = timedelta(minutes=5)
"""How long a window of a device takes late readings in after the next has begun."""


def moving(readings: "ir.Table") -> "ir.Table":
    """Give one row per device and window: how it moves, and whether readings are missing.

    Args:
        readings: Readings with the begin and the end of their window.
    """
    readings = readings.mutate(
        _gap_s=gap_s(readings, at="read_at", by=("device_id", "sensor", START)),
        _square=squared_norm(readings, "x", "y", "z"),
    )
    is_moving = readings["sensor"] == "accelerometer"
    is_turning = readings["sensor"] == "gyroscope"
    return readings.group_by("device_id", START, END).aggregate(
        readings=readings.count(),
        sensors=readings["sensor"].nunique(),
        activity_energy=readings["_square"].mean(where=is_moving),
        rotation_energy=readings["_square"].mean(where=is_turning),
        longest_gap_s=readings["_gap_s"].max(where=is_moving),
    )


def travelling(readings: "ir.Table") -> "ir.Table":
    """Give one row per device and window with a place or the state of a battery: how fast it went, and what is left.

    Args:
        readings: Readings with the begin and the end of their window, once for every window that they are in.
    """
    readings = readings.filter(readings["sensor"].isin(["location", "battery"]))
    of_sensor = ["device_id", "sensor", START]
    before = {
        name: readings[name].lag().over(group_by=of_sensor, order_by=readings["read_at"])
        for name in ("latitude", "longitude")
    }
    moved = great_circle_m(
        cast("ir.NumericValue", before["latitude"]),
        cast("ir.NumericValue", before["longitude"]),
        cast("ir.NumericValue", readings["latitude"]),
        cast("ir.NumericValue", readings["longitude"]),
    )
    readings = readings.mutate(_moved_m=moved, _gap_s=gap_s(readings, at="read_at", by=of_sensor))
    speed = readings["speed_mps"]
    charge = readings["battery_level"]
    found = readings.group_by("device_id", START, END).aggregate(
        places=readings["latitude"].count(),
        speed_max_mps=speed.max(where=speed >= 0),
        travelled_m=readings["_moved_m"].sum(),
        _way_s=readings["_gap_s"].sum(where=readings["_moved_m"].notnull()),
        battery_low=charge.min(),
        battery_high=charge.max(),
    )
    return found.mutate(
        speed_mean_mps=found["travelled_m"] / found["_way_s"].nullif(0.0),
        battery_drop=found["battery_high"] - found["battery_low"],
    ).drop("_way_s", "battery_high")


_TOLD: Final = (
    Lookup(
        dataset="devices",
        on=("device_id",),
        columns={"site": "site", "kind": "kind", "subscriber_id": "subscriber_id"},
        valid_from="valid_from_at",
    ),
    Lookup(dataset="sites", on=("site",), columns={"region": "region", "area": "area"}, valid_from="valid_from_at"),
    Lookup(
        dataset="subscribers",
        on=("subscriber_id",),
        columns={"plan": "plan", "segment": "segment"},
        valid_from="valid_from_at",
    ),
)
"""What a window is told, as it was when the window ended: of its device, then of the device's site and subscriber."""

movement: Final = Windowed(
    contract=Movement,
    dataset="readings",
    by=("device_id",),
    windows=Windows(length=timedelta(seconds=10), lateness=LATENESS),
    expression=moving,
    lookups=_TOLD,
    scores={
        "activity_score": Ewma(of="activity_energy", half_life=30, warmup=12),
        "rarity": HalfSpace(limits={"activity_energy": (0, 50), "rotation_energy": (0, 10)}, span=60),
    },
    rules={
        "moves_unusually": WindowRule(
            when=col("activity_score") > 6,
            title="a device moves unlike before",
            severity="minor",
            cooldown=timedelta(minutes=10),
        ),
        "falls_silent": WindowRule(
            when=col("longest_gap_s") > 2,
            title="readings of a device are missing",
            severity="warning",
            cooldown=timedelta(minutes=10),
        ),
    },
)
"""How each device moved, in ten seconds."""

travel: Final = Windowed(
    contract=Travel,
    dataset="readings",
    by=("device_id",),
    windows=Windows(length=timedelta(minutes=1), every=timedelta(seconds=20), lateness=LATENESS),
    expression=travelling,
    lookups=_TOLD,
    scores={"speed_score": Ewma(of="speed_mean_mps", half_life=30, warmup=12)},
    rules={
        "battery_low": WindowRule(
            when=col("battery_low") < 0.15,
            title="the battery of a device runs low",
            severity="minor",
            cooldown=timedelta(hours=6),
        ),
    },
)
"""How far and fast each device went and what its battery lost, in a minute; minutes begin every twenty seconds."""

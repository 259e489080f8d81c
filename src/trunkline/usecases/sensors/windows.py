"""What is computed of a device in ten seconds and in a minute: movement, gaps, speed, battery."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from trunkline.contracts import col
from trunkline.features.windows import END, START, gap_s, great_circle_m, squared_norm
from trunkline.spec import Ewma, Lookup, Windowed, WindowRule, Windows
from trunkline.usecases.sensors.contracts import DeviceWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["LATENESS", "activity", "minutes"]

LATENESS: Final = timedelta(minutes=5)
"""How long a window of a device takes late readings in after the next has begun."""


def activity(readings: "ir.Table") -> "ir.Table":
    """Give one row per device and window.

    Args:
        readings: Readings with the begin and the end of their window, once for every window that they are in.
    """
    of_sensor = ("device_id", "sensor", START)
    readings = readings.mutate(
        _gap_s=gap_s(readings, at="read_at", by=of_sensor),
        _square=squared_norm(readings, "x", "y", "z"),
    )
    before = {
        name: readings[name].lag().over(group_by=list(of_sensor), order_by=readings["read_at"])
        for name in ("latitude", "longitude")
    }
    moved = great_circle_m(
        cast("ir.NumericValue", before["latitude"]),
        cast("ir.NumericValue", before["longitude"]),
        cast("ir.NumericValue", readings["latitude"]),
        cast("ir.NumericValue", readings["longitude"]),
    )
    readings = readings.mutate(_moved_m=moved)
    is_moving = readings["sensor"] == "accelerometer"
    is_turning = readings["sensor"] == "gyroscope"
    is_place = readings["latitude"].notnull()
    known_speed = readings["speed_mps"].nullif(-1.0)
    charge = readings["battery_level"]
    found = readings.group_by("device_id", START, END).aggregate(
        readings=readings.count(),
        sensors=readings["sensor"].nunique(),
        activity_energy=readings["_square"].mean(where=is_moving),
        rotation_energy=readings["_square"].mean(where=is_turning),
        longest_gap_s=readings["_gap_s"].max(where=is_moving),
        speed_max_mps=known_speed.max(where=known_speed >= 0),
        travelled_m=readings["_moved_m"].sum(where=is_place),
        _way_s=readings["_gap_s"].sum(where=is_place & readings["_moved_m"].notnull()),
        battery_low=charge.min(),
        battery_high=charge.max(),
    )
    return found.mutate(
        speed_mean_mps=(found["travelled_m"] / found["_way_s"].nullif(0.0)),
        battery_drop=found["battery_high"] - found["battery_low"],
    ).drop("_way_s", "battery_high")


_SITE: Final = Lookup(
    dataset="devices", on=("device_id",), columns={"site": "site", "kind": "kind"}, valid_from="valid_from_at"
)

minutes: Final = Windowed(
    contract=DeviceWindow,
    dataset="readings",
    by=("device_id",),
    windows=Windows(length=timedelta(minutes=1), every=timedelta(seconds=10), lateness=LATENESS),
    expression=activity,
    lookups=(_SITE,),
    scores={"activity_score": Ewma(of="activity_energy", half_life=30, warmup=12)},
    rules={
        "moves_unusually": WindowRule(
            when=col("activity_score") > 6,
            title="a device moves unlike before",
            severity="minor",
            cooldown=timedelta(minutes=10),
        ),
        "falls_silent": WindowRule(
            when=col("longest_gap_s") > 20,
            title="a device fell silent for a while",
            severity="warning",
            cooldown=timedelta(minutes=10),
        ),
        "battery_low": WindowRule(
            when=col("battery_low") < 0.15,
            title="the battery of a device runs low",
            severity="minor",
            cooldown=timedelta(hours=6),
        ),
    },
)

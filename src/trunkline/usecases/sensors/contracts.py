"""What a phone or a piece of equipment tells of itself: one row per reading of one of its sensors."""

from typing import ClassVar

from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Rule, Table, Text, col, field

__all__ = ["Device", "Movement", "Reading", "Site", "Subscriber", "Travel"]


class Reading(Contract):
    """One reading: which device, which sensor, when, and the values that this kind of sensor has; the others are null.

    A message that is sent twice brings the same readings: they have the same key, and readers see them once.
    """

    table: ClassVar[Table] = Table(
        key=("device_id", "session_id", "sensor", "read_at"),
        event_at="read_at",
        rules=(
            Rule("both_coordinates", col("latitude").is_null() == col("longitude").is_null(), "a place has two"),
            Rule(
                "all_axes",
                (col("x").is_null() == col("y").is_null()) & (col("y").is_null() == col("z").is_null()),
                "a vector has three parts",
            ),
        ),
    )

    device_id: Text = field("The device", max_length=64, pii="device", aliases=("deviceId",))
    session_id: Text = field("One recording of the device", max_length=64, aliases=("sessionId",))
    message_id: Integer | None = field("Number of the message in its session", minimum=0, aliases=("messageId",))
    sensor: Text = field("Kind of sensor, e.g. accelerometer, location", max_length=40, pattern=r"[a-z][a-z0-9_]*")
    read_at: Instant = field("When the device read it, by its own clock")
    x: Number | None = field("First axis: m/s2, rad/s or uT by sensor")
    y: Number | None = field("Second axis")
    z: Number | None = field("Third axis")
    latitude: Number | None = field(unit="deg", minimum=-90, maximum=90)
    longitude: Number | None = field(unit="deg", minimum=-180, maximum=180)
    altitude_m: Number | None = field(
        "Above the ellipsoid", unit="m", minimum=-500, maximum=20_000, aliases=("altitude",)
    )
    horizontal_accuracy_m: Number | None = field(unit="m", aliases=("horizontalAccuracy",))
    vertical_accuracy_m: Number | None = field(unit="m", aliases=("verticalAccuracy",))
    speed_mps: Number | None = field("Negative where the device does not know it", unit="m/s", aliases=("speed",))
    speed_accuracy_mps: Number | None = field(unit="m/s", aliases=("speedAccuracy",))
    bearing_deg: Number | None = field("Negative where unknown", unit="deg", maximum=360, aliases=("bearing",))
    bearing_accuracy_deg: Number | None = field(unit="deg", aliases=("bearingAccuracy",))
    battery_level: Number | None = field("Share that is left", minimum=0, maximum=1, aliases=("batteryLevel",))
    battery_state: Text | None = field(max_length=40, aliases=("batteryState",))
    low_power_mode: Flag | None = field(aliases=("lowPowerMode",))


class Device(Contract):
    """What a device is and where it stands: one row per device and change."""

    table: ClassVar[Table] = Table(key=("device_id", "valid_from_at"), event_at="valid_from_at")

    device_id: Text = field("The device", max_length=64, pii="device", aliases=("deviceId",))
    valid_from_at: Instant = field("Since when this is so", aliases=("valid_from",))
    kind: Text = field("handset, router, base_station, ...", max_length=40)
    site: Text | None = field("Where it stands; null for what moves", max_length=64)
    subscriber_id: Text | None = field("Whose it is", max_length=64, pii="subscriber")


class Site(Contract):
    """What is known of a place where equipment stands: one row per site and change."""

    table: ClassVar[Table] = Table(key=("site", "valid_from_at"), event_at="valid_from_at")

    site: Text = field("Its name", max_length=64)
    valid_from_at: Instant = field("Since when this is so", aliases=("valid_from",))
    region: Text = field("Part of the network", max_length=64)
    area: Text | None = field("urban, suburban, rural, ...", max_length=40)
    latitude: Number | None = field(unit="deg", minimum=-90, maximum=90)
    longitude: Number | None = field(unit="deg", minimum=-180, maximum=180)


class Subscriber(Contract):
    """What a subscriber has: one row per subscriber and change."""

    table: ClassVar[Table] = Table(key=("subscriber_id", "valid_from_at"), event_at="valid_from_at")

    subscriber_id: Text = field("The subscriber", max_length=64, pii="subscriber")
    valid_from_at: Instant = field("Since when this is so", aliases=("valid_from",))
    plan: Text = field("Tariff", max_length=40)
    segment: Text | None = field("private, business, ...", max_length=40)


class Movement(Contract):
    """How a device moved: one row per device and ten seconds."""

    table: ClassVar[Table] = Table(key=("device_id", "window_start_at"))

    device_id: Text = field("The device", max_length=64, pii="device")
    window_start_at: Instant = field("Begin; it is in the window")
    window_end_at: Instant = field("End; it is in the next one")
    readings: Integer = field("Readings of all sensors", minimum=1)
    sensors: Integer = field("Kinds of sensors that were heard", minimum=1)
    activity_energy: Number | None = field("Mean square of the acceleration without gravity", unit="m2/s4", minimum=0)
    rotation_energy: Number | None = field("Mean square of the rate of turning", unit="rad2/s2", minimum=0)
    longest_gap_s: Number | None = field("Longest time between two readings of the accelerometer", unit="s", minimum=0)
    site: Text | None = field("Where the device stood when the window ended", max_length=64)
    kind: Text | None = field("What the device was then", max_length=40)
    subscriber_id: Text | None = field("Whose it was then", max_length=64, pii="subscriber")
    region: Text | None = field("Region of the site then", max_length=64)
    area: Text | None = field("Kind of area of the site then", max_length=40)
    plan: Text | None = field("Tariff of the subscriber then", max_length=40)
    segment: Text | None = field("Segment of the subscriber then", max_length=40)
    activity_score: Number | None = field("Standard deviations of the activity off its moving average")
    rarity: Number | None = field("How rare the movement is for the device: 1 was never seen", minimum=0, maximum=1)


class Travel(Contract):
    """Where a device went and what its battery lost: one row per device and minute; minutes begin every 20 seconds."""

    table: ClassVar[Table] = Table(key=("device_id", "window_start_at"))

    device_id: Text = field("The device", max_length=64, pii="device")
    window_start_at: Instant = field("Begin; it is in the window")
    window_end_at: Instant = field("End; it is in the next one")
    places: Integer = field("Places that the device told", minimum=0)
    speed_max_mps: Number | None = field("Fastest that the device said it was", unit="m/s", minimum=0)
    travelled_m: Number | None = field("Way between the places, along the Earth", unit="m", minimum=0)
    speed_mean_mps: Number | None = field("That way by the time between the places", unit="m/s", minimum=0)
    battery_low: Number | None = field("Least share that was left", minimum=0, maximum=1)
    battery_drop: Number | None = field("Difference of most and least share", minimum=0, maximum=1)
    site: Text | None = field("Where the device stood when the window ended", max_length=64)
    kind: Text | None = field("What the device was then", max_length=40)
    subscriber_id: Text | None = field("Whose it was then", max_length=64, pii="subscriber")
    region: Text | None = field("Region of the site then", max_length=64)
    area: Text | None = field("Kind of area of the site then", max_length=40)
    plan: Text | None = field("Tariff of the subscriber then", max_length=40)
    segment: Text | None = field("Segment of the subscriber then", max_length=40)
    speed_score: Number | None = field("Standard deviations of the mean speed off its moving average")

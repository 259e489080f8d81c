"""The message that the Sensor Logger app pushes over HTTP or MQTT, taken apart into readings.

Takes ``{"messageId", "sessionId", "deviceId", "payload": [{"name", "time", "values"}, ...]}`` as it is decoded, gives
one object per reading under the contract's names. ``time`` is in nanoseconds since 1970 (UTC), as the app writes it;
the lake keeps microseconds. What is not of that form is left to the contract, which says what is wrong with it.
Source: github.com/tszheichoi/awesome-sensor-logger, "Push data".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["instant", "unwrap"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TO_THE_SECOND: Final = len("2025-07-10T13:32:28")
_CARRIED: Final = {"deviceId": "device_id", "sessionId": "session_id", "messageId": "message_id"}
_NAMES: Final = {
    "altitude": "altitude_m",
    "horizontalAccuracy": "horizontal_accuracy_m",
    "verticalAccuracy": "vertical_accuracy_m",
    "speed": "speed_mps",
    "speedAccuracy": "speed_accuracy_mps",
    "bearing": "bearing_deg",
    "bearingAccuracy": "bearing_accuracy_deg",
    "batteryLevel": "battery_level",
    "batteryState": "battery_state",
    "lowPowerMode": "low_power_mode",
}


def unwrap(message: object) -> Sequence[object] | None:
    """Take an envelope apart.

    Args:
        message: A decoded JSON value.

    Returns:
        One object per reading; None where the message is no envelope, and a record itself.

    >>> payload = [{"name": "battery", "time": 1752154348816000000, "values": {"batteryLevel": 0.5}}]
    >>> [reading] = unwrap({"deviceId": "d", "sessionId": "s", "payload": payload})
    >>> reading["sensor"], reading["read_at"], reading["battery_level"]
    ('battery', '2025-07-10T13:32:28.816000Z', 0.5)
    >>> unwrap({"device_id": "d"}) is None
    True
    """
    if not isinstance(message, Mapping) or not isinstance(message.get("payload"), list):
        return None
    carried = {field: message[name] for name, field in _CARRIED.items() if name in message}
    return [_reading(carried, one) for one in message["payload"]]


def _reading(carried: Mapping[str, object], one: object) -> object:
    if not isinstance(one, dict):
        return one
    values = one.get("values")
    if not isinstance(values, dict):
        values = {}
    elif not _NAMES.keys().isdisjoint(values):
        values = {_NAMES.get(name, name): value for name, value in values.items()}
    return {**carried, "sensor": one.get("name"), "read_at": instant(one.get("time")), **values}


def instant(time: object) -> object:
    """ISO 8601 of nanoseconds since 1970; anything else stays as it is, for the contract to refuse."""
    if type(time) is not int:
        return time
    try:
        return f"{_second(time // 1_000_000_000)}.{time // 1_000 % 1_000_000:06d}Z"
    except OverflowError:
        return time


@lru_cache(maxsize=4_096)
def _second(second: int) -> str:
    """ISO 8601 of a whole second; a phone has hundreds of readings in each."""
    return (_EPOCH + timedelta(seconds=second)).isoformat(timespec="seconds")[:_TO_THE_SECOND]

"""The contract takes what the app sends, and refuses what makes no sense."""

import json

from trunkline.testing import check_usecase, judged
from trunkline.usecases.sensors import usecase
from trunkline.usecases.sensors.envelope import unwrap

MESSAGE = {
    "messageId": 7,
    "sessionId": "s",
    "deviceId": "d",
    "payload": [
        {"name": "accelerometer", "time": 1752154349420643800, "values": {"z": -0.04, "y": 0.02, "x": -0.04}},
        {
            "name": "location",
            "time": 1752154348729707500,
            "values": {"speed": 0.07, "latitude": -0.004, "longitude": 0.006, "horizontalAccuracy": 2.3},
        },
        {"name": "battery", "time": 1752154348816000000, "values": {"batteryLevel": 0.68, "lowPowerMode": False}},
    ],
}


def test_an_envelope_becomes_a_row_per_reading() -> None:
    records = unwrap(MESSAGE)
    assert records is not None
    verdicts = [judged(usecase, json.dumps(record).encode()) for record in records]
    assert [verdict.reasons for verdict in verdicts] == [(), (), ()]
    assert [verdict.row["sensor"] for verdict in verdicts] == ["accelerometer", "location", "battery"]
    assert str(verdicts[0].row["read_at"]) == "2025-07-10 13:32:29.420643+00:00"


def test_what_makes_no_sense_is_named() -> None:
    broken = {"deviceId": "d", "sessionId": "s", "sensor": "GPS!", "read_at": "yesterday", "latitude": 91, "x": 1}
    assert set(judged(usecase, json.dumps(broken).encode()).reasons) == {
        "sensor.pattern",
        "read_at.type",
        "latitude.maximum",
        "both_coordinates",
        "all_axes",
    }


def test_a_payload_of_something_else_is_left_to_the_contract() -> None:
    assert unwrap({"payload": [5, {"time": 10**40}]}) == [5, {"sensor": None, "read_at": 10**40}]
    assert unwrap([1]) is None


def test_it_holds_what_every_use_case_must() -> None:
    check_usecase(usecase)

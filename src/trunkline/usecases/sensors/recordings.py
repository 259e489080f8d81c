"""Recordings of the Sensor Logger app as files: its archive of CSV files, its JSON export, and messages it pushed.

The archive has a file per sensor and ``Metadata.csv``, which says whose recording it is and when it began; the JSON
export has the same as one array of objects. Messages, one a line, are those of :mod:`.envelope`.
Source: github.com/tszheichoi/awesome-sensor-logger, "Exporting".
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from trunkline.usecases.sensors.envelope import instant, unwrap

__all__ = ["recording"]

_METADATA: Final = "metadata"
_NO_SENSORS: Final = frozenset({_METADATA, "annotation"})
_LEFT_OUT: Final = frozenset({"time", "seconds_elapsed", "sensor"})


def recording(parts: Mapping[str, bytes]) -> Sequence[object] | None:
    r"""Give the readings of a recording.

    Args:
        parts: Content of the file by its name, or of each file of an archive.

    Returns:
        One object per reading; None for what is no recording of the app.

    >>> metadata = b"device id,recording epoch time\nd-1,1700810754632\n"
    >>> level = b"time,seconds_elapsed,batteryLevel\n1700810755062863000,0.4,0.5\n"
    >>> recording({"Metadata.csv": metadata, "Battery.csv": level})[0]["read_at"]
    '2023-11-24T07:25:55.062863Z'
    >>> recording({"customers.json": b'[{"id": 1}]'}) is None
    True
    """
    tables = {PurePosixPath(name).stem.lower(): content for name, content in parts.items() if name.endswith(".csv")}
    if _METADATA in tables:
        said = [(sensor, row) for sensor, content in sorted(tables.items()) for row in _rows(content)]
        return list(_readings(said))
    if len(parts) != 1:
        return None
    ((name, content),) = parts.items()
    return _of_json(content) if PurePosixPath(name).suffix == ".json" else _of_messages(content)


def _rows(content: bytes) -> Iterator[dict[str, object]]:
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace"))):
        yield {name: value or None for name, value in row.items() if name is not None}


def _of_json(content: bytes) -> Sequence[object] | None:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(one, dict) and "sensor" in one for one in found):
        return None
    said = [(str(one["sensor"]).lower(), one) for one in found]
    return list(_readings(said)) if any(sensor == _METADATA for sensor, _ in said) else None


def _of_messages(content: bytes) -> Sequence[object] | None:
    readings: list[object] = []
    for number, line in enumerate(line for line in content.split(b"\n") if line.strip()):
        try:
            message = json.loads(line)
        except ValueError:
            message = line.decode("utf-8", errors="replace")
        inside = unwrap(message)
        if number == 0 and inside is None:
            return None
        readings += (message,) if inside is None else inside
    return readings or None


def _readings(said: Sequence[tuple[str, Mapping[str, object]]]) -> Iterator[object]:
    told = next((row for sensor, row in said if sensor == _METADATA), {})
    carried = {"device_id": told.get("device id"), "session_id": told.get("recording epoch time")}
    for sensor, row in said:
        if sensor not in _NO_SENSORS:
            values = {name: value for name, value in row.items() if name not in _LEFT_OUT}
            yield {**carried, "sensor": sensor, "read_at": instant(_whole(row.get("time"))), **values}


def _whole(text: object) -> object:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text

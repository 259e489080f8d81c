"""Recordings of the Sensor Logger app as files: its archive of CSV files, its JSON export, and messages it pushed.

The archive has a file per sensor and ``Metadata.csv``, which says whose recording it is and when it began; the JSON
export has the same as one array of objects. Messages, one a line, are those of :mod:`.envelope`.
Source: github.com/tszheichoi/awesome-sensor-logger, "Exporting".
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from trunkline.spec import Recording
from trunkline.usecases.sensors.envelope import instant, unwrap

__all__ = ["RECORDING"]

_METADATA: Final = "metadata"
_NO_SENSORS: Final = frozenset({_METADATA, "annotation"})
_LEFT_OUT: Final = frozenset({"time", "seconds_elapsed", "sensor"})
_EXPORT: Final = re.compile(rb'\s*\[\s*\{(?=[^{}]*"sensor"\s*:)(?=[^{}]*"(seconds_elapsed|device id)"\s*:)')
"""How the export begins; a reading of the contract has a sensor too, but neither of the others."""
_MESSAGE: Final = re.compile(rb'\s*\{.*"payload"\s*:\s*\[')


def _is_recording(heads: Mapping[str, bytes]) -> bool:
    r"""Tell a recording of the app.

    Args:
        heads: First bytes of the file by its name, or the names of all files of an archive.

    >>> _is_recording({"Metadata.csv": b"", "Battery.csv": b""})
    True
    >>> _is_recording({"recording.json": b'[{"sensor": "Battery", "seconds_elapsed": "0.4"}]'})
    True
    >>> _is_recording({"readings.json": b'[{"sensor": "battery", "device_id": "d-1"}]'})
    False
    """
    if _METADATA in _tables(heads):
        return True
    if len(heads) != 1:
        return False
    ((name, head),) = heads.items()
    if PurePosixPath(name).suffix == ".json":
        return _EXPORT.match(head) is not None
    return _MESSAGE.match(head.lstrip().partition(b"\n")[0]) is not None


def _recorded(parts: Mapping[str, bytes]) -> Iterator[object]:
    r"""Give the readings of a recording.

    Args:
        parts: Content of the file by its name, or of each file of an archive.

    Yields:
        One object per reading.

    Raises:
        ValueError: The export is cut, or no JSON.

    >>> metadata = b"device id,recording epoch time\nd-1,1700810754632\n"
    >>> level = b"time,seconds_elapsed,batteryLevel\n1700810755062863000,0.4,0.5\n"
    >>> next(_recorded({"Metadata.csv": metadata, "Battery.csv": level}))["read_at"]
    '2023-11-24T07:25:55.062863Z'
    """
    tables = _tables(parts)
    if _METADATA in tables:
        told = next(_rows(tables[_METADATA]), {})
        for sensor, content in sorted(tables.items()):
            yield from _readings(told, ((sensor, row) for row in _rows(content)))
        return
    ((name, content),) = parts.items()
    if PurePosixPath(name).suffix == ".json":
        said = [(str(one.get("sensor")).lower(), one) for one in json.loads(content)]
        yield from _readings(next((one for sensor, one in said if sensor == _METADATA), {}), said)
    else:
        yield from _of_messages(content)


def _tables(parts: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The CSV files of an archive, by sensor."""
    return {PurePosixPath(name).stem.lower(): content for name, content in parts.items() if name.endswith(".csv")}


def _rows(content: bytes) -> Iterator[dict[str, object]]:
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace"))):
        yield {name: value or None for name, value in row.items() if name is not None}


def _of_messages(content: bytes) -> Iterator[object]:
    for line in io.BytesIO(content):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except ValueError:
            message = line.decode("utf-8", errors="replace")
        inside: Sequence[object] | None = unwrap(message)
        yield from (message,) if inside is None else inside


def _readings(told: Mapping[str, object], said: Iterable[tuple[str, Mapping[str, object]]]) -> Iterator[object]:
    carried = {"device_id": told.get("device id"), "session_id": told.get("recording epoch time")}
    for sensor, row in said:
        if sensor not in _NO_SENSORS:
            values = {name: value for name, value in row.items() if name not in _LEFT_OUT}
            yield {**carried, "sensor": sensor, "read_at": instant(_whole(row.get("time"))), **values}


def _whole(text: object) -> object:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text


RECORDING: Final = Recording(recognises=_is_recording, rows=_recorded)
"""How recordings of the app are recognised among files, and what they hold."""

"""The two passes over a measurement file: the names of its counters, and its rows."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream
from trunkline.ingest.formats.xml_stream import local_name
from trunkline.ingest.raw import MALFORMED, SUSPECT, Aside, MalformedLine

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FIXED_COLUMNS", "CounterNames", "Rows"]

FIXED_COLUMNS: Final = (
    "begin_at",
    "end_at",
    "granularity_s",
    "element",
    "element_label",
    "element_software",
    "object",
    "job",
    "meas_info",
    "suspect",
)
"""Columns that are no counters."""

_ROOT: Final = "measCollecFile"
_NO_VALUE: Final = ("", "NIL", "nil")
_BATCH_ROWS: Final = 10_000
_BATCH_CELLS: Final = 2_000_000
_DURATION: Final = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.0*)?S)?)?", re.ASCII)


def counter_column(name: str) -> str:
    """Give the column of a counter."""
    return f"counter.{name}" if name in FIXED_COLUMNS else name


class CounterNames:
    """The first pass.

    Args:
        source: For messages.

    Attributes:
        counters: Columns of all counters, in the order of the file.
        values: How many measured objects there are.
        end_at: When the collection ended, as the footer says; None where it does not.
        several: Names that more than one set of an element has, each with the place of its ``measData``, from 1.
    """

    def __init__(self, source: ByteStream) -> None:
        self.text: list[str] = []
        self.depth = 0
        self.counters: dict[str, None] = {}
        self.values = 0
        self.end_at: str | None = None
        self.several: set[tuple[int, str]] = set()
        self._source = source
        self._place = 0
        self._forms: dict[str, str] = {}  # of the sets of one element
        self._info, self._duration, self._own = "", "", list[str]()
        self._tags: dict[str, str] = {}
        self._attributes: set[str] = set()

    @property
    def held(self) -> int:
        """How many different names of elements, attributes and sets are remembered."""
        return len(self._tags) + len(self._attributes) + len(self._forms) + len(self.several)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = self._tags.get(tag)
        if name is None:
            name = self._tags[tag] = local_name(tag)
            if len(self._tags) == 1 and name != _ROOT:
                raise SourceError(
                    "the XML is not a measurement file of 3GPP TS 32.435",
                    where=str(self._source.path),
                    allowed=(f"root {_ROOT}",),
                )
        self.depth += 1
        self._attributes.update(attributes)
        del self.text[:]
        if name == "r":
            return
        if name == "measValue":
            self.values += 1
        elif name == "measInfo":
            self._info, self._duration, self._own = attributes.get("measInfoId", ""), "", []
        elif name == "granPeriod":
            self._duration = attributes.get("duration", "")
        elif name == "measData":
            self._place += 1
            self._forms = {}
        elif name == "measCollec":
            self.end_at = attributes.get("endTime", self.end_at)

    def end(self, tag: str) -> None:
        """An element ends."""
        self.depth -= 1
        name = self._tags[tag]
        if name == "measType":
            counter = "".join(self.text).strip()
            if counter:
                self._own.append(counter_column(counter))
        elif name == "measTypes":
            self._own += map(counter_column, "".join(self.text).split())
        elif name == "measInfo":
            self.counters.update(dict.fromkeys(self._own))
            named, form = _set_name(self._info, self._own), _form(self._duration, self._own)
            if self._forms.setdefault(named, form) != form:
                self.several.add((self._place, named))
        del self.text[:]


class Rows:
    """The second pass: collects rows column by column; columns are padded with nulls only when they are needed.

    Args:
        header: All columns.
        aside: Takes suspect and malformed rows.
        end_at: When the collection ended; for periods that state neither end nor duration.
        several: Of :class:`CounterNames`: names of sets that do not tell them apart.

    Attributes:
        count: How many rows are collected.
    """

    def __init__(
        self,
        header: tuple[str, ...],
        aside: Aside,
        *,
        end_at: str | None,
        several: Collection[tuple[int, str]] = (),
    ) -> None:
        self.text: list[str] = []
        self.depth = 0
        self.count = 0
        self._header, self._aside, self._file_end_at = header, aside, end_at
        self._several, self._place = several, 0
        self._columns: dict[str, list[str | None]] = {}
        self._number = 0
        self._kinds: dict[str, str] = {}
        self._begin_at: str | None = None
        self._prefix = ""
        self._element: dict[str, str] = {}
        self._clear_group("")
        self._clear_value("")

    @property
    def held(self) -> int:
        """How many values of one object wait for its end."""
        return len(self._values)

    def _clear_group(self, info: str) -> None:
        self._info, self._job = info, ""
        self._duration, self._end_at = "", ""
        self._counters: dict[str, str] = {}  # position to column
        self._taken: set[str] = set()
        self._is_ambiguous = False
        self._shared: dict[str, str | None] | None = None

    def _clear_value(self, ldn: str) -> None:
        self._ldn = ldn
        self._values: list[tuple[str, str | None]] = []
        self._results = 0
        self._is_suspect = self._is_odd = False
        self._position = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.depth += 1
        name = self._kinds.get(tag)
        if name is None:
            name = self._kinds[tag] = local_name(tag)
        del self.text[:]
        if name == "r":
            self._results += 1
            self._position = attributes.get("p") or str(self._results)
        elif name == "measValue":
            self._clear_value(attributes.get("measObjLdn", ""))
        elif name == "measType":
            self._position = attributes.get("p") or str(len(self._counters) + 1)
        else:
            self._start_rare(name, attributes)

    def _start_rare(self, name: str, attributes: dict[str, str]) -> None:
        if name == "measInfo":
            self._clear_group(attributes.get("measInfoId", ""))
        elif name == "granPeriod":
            self._duration, self._end_at = attributes.get("duration", ""), attributes.get("endTime", "")
            self._shared = None
        elif name == "job":
            self._job, self._shared = attributes.get("jobId", ""), None
        elif name == "managedElement":
            self._element, self._shared = attributes, None
        elif name == "measData":
            self._element = {}
            self._place += 1
        elif name == "fileHeader":
            self._prefix = attributes.get("dnPrefix", "")
        elif name == "measCollec":
            self._begin_at = attributes.get("beginTime", self._begin_at)

    def end(self, tag: str) -> None:
        """An element ends."""
        self.depth -= 1
        name = self._kinds[tag]
        if name == "r":
            column = self._counters.get(self._position)
            text = "".join(self.text).strip()
            self._values.append((column or f"p={self._position}", None if text in _NO_VALUE else text))
            self._is_odd |= column is None
        elif name == "measValue":
            self._finish()
        elif name == "measResults":
            self._take_results("".join(self.text).split())
        elif name == "measType":
            self._name(self._position, "".join(self.text).strip())
        elif name == "measTypes":
            for position, counter in enumerate("".join(self.text).split(), len(self._counters) + 1):
                self._name(str(position), counter)
        elif name == "suspect":
            self._is_suspect = "".join(self.text).strip().lower() in ("true", "1")
        del self.text[:]

    def _name(self, position: str, counter: str) -> None:
        column = counter_column(counter)
        if not counter or position in self._counters or column in self._taken:
            self._is_ambiguous = True
        self._taken.add(column)
        self._counters[position] = column

    def _take_results(self, results: list[str]) -> None:
        columns = list(self._counters.values())
        self._is_odd |= len(results) != len(columns)
        columns += [f"p={position}" for position in range(len(columns) + 1, len(results) + 1)]
        self._values += [
            (column, None if text in _NO_VALUE else text) for column, text in zip(columns, results, strict=False)
        ]

    def _finish(self) -> None:
        """Take the row that has come to its end."""
        self._number += 1
        if self._shared is None:
            self._shared = self._facts()
        named = dict(self._values)
        is_odd = self._is_odd or self._is_ambiguous or len(named) != len(self._values)
        if is_odd or self._is_suspect:
            facts: dict[str, object] = {**self._shared, "object": self._object(), "suspect": self._is_suspect}
            facts |= {"values": self._values} if is_odd else named
            text = json.dumps({name: value for name, value in facts.items() if value is not None}, ensure_ascii=False)
            reason = MALFORMED if is_odd else SUSPECT
            self._aside.add(MalformedLine(self._number, text, len(self._values), reason))
            return
        columns, count = self._columns, self.count
        named.update(self._shared)
        named["object"], named["suspect"] = self._object(), "false"
        for name, value in named.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = []
            if len(column) < count:
                column.extend([None] * (count - len(column)))
            column.append(value)
        self.count = count + 1

    def _facts(self) -> dict[str, str | None]:
        """What all rows of a group share."""
        seconds = _seconds(self._duration)
        begin_at, end_at = None, self._end_at or None
        if end_at is None:
            begin_at = self._begin_at
            end_at = _shifted(begin_at, seconds) if begin_at and seconds else self._file_end_at
        elif seconds is not None:
            begin_at = _shifted(end_at, -seconds)
        element = self._element
        return {
            "begin_at": begin_at,
            "end_at": end_at,
            "granularity_s": None if seconds is None else str(seconds),
            "element": element.get("localDn") or element.get("userLabel") or None,
            "element_label": element.get("userLabel") or None,
            "element_software": element.get("swVersion") or None,
            "job": self._job or None,
            "meas_info": self._set(),
        }

    def _set(self) -> str:
        """Name the group; by its counters and period as well where its own name does not tell it apart."""
        counters = self._counters.values()
        named = _set_name(self._info, counters)
        return f"{named}#{_form(self._duration, counters)}" if (self._place, named) in self._several else named

    def _object(self) -> str | None:
        local, ldn = self._element.get("localDn", ""), self._ldn
        if local and (ldn == local or ldn.startswith(f"{local},")):
            local = ""
        return ",".join(part for part in (self._prefix, local, ldn) if part) or None

    def is_full(self) -> bool:
        """Say whether the rows are as many as one batch shall have."""
        return self.count >= _BATCH_ROWS or self.count * len(self._columns) >= _BATCH_CELLS

    def batch(self) -> "pa.RecordBatch":
        """Give the rows collected, and begin anew."""
        import pyarrow as pa

        nothing = pa.nulls(self.count, pa.string())
        arrays = []
        for name in self._header:
            column = self._columns.get(name)
            if column is None:
                arrays.append(nothing)
            else:
                column.extend([None] * (self.count - len(column)))
                arrays.append(pa.array(column, pa.string()))
        self._columns, self.count = {}, 0
        return pa.RecordBatch.from_arrays(arrays, names=list(self._header))


def _set_name(info: str, counters: Iterable[str]) -> str:
    """Name a group; one that has no ``measInfoId`` by its counters, so that it has the same name in every file."""
    return info or f"set-{_digest(counters)}"


def _form(duration: str, counters: Iterable[str]) -> str:
    return _digest((duration, *counters))


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(sorted(words)).encode()).hexdigest()[:12]


def _seconds(duration: str) -> int | None:
    """Read a duration like ``PT900S`` or ``PT15M``; None where it is none, or of months."""
    found = _DURATION.fullmatch(duration)
    if not found or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@lru_cache(maxsize=1024)
def _shifted(instant: str, seconds: int) -> str | None:
    """Move an instant in ISO 8601, keeping its zone; None where it is none."""
    try:
        moved = datetime.fromisoformat(instant) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    text = moved.isoformat()
    return f"{text.removesuffix('+00:00')}Z" if instant.endswith("Z") else text

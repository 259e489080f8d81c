"""3GPP measurement files (TS 32.435, ``measCollecFile``) as tidy rows: one per object, period and ``measInfo``.

Columns: ``begin_at, end_at`` (as the file states them, with its zone), ``granularity_s``, ``element`` (``localDn`` of
the managed element, else its ``userLabel``), ``element_label, element_software``, ``object`` (its full name:
``dnPrefix``, ``localDn`` and ``measObjLdn``, joined by commas; a ``measObjLdn`` that begins with ``localDn`` is not
given it twice), ``job, meas_info`` (``measInfoId``; of a group without one ``set-`` and a digest of its counters'
names; where groups of one ``measData`` have one name and other counters or periods, ``#`` and a digest of both behind
it), ``suspect``, and one column per counter of all groups. A counter that a group does not have, an empty value and
``NIL`` are null. A counter named like one of the columns before becomes ``counter.NAME``.

Both forms of the standard are read, also mixed: ``measTypes``/``measResults`` and ``measType p=``/``r p=``; names may
have any prefix of a namespace or none. Where ``endTime`` is missing, the period begins with the file's ``beginTime``.

The file is read twice in bounded memory: for the names of all counters, then for the rows. A row that says
``suspect`` is handed over apart with that reason; one whose values do not fit the names of its group, as a malformed
line. Refused with ``SourceError``: XML that is cut or not well-formed, entities of its own ("billion laughs"), other
roots.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.ingest.byte_stream import ByteStream, refuse_width
from trunkline.ingest.formats.pm_rows import FIXED_COLUMNS, CounterNames, Rows
from trunkline.ingest.formats.xml_stream import parse
from trunkline.ingest.raw import Aside, RawFile, empty

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FIXED_COLUMNS", "open_pm_xml"]


def open_pm_xml(source: ByteStream) -> RawFile:
    """Open a measurement file.

    Raises:
        SourceError: Not of that form, truncated, hostile, without measured objects, or beyond the limits.
    """
    names = CounterNames(source)
    for _ in parse(source, names):
        refuse_width(source, len(FIXED_COLUMNS) + len(names.counters))
    if not names.values:
        raise empty(source.path)
    header = (*FIXED_COLUMNS, *names.counters)
    aside = Aside(source.path, most_bytes=source.limits.max_refused_mb << 20)
    return RawFile(source.path, header, _batches(source, header, names, aside), aside.lines)


def _batches(
    source: ByteStream, header: tuple[str, ...], names: CounterNames, aside: Aside
) -> "Iterator[pa.RecordBatch]":
    rows = Rows(header, aside, end_at=names.end_at, several=names.several)
    for _ in parse(source, rows):
        if rows.is_full():
            yield rows.batch()
    if rows.count:
        yield rows.batch()

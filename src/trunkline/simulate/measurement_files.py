"""Measurement files as 3GPP TS 32.435 describes them, made up: for tests, benchmarks and demonstrations.

Takes sizes and a seed, gives the text of a ``measCollecFile`` piece by piece, the same each time. Names of counters are
those that TS 32.425 would allow (``RRC.ConnEstabAtt``-like), their values are random whole numbers.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

__all__ = ["MeasurementFile", "measurement_file"]

_NAMESPACE: Final = "http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec"
_FAMILIES: Final = ("RRC.Conn", "ERAB.Estab", "HO.Intra", "DRB.Pdcp", "S1SIG.Conn", "PEE.Energy")


@dataclass(frozen=True)
class MeasurementFile:
    """What a file holds.

    Attributes:
        elements: Managed elements, one ``measData`` each.
        groups: ``measInfo`` per element.
        objects: Measured objects per group.
        counters: Counters per group.
        form: ``positions`` writes ``measType p=`` and ``r p=``, ``lists`` writes ``measTypes`` and ``measResults``.
        prefix: The prefix of the namespace; empty for none.
        suspect_share: Share of objects marked as suspect, in [0, 1].
        nil_share: Share of values that are ``NIL``, in [0, 1].
        end_at: End of the period, with a zone.
        granularity_s: Its length (seconds).
        seed: Of every random choice.
    """

    elements: int = 2
    groups: int = 2
    objects: int = 3
    counters: int = 4
    form: Literal["positions", "lists"] = "positions"
    prefix: str = ""
    suspect_share: float = 0.0
    nil_share: float = 0.0
    end_at: datetime = datetime(2026, 3, 1, 14, 15, tzinfo=UTC)
    granularity_s: int = 900
    seed: int = 0


def measurement_file(what: MeasurementFile) -> Iterator[str]:
    """Write a file.

    Args:
        what: Its content.

    Yields:
        Its text, piece by piece.
    """
    draw = random.Random(what.seed)  # noqa: S311 - no secret
    p = f"{what.prefix}:" if what.prefix else ""
    name = f"xmlns{':' if what.prefix else ''}{what.prefix}"
    begin, end = what.end_at - timedelta(seconds=what.granularity_s), what.end_at.isoformat()
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<{p}measCollecFile {name}="{_NAMESPACE}">\n'
    yield f'<{p}fileHeader fileFormatVersion="32.435 V10.0" vendorName="Simulated" dnPrefix="DC=example.org">\n'
    yield f'<{p}fileSender localDn="SubNetwork=1"/><{p}measCollec beginTime="{begin.isoformat()}"/>\n</{p}fileHeader>\n'
    for element in range(what.elements):
        yield f'<{p}measData>\n<{p}managedElement localDn="ManagedElement=gnb{element}"'
        yield f' userLabel={quoteattr(f"Site <{element}> & co")} swVersion="v{element % 3}.1"/>\n'
        for group in range(what.groups):
            yield f'<{p}measInfo measInfoId="group{group}">\n<{p}job jobId="job{group % 2}"/>\n'
            yield f'<{p}granPeriod duration="PT{what.granularity_s}S" endTime="{end}"/>\n'
            yield f'<{p}repPeriod duration="PT{what.granularity_s}S"/>\n'
            yield _types(what, group, p)
            for number in range(what.objects):
                yield _value(what, draw, f"Cell={element}{number:03}", p)
            yield f"</{p}measInfo>\n"
        yield f"</{p}measData>\n"
    yield f'<{p}fileFooter>\n<{p}measCollec endTime="{end}"/>\n</{p}fileFooter>\n</{p}measCollecFile>\n'


def _types(what: MeasurementFile, group: int, p: str) -> str:
    names = [f"{_FAMILIES[group % len(_FAMILIES)]}.g{group}.c{counter}" for counter in range(what.counters)]
    if what.form == "lists":
        return f"<{p}measTypes>{' '.join(names)}</{p}measTypes>\n"
    return "".join(f'<{p}measType p="{place}">{escape(name)}</{p}measType>\n' for place, name in enumerate(names, 1))


def _value(what: MeasurementFile, draw: random.Random, ldn: str, p: str) -> str:
    values = ["NIL" if draw.random() < what.nil_share else str(draw.randrange(10_000)) for _ in range(what.counters)]
    if what.form == "lists":
        text = f"<{p}measResults>{' '.join(values)}</{p}measResults>\n"
    else:
        text = "".join(f'<{p}r p="{place}">{value}</{p}r>\n' for place, value in enumerate(values, 1))
    suspect = f"<{p}suspect>true</{p}suspect>\n" if draw.random() < what.suspect_share else ""
    return f'<{p}measValue measObjLdn="{ldn}">\n{text}{suspect}</{p}measValue>\n'

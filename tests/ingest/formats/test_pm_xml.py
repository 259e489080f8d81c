"""3GPP measurement files: both forms, quirks, suspect rows, and XML made to harm."""

import gzip
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from trunkline.errors import SourceError
from trunkline.ingest import open_file
from trunkline.ingest.formats.pm_xml import FIXED_COLUMNS
from trunkline.ingest.raw import MalformedLine
from trunkline.settings.ingest import IngestSettings
from trunkline.simulate.measurement_files import MeasurementFile, measurement_file

Taken = tuple[tuple[str, ...], dict[int, dict[str, str | None]], list[MalformedLine]]
Read = Callable[..., Taken]
Write = Callable[[str, bytes | str], Path]


def text_of(**what: object) -> str:
    return "".join(measurement_file(MeasurementFile(**what)))  # type: ignore[arg-type]  # names are those of the record


def oracle(text: str) -> Iterator[tuple[bool, dict[str, str]]]:
    """The rows of a file as the standard library's tree of elements tells them, nulls left out."""
    root = ET.fromstring(re.sub(r' xmlns(:\w+)?="[^"]*"', "", re.sub(r"<(/?)\w+:", r"<\1", text)))
    prefix = root.find("fileHeader").attrib["dnPrefix"]  # type: ignore[union-attr]  # made with one
    for data in root.iter("measData"):
        element = data.find("managedElement").attrib  # type: ignore[union-attr]
        for info in data.iter("measInfo"):
            listed = info.findtext("measTypes")
            names = listed.split() if listed else [str(kind.text) for kind in info.iter("measType")]
            period = info.find("granPeriod").attrib  # type: ignore[union-attr]
            for value in info.iter("measValue"):
                results = value.findtext("measResults")
                texts = results.split() if results else [str(r.text) for r in value.iter("r")]
                row = {name: text for name, text in zip(names, texts, strict=True) if text != "NIL"}
                row |= {
                    "begin_at": "2026-03-01T14:00:00+00:00",
                    "end_at": period["endTime"],
                    "granularity_s": "900",
                    "element": element["localDn"],
                    "element_label": element["userLabel"],
                    "element_software": element["swVersion"],
                    "object": f"{prefix},{element['localDn']},{value.attrib['measObjLdn']}",
                    "job": info.find("job").attrib["jobId"],  # type: ignore[union-attr]
                    "meas_info": info.attrib["measInfoId"],
                    "suspect": "false",
                }
                yield value.findtext("suspect") == "true", row


@pytest.mark.parametrize("prefix", ["", "md"])
@pytest.mark.parametrize("form", ["positions", "lists"])
@pytest.mark.parametrize("name", ["pm.xml", "pm.xml.gz", "A20260301.1400-1415_gnb1", "pm.csv"])
def test_rows_are_those_of_the_tree(name: str, form: str, prefix: str, read: Read, write: Write) -> None:
    text = text_of(
        elements=3, groups=3, objects=7, counters=5, form=form, prefix=prefix, suspect_share=0.1, nil_share=0.2
    )
    data = text.encode()
    header, rows, malformed = read(write(name, gzip.compress(data, mtime=0) if name.endswith(".gz") else data))
    expected = list(oracle(text))
    assert header[: len(FIXED_COLUMNS)] == FIXED_COLUMNS
    assert len(header) == len(FIXED_COLUMNS) + 15
    assert len(rows) + len(malformed) == len(expected) == 63
    for number, row in rows.items():
        is_suspect, told = expected[number - 1]
        assert not is_suspect
        assert {column: value for column, value in row.items() if value is not None} == told
    assert {line.row_number for line in malformed} == {n for n, (bad, _) in enumerate(expected, 1) if bad}
    for line in malformed:
        assert line.reason == "suspect"
        assert json.loads(line.text) == {**expected[line.row_number - 1][1], "suspect": True}


def wrapped(inside: str, *, header: str = "", footer: str = "") -> str:
    return (
        f"<measCollecFile><fileHeader>{header}</fileHeader>{inside}<fileFooter>{footer}</fileFooter></measCollecFile>"
    )


def test_quirks(read: Read, write: Write) -> None:
    text = wrapped(
        "<measData><managedElement userLabel='only label'/>"
        "<measInfo><granPeriod duration='PT15M'/><measTypes>a b</measTypes>"
        "<measValue measObjLdn='Cell=1'><r p='2'>8</r><r p='1'>7</r></measValue>"  # positions into a list of names
        "<measValue measObjLdn='Cell=2'><r>1</r><r> 2 </r></measValue>"  # results without positions
        "<measValue measObjLdn='Cell=3'><r p='1'/></measValue></measInfo></measData>"  # one left out, one empty
        "<measData><managedElement localDn='ME=1'/>"
        "<measInfo measInfoId='g'><granPeriod duration='P1M' endTime='2026-03-01T00:00:00Z'/>"
        "<measType p='10'>job</measType><measType p='20'>b</measType>"  # a counter named like a column
        "<measValue measObjLdn='ME=1,Cell=4'><measResults>5 6.5</measResults><suspect>false</suspect></measValue>"
        "</measInfo></measData>"
        "<measData><managedElement localDn='ME=2'/><measInfo>"
        "<granPeriod duration='PT5M' endTime='2026-03-01T01:00:00+01:00'/>"
        "<measType p='1'>a</measType><measValue measObjLdn=''><r p='1'>3</r></measValue></measInfo></measData>",
        header="<measCollec beginTime='2026-03-01T10:00:00Z'/>",
    )
    header, rows, malformed = read(write("quirks.xml", text))
    assert header == (*FIXED_COLUMNS, "a", "b", "counter.job")
    shown = [
        [row[name] for name in ("begin_at", "end_at", "element", "object", "a", "b", "counter.job")]
        for row in rows.values()
    ]
    at = ["2026-03-01T10:00:00Z", "2026-03-01T10:15:00Z", "only label"]
    assert shown == [
        [*at, "Cell=1", "7", "8", None],
        [*at, "Cell=2", "1", "2", None],
        [*at, "Cell=3", None, None, None],
        [None, "2026-03-01T00:00:00Z", "ME=1", "ME=1,Cell=4", None, "6.5", "5"],
        ["2026-03-01T00:55:00+01:00", "2026-03-01T01:00:00+01:00", "ME=2", "ME=2", "3", None, None],
    ]
    assert malformed == []


def test_values_without_a_name_make_a_malformed_line(read: Read, write: Write) -> None:
    text = wrapped(
        "<measData><managedElement localDn='ME=1'/><measInfo><measTypes>a b</measTypes>"
        "<measValue measObjLdn='1'><measResults>1 2 3</measResults></measValue>"
        "<measValue measObjLdn='2'><measResults>1</measResults></measValue>"
        "<measValue measObjLdn='3'><r p='9'>1</r></measValue>"
        "<measValue measObjLdn='4'><r p='1'>1</r><r p='1'>2</r></measValue>"
        "<measValue measObjLdn='5'><measResults>1 2</measResults></measValue></measInfo>"
        "<measInfo><measTypes>c c</measTypes>"
        "<measValue measObjLdn='6'><measResults>1 2</measResults></measValue></measInfo></measData>"
    )
    _, rows, malformed = read(write("odd.xml", text))
    assert list(rows) == [5]
    assert [(line.row_number, line.reason) for line in malformed] == [
        (number, "line.malformed") for number in (1, 2, 3, 4, 6)
    ]
    assert json.loads(malformed[0].text)["values"] == [["a", "1"], ["b", "2"], ["p=3", "3"]]


def bomb() -> str:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE m [<!ENTITY e0 "ha">{entities}]><measCollecFile>&e11;</measCollecFile>'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bomb(), "declares entities"),
        (
            '<!DOCTYPE m [<!ENTITY e SYSTEM "file:///etc/hostname">]><measCollecFile>&e;</measCollecFile>',
            "declares entities",
        ),
        ('<!DOCTYPE m [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x">%p;]><measCollecFile/>', "declares entities"),
        (text_of()[:-300], "truncated"),
        (text_of()[:2000], "truncated"),
        (text_of() + "<x/>", "truncated"),
        ("<html><body/></html>", "not a measurement file"),
        ("<measCollecFile/>", "the file is empty"),
        ("<measCollecFile>" + "<a>" * 100_000, "nested too deeply|truncated"),
        ("<measCollecFile>" + "".join(f"<a{n}/>" for n in range(30_000)) + "</measCollecFile>", "truncated"),
        ('<measCollecFile a="' + "x" * (6 << 20) + '"/>', "truncated"),
        ("<measCollecFile>" + "x" * (6 << 20) + "</measCollecFile>", "truncated"),
        ('<?xml version="1.0" encoding="none"?><measCollecFile/>', "truncated"),
        (b"<measCollecFile>\xff</measCollecFile>", "truncated"),
        (wrapped("<measData><measInfo><measValue>" + "<r>1</r>" * 200_000), "truncated"),
    ],
    ids=range(15),
)
def test_broken_and_hostile_files_are_refused(content: str | bytes, says: str, read: Read, write: Write) -> None:
    with pytest.raises(SourceError, match=says):
        read(write("f.xml", content))


def test_a_document_type_alone_is_passed_over(read: Read, write: Write) -> None:
    text = text_of().replace(
        "<measCollecFile", '<!DOCTYPE measCollecFile SYSTEM "MeasDataCollection.dtd">\n<measCollecFile'
    )
    assert len(read(write("typed.xml", text))[1]) == 12


def test_limits(read: Read, write: Write) -> None:
    with pytest.raises(SourceError, match="more than 15 different columns"):
        read(write("wide.xml", text_of(counters=10)), IngestSettings(max_columns=15))
    with pytest.raises(SourceError, match="more of its lines are unusable"):
        read(write("bad.xml", text_of(objects=800, suspect_share=1.0)), IngestSettings(max_refused_mb=1))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(elements: int) -> int:
        path = tmp_path / f"{elements}.xml"
        with path.open("w") as stream:
            stream.writelines(measurement_file(MeasurementFile(elements=elements, groups=4, objects=50, counters=4)))
        tracemalloc.start()
        try:
            rows = sum(batch.num_rows for batch in open_file(path).batches)
            assert rows == elements * 200
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # 60 elements fill one batch
    assert peak(180) < 1.3 * peak(60)


def test_the_simulator_gives_the_same_each_time() -> None:
    assert text_of(seed=3) == text_of(seed=3) != text_of(seed=4)
    assert datetime.fromisoformat("2026-03-01T14:15:00+00:00") == MeasurementFile().end_at

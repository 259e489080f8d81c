"""A 3GPP measurement file becomes counters of cells, and the indicators that are watched follow from them."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.settings.lake import LakeSettings

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "towers.md"
CELLS: dict[str, dict[str, int | None]] = {
    "EUtranCellFDD=1": {
        "RRC.ConnEstabAtt.sum": 200, "RRC.ConnEstabSucc.sum": 198, "DRB.IPVolDl.sum": 540_000,
        "DRB.IPTimeDl.sum": 18_000, "ERAB.EstabInitAttNbr.sum": 100, "ERAB.EstabInitSuccNbr.sum": 95,
        "S1SIG.ConnEstabAtt": 50, "S1SIG.ConnEstabSucc": 50, "ERAB.RelActNbr.sum": 1, "RRU.CellUnavailableTime.sum": 90,
    },
    "EUtranCellFDD=2": {"RRC.ConnEstabAtt.sum": 10, "RRC.ConnEstabSucc.sum": 5, "RRU.CellUnavailableTime.sum": None},
}  # fmt: skip


def measurements() -> str:
    """A file of TS 32.435 with one group of counters; a third cell says of itself that it is suspect."""
    names = list(CELLS["EUtranCellFDD=1"])
    types = "".join(f'<measType p="{place}">{name}</measType>' for place, name in enumerate(names, 1))

    def value(cell: str, counted: dict[str, int | None], more: str = "") -> str:
        told = [counted.get(name) for name in names]
        results = "".join(f'<r p="{place}">{"NIL" if one is None else one}</r>' for place, one in enumerate(told, 1))
        return f'<measValue measObjLdn="{cell}">{results}{more}</measValue>'

    values = [value(cell, counted) for cell, counted in CELLS.items()]
    values.append(value("EUtranCellFDD=3", CELLS["EUtranCellFDD=1"], "<suspect>true</suspect>"))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<measCollecFile xmlns="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec">'
        '<fileHeader fileFormatVersion="32.435 V10.0" vendorName="Vendor" dnPrefix="DC=example.org">'
        '<fileSender localDn="SubNetwork=1"/><measCollec beginTime="2026-03-02T11:00:00+01:00"/></fileHeader>'
        '<measData><managedElement localDn="ManagedElement=enb7" userLabel="Hill" swVersion="1"/>'
        '<measInfo measInfoId="all"><job jobId="1"/><granPeriod duration="PT900S" endTime="2026-03-02T11:15:00+01:00"/>'
        f'<repPeriod duration="PT900S"/>{types}{"".join(values)}</measInfo></measData>'
        '<fileFooter><measCollec endTime="2026-03-02T11:15:00+01:00"/></fileFooter></measCollecFile>'
    )


def test_a_measurement_file_becomes_counters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, workspace = tmp_path / "A20260302.1100+0100-1115+0100_enb7.xml", tmp_path / "w"
    source.write_text(measurements())
    assert main(["ingest", "towers", str(source), "--dataset", "counters", "--workspace", str(workspace)]) == 0
    capsys.readouterr()
    watched = load_usecase("towers").watched
    assert watched is not None
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(workspace / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))
        rows = lake.read("towers.counters").order_by("cell_name")
        counters, found = (
            engine.arrow(rows).to_pylist(),
            engine.arrow(watched.rows(rows).order_by("cell_name")).to_pylist(),
        )
    prefix = "DC=example.org,ManagedElement=enb7,"
    assert [row["cell_name"] for row in counters] == [f"{prefix}{cell}" for cell in CELLS], "the suspect one is apart"
    first, second = counters
    assert {row["begin_at"].astimezone(UTC) for row in counters} == {datetime(2026, 3, 2, 10, tzinfo=UTC)}
    assert (first["granularity_s"], first["rrc_conn_estab_att"], first["drb_ip_vol_dl"]) == (900.0, 200.0, 540_000.0)
    assert (second["rrc_conn_estab_succ"], second["rru_cell_unavailable_time"], second["drb_ip_vol_dl"]) == (
        5,
        None,
        None,
    )
    assert found[0]["hour"] == 10
    assert found[0]["lte_rrc_setup_success"] == pytest.approx(99.0)
    assert found[0]["lte_ip_throughput_dl"] == pytest.approx(30.0)
    assert found[0]["lte_cell_availability"] == pytest.approx(90.0)
    assert found[1]["lte_rrc_setup_success"] is None, "ten cases are too few for a share"
    assert found[1]["rrc_attempts"] == 10


def test_the_snippets_of_the_page_give_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(snippets) == 2
    for code in snippets:
        exec(compile(code, str(PAGE), "exec"), {})
    alerts, scores = capsys.readouterr().out.splitlines()
    assert 1 <= int(alerts.split()[0]) <= 9
    assert scores == "3840 scores"

"""A 3GPP measurement file becomes counters of cells, and the indicators that are watched follow from them."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from trunkline.cli import main
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.lake.versions import current_rows
from trunkline.plugins import load_usecase
from trunkline.settings.lake import LakeSettings

if TYPE_CHECKING:
    import ibis.expr.types as ir

pytestmark = pytest.mark.slow

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "towers.md"
CELLS: dict[str, dict[str, int | None]] = {
    "EUtranCellFDD=1": {
        "RRC.ConnEstabAtt.sum": 200, "RRC.ConnEstabSucc.sum": 198, "DRB.IPVolDl.sum": 540_000,
        "DRB.IPTimeDl.sum": 18_000, "ERAB.EstabInitAttNbr.sum": 100, "ERAB.EstabInitSuccNbr.sum": 95,
        "S1SIG.ConnEstabAtt": 50, "S1SIG.ConnEstabSucc": 50, "ERAB.RelActNbr.sum": 1, "RRU.CellUnavailableTime.sum": 90,
    },
    "EUtranCellFDD=2": {"RRC.ConnEstabAtt.sum": 10, "RRC.ConnEstabSucc.sum": 5, "RRU.CellUnavailableTime.sum": None},
}  # fmt: skip


Form = Literal["positions", "lists"]
NAMES = tuple(CELLS["EUtranCellFDD=1"])
RADIO, BEARERS = NAMES[:4], NAMES[4:]


def value(cell: str, told: Sequence[int | None], form: Form, more: str = "") -> str:
    """What was counted of one cell."""
    texts = ["NIL" if one is None else str(one) for one in told]
    if form == "lists":
        results = f"<measResults>{' '.join(texts)}</measResults>"
    else:
        results = "".join(f'<r p="{place}">{text}</r>' for place, text in enumerate(texts, 1))
    return f'<measValue measObjLdn="{cell}">{results}{more}</measValue>'


def measured(
    names: Sequence[str],
    *,
    info: str | None,
    cells: Mapping[str, Mapping[str, int | None]] = CELLS,
    form: Form = "positions",
    seconds: int = 900,
    more: str = "",
) -> str:
    """One ``measInfo``: some counters of all cells; without ``info`` it has no name."""
    if form == "lists":
        types = f"<measTypes>{' '.join(names)}</measTypes>"
    else:
        types = "".join(f'<measType p="{place}">{name}</measType>' for place, name in enumerate(names, 1))
    values = [value(cell, [counted.get(name) for name in names], form) for cell, counted in cells.items()]
    end = f"2026-03-02T{11 + seconds // 3600}:{seconds % 3600 // 60:02}:00+01:00"
    name = "" if info is None else f' measInfoId="{info}"'
    return (
        f'<measInfo{name}><job jobId="1"/><granPeriod duration="PT{seconds}S" endTime="{end}"/>'
        f'<repPeriod duration="PT{seconds}S"/>{types}{"".join(values)}{more}</measInfo>'
    )


def file_of(*infos: str) -> str:
    """A file of TS 32.435."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<measCollecFile xmlns="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec">'
        '<fileHeader fileFormatVersion="32.435 V10.0" vendorName="Vendor" dnPrefix="DC=example.org">'
        '<fileSender localDn="SubNetwork=1"/><measCollec beginTime="2026-03-02T11:00:00+01:00"/></fileHeader>'
        '<measData><managedElement localDn="ManagedElement=enb7" userLabel="Hill" swVersion="1"/>'
        f"{''.join(infos)}</measData>"
        '<fileFooter><measCollec endTime="2026-03-02T11:15:00+01:00"/></fileFooter></measCollecFile>'
    )


def measurements() -> str:
    """A file with one group of counters; a third cell says of itself that it is suspect."""
    counted = [CELLS["EUtranCellFDD=1"].get(name) for name in NAMES]
    suspect = value("EUtranCellFDD=3", counted, "positions", "<suspect>true</suspect>")
    return file_of(measured(NAMES, info="all", more=suspect))


class Taken:
    """A workspace that files are taken into, and what its lake says of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, 0

    def ingest(self, text: str) -> None:
        """Take in a file."""
        self.files += 1
        source = self.folder / f"A20260302.1100+0100-1115+0100_enb7_{self.files}.xml"
        source.write_text(text)
        asked = ["ingest", "towers", str(source), "--dataset", "counters", "--workspace", str(self.folder / "w")]
        assert main(asked) == 0

    def sets(self) -> list[str]:
        """The counter sets of the first cell, a name for each row that is current."""
        return [str(row["counter_set"]) for row in self._rows(lambda rows: rows) if str(row["cell_name"])[-1] == "1"]

    def indicators(self) -> dict[str, Any]:
        """What is watched of the first cell; there is one row per cell and period."""
        watched = load_usecase("towers").watched
        assert watched is not None
        first, *others = self._rows(watched.rows)
        assert [str(row["cell_name"])[-1] for row in (first, *others)] == ["1", "2"]
        return first

    def _rows(self, told: "Callable[[ir.Table], ir.Table]") -> list[dict[str, Any]]:
        with open_engine("duckdb", threads=1) as engine:
            lake = Lake(self.folder / "w" / "lake", engine=engine, settings=LakeSettings(), clock=lambda: NOON)
            rows = current_rows(lake.read("towers.counters"), load_usecase("towers").datasets["counters"], table="t")
            listed: list[dict[str, Any]] = engine.arrow(told(rows).order_by("cell_name")).to_pylist()
            return listed


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taken:
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    return Taken(tmp_path)


def whole(found: Mapping[str, Any]) -> None:
    """Indicators of both sets, and one over counters of both."""
    assert found["lte_rrc_setup_success"] == pytest.approx(99.0), "of the first set"
    assert found["lte_ip_throughput_dl"] == pytest.approx(30.0)
    assert found["lte_cell_availability"] == pytest.approx(90.0), "of the second"
    assert found["lte_erab_accessibility"] == pytest.approx(100 * 0.99 * 0.95), "of both"


@pytest.mark.parametrize("form", ["positions", "lists"])
@pytest.mark.parametrize("names", [("radio", "bearers"), (None, None)])
def test_counters_of_several_sets_count_together(
    taken: Taken, form: Form, names: tuple[str | None, str | None]
) -> None:
    text = file_of(*(measured(part, info=name, form=form) for part, name in zip((RADIO, BEARERS), names, strict=True)))
    taken.ingest(text)
    sets = sorted(taken.sets())
    assert len(set(sets)) == 2
    assert sets == ["bearers", "radio"] or all(name.startswith("set-") for name in sets)
    whole(taken.indicators())
    taken.ingest(text.replace(' vendorName="Vendor"', ' vendorName="Again"'))
    assert sorted(taken.sets()) == sets, "the same rows in another file take the place of the first"
    whole(taken.indicators())
    better = {cell: {**counted, "ERAB.EstabInitSuccNbr.sum": 90} for cell, counted in CELLS.items()}
    taken.ingest(file_of(measured(BEARERS, info=names[1], form=form, cells=better)))
    found = taken.indicators()
    assert found["lte_erab_accessibility"] == pytest.approx(100 * 0.99 * 0.9), "the corrected set, and the other"
    assert found["lte_rrc_setup_success"] == pytest.approx(99.0)
    assert sorted(taken.sets()) == sets


def test_a_counter_of_two_sets_is_that_of_the_row_that_came_last(taken: Taken) -> None:
    other = {cell: {**counted, "RRC.ConnEstabSucc.sum": 190} for cell, counted in CELLS.items()}
    taken.ingest(file_of(measured(NAMES, info="b"), measured(RADIO[:2], info="a", cells=other)))
    found = taken.indicators()
    assert found["lte_rrc_setup_success"] == pytest.approx(95.0)
    assert found["lte_ip_throughput_dl"] == pytest.approx(30.0)


def test_sets_of_one_name_are_told_apart(taken: Taken) -> None:
    text = file_of(measured(RADIO, info="cells"), measured(BEARERS, info="cells"))
    for again in range(2):
        taken.ingest(text.replace(' vendorName="Vendor"', f' vendorName="{again}"'))
        sets = taken.sets()
        assert len(set(sets)) == len(sets) == 2
        assert all(name.startswith("cells#") for name in sets)
        whole(taken.indicators())
    better = {cell: {**counted, "ERAB.EstabInitSuccNbr.sum": 90} for cell, counted in CELLS.items()}
    taken.ingest(file_of(measured(BEARERS, info="cells", cells=better)))
    found = taken.indicators()
    assert found["lte_erab_accessibility"] == pytest.approx(100 * 0.99 * 0.9), "corrected, though alone"


def test_one_set_of_two_lengths_is_two(taken: Taken) -> None:
    hour = {cell: {**counted, "RRC.ConnEstabAtt.sum": 900} for cell, counted in CELLS.items()}
    taken.ingest(file_of(measured(NAMES, info="all"), measured(NAMES, info="all", cells=hour, seconds=3600)))
    assert len(set(taken.sets())) == 2
    whole(taken.indicators())


def test_sets_of_a_longer_period_are_not_mixed_in(taken: Taken) -> None:
    taken.ingest(file_of(measured(RADIO, info="radio"), measured(BEARERS, info="bearers", seconds=3600)))
    found = taken.indicators()
    assert found["lte_rrc_setup_success"] == pytest.approx(99.0)
    assert found["lte_cell_availability"] is None, "seconds of an hour are no share of a quarter of it"
    assert sorted(taken.sets()) == ["bearers", "radio"], "they are in the lake"


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

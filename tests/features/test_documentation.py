"""docs/kpis.md tells the truth: its snippet runs, and every indicator stands in its table as the code has it."""

import re
from pathlib import Path

import pytest

from trunkline.features.kpi import KPIS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kpis.md"


@pytest.mark.slow
def test_the_snippet_gives_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    found = names["found"].order_by("object").to_pyarrow().to_pylist()  # type: ignore[attr-defined]  # an Ibis table
    first, second = found
    assert first["lte_rrc_setup_success"] == 99.0
    assert first["lte_ip_throughput_dl"] == pytest.approx(30.0, rel=1e-12)
    assert (second["lte_rrc_setup_success"], second["lte_ip_throughput_dl"]) == (None, None)
    gaps = names["counters"].order_by("object", "begin_at").to_pyarrow()  # type: ignore[attr-defined]  # an Ibis table
    assert gaps.column("missed_periods").to_pylist() == [0, 1, 0]


@pytest.mark.parametrize("name", KPIS)
def test_every_indicator_stands_as_the_code_has_it(name: str) -> None:
    kpi = KPIS[name]
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    high = "" if kpi.high is None else f"{kpi.high:g}"
    assert cells[1:6] == [kpi.unit or "-", f"{kpi.low:g}", high, kpi.better, kpi.source]
    assert re.findall(r"`([^`]+)`", cells[6]) == list(kpi.counters)
    assert kpi.title in cells[0]

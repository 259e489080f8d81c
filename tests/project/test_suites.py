"""The runner of suites counts right, and takes silence for a failure."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def suites(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """The script as a module, over a small repository of its own."""
    spec = importlib.util.spec_from_file_location("suites", ROOT / "scripts" / "suites.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "suites", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "junit")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the runs below need none, and start sooner
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: slow\n", encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "junit").mkdir()
    return module


def write(folder: Path, text: str) -> None:
    (folder / "tests" / "test_it.py").write_text(text, encoding="utf-8")


def test_outcomes_are_counted(suites: types.ModuleType, tmp_path: Path) -> None:
    write(
        tmp_path,
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): pass\n"
        "def test_c(): assert False\n"
        "@pytest.fixture\ndef broken(): raise ValueError\n"
        "def test_d(broken): pass\n"
        "def test_e(): pytest.skip('why')\n"
        "@pytest.mark.slow\ndef test_f(): pass\n",
    )
    assert suites.run("fast", suites.Suite(60)) == suites.Tally(passed=2, failed=2, skipped=1)
    assert suites.run("slow", suites.Suite(60, mark="slow")) == suites.Tally(passed=1)


@pytest.mark.slow
def test_a_suite_that_exceeds_its_budget_has_failed(suites: types.ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "import threading\ndef test_a(): threading.Event().wait(60)\n")
    assert suites.run("fast", suites.Suite(1)).failed == 1


def test_a_suite_that_cannot_be_collected_has_failed(suites: types.ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "def test_a(:\n")
    assert suites.run("fast", suites.Suite(60)).failed >= 1


def test_nothing_run_is_a_failure(
    suites: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "x = 1\n")
    monkeypatch.setattr(suites, "SUITES", {"fast": suites.Suite(60)})
    monkeypatch.setattr(sys, "argv", ["suites.py", "fast"])
    assert suites.main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"


def test_a_suite_exists_from_its_first_test(suites: types.ModuleType, tmp_path: Path) -> None:
    assert not suites.exists(suites.SUITES["spark"])
    mark = "spark"
    write(tmp_path, f"import pytest\npytestmark = pytest.mark.{mark}\n")
    assert suites.exists(suites.SUITES["spark"])


def test_all_budgets_fit_into_an_hour(suites: types.ModuleType) -> None:
    assert sum(suite.budget_seconds for suite in suites.SUITES.values()) < 3600


def test_what_time_zones_touch_is_there_and_nothing_else_is_left_out(suites: types.ModuleType) -> None:
    for path in (*suites.TOUCHED_BY_TIME_ZONES, *suites.UNTOUCHED_BY_TIME_ZONES):
        assert (ROOT / path).exists(), path
    for path in suites.UNTOUCHED_BY_TIME_ZONES:
        assert path.startswith(suites.TOUCHED_BY_TIME_ZONES), path

"""The edge, Pydantic, blocks, DuckDB and Spark give one verdict; the drill of that name with few rows."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from trunkline.engine import Engine, open_engine

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

ROWS = 11_000


@pytest.fixture(scope="module")
def drill(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("drill_verdicts", repository / "drills" / "verdicts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_texts_get_one_verdict_on_every_engine(drill: ModuleType, spark: Engine) -> None:
    with open_engine("duckdb", threads=1) as duckdb:
        found, words = drill.compare(ROWS, seed=1, engines=[duckdb, spark])
    assert not words, "\n".join(words[:5])
    assert vars(found) == {"points": ROWS, "lost": 0, "duplicated": 0, "differences": 0}


def test_a_judge_that_errs_is_found(drill: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the drill would prove nothing: one value, one reason, one row."""
    right = drill.by_blocks

    def wrong(contract: type, rows: list[dict[str, str | None]]) -> object:
        judged = right(contract, [*rows[:-1], dict.fromkeys(rows[-1], "1")])
        return drill.Judged(judged.verdicts, lost=1)

    monkeypatch.setattr(drill, "by_blocks", wrong)
    found, words = drill.compare(360, seed=2, engines=[])
    kinds = len(drill.FIELDS) + 1
    assert found.lost == kinds
    assert kinds / 2 < found.differences <= kinds
    assert all("blocks says" in line for line in words)

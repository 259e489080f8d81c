"""examples/towers.ipynb runs from its first cell to its last, and shows what it says it shows."""

import ast
import json
from pathlib import Path
from typing import Any, cast

import pytest

pytestmark = pytest.mark.slow


def run_cells(path: Path) -> tuple[dict[str, object], list[object]]:
    """Run the code of a notebook in one namespace; gives it, and the value that ends each cell."""
    document = json.loads(path.read_text(encoding="utf-8"))
    namespace: dict[str, object] = {"__name__": "notebook"}
    shown: list[object] = []
    for number, cell in enumerate(document["cells"]):
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [], f"cell {number} was saved with what it showed"
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{path.name}, cell {number}", "exec"), namespace)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), f"{path.name}, cell {number}", "eval"), namespace))
    return namespace, shown


def run_notebook(repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.chdir(folder)
    namespace, shown = run_cells(repository / "examples" / "towers.ipynb")
    assert len(shown) == 7
    pictures = [
        str(cast("Any", one)._repr_html_()) for one in shown if hasattr(one, "values") and type(one).__name__ == "Bars"
    ]
    assert len(pictures) == 4
    assert all("<tr>" in one for one in pictures)
    assert 1 <= len(cast("Any", namespace["alarms"])) <= 120, "two a cell and week at most"
    return cast("dict[str, Any]", namespace)


def test_the_notebook_runs(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRUNKLINE_DATA", raising=False)
    assert len(run_notebook(repository, tmp_path, monkeypatch)["towers"]) == 60


def test_the_notebook_runs_over_the_real_files(
    repository: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRUNKLINE_DATA", str(data_dir.resolve()))
    namespace = run_notebook(repository, tmp_path, monkeypatch)
    assert namespace["sources"]["thresholds"] == data_dir.resolve() / "towers" / "service_threshold_data.csv"
    towers = namespace["towers"]
    assert len(towers) == 29, "cells that serve a customer whose usage is known"
    assert towers["customer_count"].sum() == 583

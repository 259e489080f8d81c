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


def test_the_notebook_runs(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.delenv("TRUNKLINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    namespace, shown = run_cells(repository / "examples" / "towers.ipynb")
    assert len(shown) == 7
    pictures = [
        str(cast("Any", one)._repr_html_()) for one in shown if hasattr(one, "values") and type(one).__name__ == "Bars"
    ]
    assert len(pictures) == 4
    assert all("<tr>" in one for one in pictures)
    towers, alarms = namespace["towers"], namespace["alarms"]
    assert len(towers) == 60  # type: ignore[arg-type]  # a data frame
    assert 1 <= len(alarms) <= 120  # type: ignore[arg-type]  # the same; two a cell and week at most

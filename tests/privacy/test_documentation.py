"""docs/privacy.md tells the truth: its snippets run, and its files, tables and commands are there."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from trunkline.contracts import Contract
from trunkline.contracts.records import REIDENTIFICATIONS, VAULT
from trunkline.run import Workspace

Trunkline = Callable[..., tuple[int, str, str]]

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(code: str) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "documentation"}
    exec(compile(code, "privacy.md", "exec"), names)
    return names


def test_the_pages_snippets_run(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    contract, door = (run(code) for code in SNIPPET.findall(PAGE))
    line = contract["Line"]
    assert isinstance(line, type)
    assert issubclass(line, Contract)
    assert {column.name: column.keep for column in line.columns} == {
        "msisdn": "encrypted",
        "email": "pseudonym",
        "nickname": "clear",
    }
    (lines / "a.csv").write_text("msisdn,seconds\n0170 / 123-45 67,1\n")
    assert trunkline("ingest", "lines", lines / "a.csv")[0] == 0
    names = workspace.lake.arrow("lines.lines").column("msisdn").to_pylist()
    reidentified = door["names"]
    assert callable(reidentified)
    assert reidentified(workspace.lake, names) == {names[0]: "+491701234567"}
    for table in (VAULT, REIDENTIFICATIONS):
        assert f"`{table}`" in PAGE
        assert workspace.lake.exists(table)
    for file in ("keys/keyring.json", "keys/master.key", "keys.json"):
        assert f"`{file}`" in PAGE
        assert (workspace.root / file).is_file()
    uses = [key["use"] for key in json.loads((workspace.root / "keys.json").read_text())["keys"]]
    assert sorted(set(uses)) == ["email", "encryption", "msisdn"]

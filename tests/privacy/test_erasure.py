"""Somebody who was known in clear once is erased in every spelling, also after the contract protects the field."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.contracts.records import VAULT
from trunkline.run import Workspace, utc_now
from trunkline.run.upkeep import copy_in_clear, maintain
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

ANN, BEN = "0170 / 123 45 67", "0171 7654321"


@pytest.fixture
def protected(trunkline: Trunkline, lines: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A workspace that knows two customers in clear; calling it protects them from then on."""
    before, after = (lines.parent / name / "lines" / "__init__.py" for name in ("before", "plugins"))
    before.parent.mkdir(parents=True)
    before.write_text(after.read_text().replace('Pii("msisdn", keep="encrypted", country="49")', 'Pii("msisdn")', 1))
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(lines.parent / "before"))
    (lines / "lines.csv").write_text(f"msisdn,email,seconds\n{ANN},a@x.org,1\n{BEN},,2\n")
    assert trunkline("ingest", "lines", lines / "lines.csv")[0] == 0
    return lambda: monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(lines.parent / "plugins"))


def erased(trunkline: Trunkline) -> dict[str, int]:
    code, out, err = trunkline("maintain", "--erase", "msisdn=+491701234567", "--json")
    assert code == 0, err
    tables: dict[str, int] = json.loads(out)["tables"]
    return tables


def in_clear(root: Path) -> set[str]:
    """Everybody who stands in clear in a data file of a table or an archive."""
    found: set[str] = set()
    for path in root.rglob("*.parquet"):
        if "_delta_log" not in path.parts and "msisdn" in (rows := pq.read_table(path)).column_names:
            found |= {name for name in rows.column("msisdn").to_pylist() if not name.startswith("hmac:")}
    return found


def test_a_row_in_clear_is_found_in_another_spelling(
    trunkline: Trunkline, protected: Callable[[], None], workspace: Workspace
) -> None:
    workspace.lake.append(
        "platform.predictions",
        pa.table({"prediction_id": ["a", "b"], "usecase": ["lines"] * 2, "entity_key": [ANN, BEN]}),
    )
    protected()
    assert erased(trunkline) == {"lines.lines": 1, "platform.predictions": 1}
    assert in_clear(workspace.root / "lake") == {BEN}
    assert workspace.lake.arrow("platform.predictions").column("entity_key").to_pylist() == [BEN]


@pytest.mark.slow
def test_so_is_one_in_an_older_version_alone(
    trunkline: Trunkline, protected: Callable[[], None], workspace: Workspace
) -> None:
    protected()
    batch = workspace.lake.arrow("lines.lines").column("_batch_id")[0].as_py()
    assert trunkline("ingest", "lines", "--again", batch)[0] == 0
    assert in_clear(workspace.root / "lake") == {ANN, BEN}
    assert erased(trunkline) == {"lines.lines": 1, VAULT: 1}
    assert in_clear(workspace.root / "lake") == set()


@pytest.mark.slow
def test_so_is_one_in_an_archive(
    trunkline: Trunkline,
    protected: Callable[[], None],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def archived(name: str) -> set[str]:
        root = workspace.root / "archive"
        for sealed in root.rglob("*.sealed"):
            copy_in_clear(workspace, str(sealed.parent.relative_to(root)), tmp_path / name)
        return in_clear(tmp_path / name)

    monkeypatch.setenv("TRUNKLINE_RETENTION__TABLES", '{"lines.lines": {"days": 1, "by": "ingestion"}}')
    with Workspace(load_settings(), clock=lambda: utc_now() + timedelta(days=9)) as later:
        maintain(later, progress=lambda _what, _share: None)
    assert archived("before") == {ANN, BEN}
    protected()
    assert erased(trunkline) == {"archive of lines.lines": 1}
    assert archived("after") == {BEN}
    assert in_clear(workspace.root) == set()

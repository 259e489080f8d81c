"""Sources as people name them: paths, folders, globs, URLs, names from the settings; and folders that are watched."""

import json
import sqlite3
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.errors import InputError, SourceError
from trunkline.run import Workspace
from trunkline.run.taking import recorded, resolve, source_files
from trunkline.settings import Settings


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    declared = {
        "crm": {"kind": "sql", "usecase": "churn", "url": "sqlite:///crm.db", "table": "customers"},
        "inbox": {
            "kind": "folder",
            "usecase": "churn",
            "path": str(tmp_path / "in"),
            "columns": {"no": "subscriber_id"},
        },
        "sales": {"kind": "sql", "usecase": "house_prices", "url": "sqlite:///crm.db", "table": "sales"},
    }
    return Workspace(Settings.model_validate({"workspace": tmp_path / "w", "sources": declared}))


def test_files_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "notes.md", ".hidden.csv", "deep/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in source_files([str(tmp_path)])] == ["a.parquet", "b.csv"]
    assert [path.name for path in source_files([f"{tmp_path}/**/*.csv"])] == ["b.csv", "c.csv"]
    assert source_files([f"file://{tmp_path}/b.csv"]) == (tmp_path / "b.csv",)
    for missing in (str(tmp_path / "no.csv"), f"{tmp_path}/*.avro", str(tmp_path / "deep" / "x")):
        with pytest.raises(SourceError):
            source_files([missing])


def test_a_declared_source_is_found_by_its_name(workspace: Workspace, tmp_path: Path) -> None:
    usecase = workspace.usecase("churn")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("x")
    crm, file = resolve(workspace, usecase, ["crm", "inbox"], dataset=None, mapping={"x": "plan"})
    assert (crm.name, crm.path, crm.dataset) == ("crm", None, usecase.main)
    assert (file.path, file.mapping) == (tmp_path / "in" / "a.csv", {"no": "subscriber_id", "x": "plan"})
    with pytest.raises(InputError, match="belongs to the use case 'house_prices'"):
        resolve(workspace, usecase, ["sales"], dataset=None, mapping={})
    with pytest.raises(SourceError) as told:
        resolve(workspace, usecase, ["cmr"], dataset=None, mapping={})
    assert told.value.allowed == ("crm", "inbox", "sales")


def test_a_password_is_never_written_down(tmp_path: Path) -> None:
    assert recorded("postgresql://crm:s3cret@db/x?table=t") == "postgresql://crm:***@db/x?table=t"
    assert recorded("crm") == "crm"
    (tmp_path / "a.csv").write_text("x")
    assert recorded(str(tmp_path / "a.csv")) == str(tmp_path / "a.csv")


def test_a_folder_is_watched_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "churn", "--rows", "30", "--out", str(tmp_path / "made")]) == 0
    (made,) = (tmp_path / "made").iterdir()
    (tmp_path / "in").mkdir()
    made.rename(tmp_path / "in" / "may.parquet")
    (tmp_path / "in" / "broken.csv").write_text("nothing,of,use\n1,2,3\n")
    said = ["watch", "churn", str(tmp_path / "in"), "--once", "--settle", "0", "--json"]
    said += ["--workspace", str(tmp_path / "w"), "--archive", str(tmp_path / "archive")]
    capsys.readouterr()
    assert main(said) == 0
    files = {Path(one["path"]).name: one for one in json.loads(capsys.readouterr().out)["files"]}
    assert files["may.parquet"]["receipt"]["accepted"] == 30
    assert "lacks the column" in files["broken.csv"]["error"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["broken.csv"]
    assert len(list((tmp_path / "archive").glob("*/may.parquet"))) == 1


def test_a_declared_source_is_pulled_by_the_ingest_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlalchemy")
    assert main(["simulate", "churn", "--rows", "20", "--out", str(tmp_path / "made")]) == 0
    import pyarrow.parquet as pq

    (made,) = (tmp_path / "made").iterdir()
    rows = pq.read_table(made)
    with sqlite3.connect(tmp_path / "crm.db") as database:
        database.execute(f"CREATE TABLE customers ({', '.join(rows.column_names)})")
        database.executemany(
            f"INSERT INTO customers VALUES ({', '.join('?' * rows.num_columns)})",
            [tuple(row.values()) for row in rows.to_pylist()],
        )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text(
        '[sources.crm]\nkind = "sql"\nusecase = "churn"\nurl = "sqlite:///crm.db"\ntable = "customers"\n'
    )
    capsys.readouterr()
    assert main(["ingest", "churn", "crm", "--json", "--workspace", "w"]) == 0
    counted = json.loads(capsys.readouterr().out)["ingest"]
    assert (counted["read"], counted["accepted"]) == (20, 20)

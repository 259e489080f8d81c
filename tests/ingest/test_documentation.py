"""The pages about derived tables and about readers tell the truth: their snippets run over one lake."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

from trunkline.engine import Engine
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.derived import refresh_tables
from trunkline.lake import Lake
from trunkline.settings.lake import LakeSettings
from trunkline.spec import UseCase

DOCS = Path(__file__).parents[2] / "docs"
MAVEN = DOCS.parent / "scripts" / "maven.sh"
ON_SPARK = "pyspark with delta"
SNIPPET = re.compile(r"(?:<!-- needs: ([^>]*) -->\n)?```(python|sql)\n(.*?)```", re.DOTALL)


def snippets(page: str) -> list[tuple[str, str, str]]:
    return SNIPPET.findall((DOCS / page).read_text(encoding="utf-8"))


def run(code: str, page: str) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "documentation"}
    exec(compile(code, page, "exec"), names)
    return names


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def busy(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> tuple[Lake, UseCase]:
    """The lake of the use case in docs/derived.md, with a call that was corrected by a later file."""
    (found,) = [code for _, language, code in snippets("derived.md") if language == "python"]
    usecase = run(found, "derived.md")["usecase"]
    assert isinstance(usecase, UseCase)
    monkeypatch.chdir(tmp_path)
    lake = Lake(tmp_path / "workspace" / "lake", engine=engine, settings=LakeSettings(), clock=clock)
    files = (
        ("cells", "cell_id,city\na,Graz\nb,Linz\n"),
        ("calls", "call_id,cell_id,kind,seconds\n1,a,1,60\n2,b,2,30\n3,b,9,10\n4,a,7,10\n5,z,1,60\n"),
        ("calls", "call_id,cell_id,kind,seconds\n1,a,1,120\n"),
    )
    for place, (dataset, text) in enumerate(files):
        path = tmp_path / f"{place}.csv"
        path.write_text(text)
        target = Target("busy", dataset, usecase.datasets[dataset])
        ingest_file(path, target, lake=lake, run_id="r", clock=clock)
    return lake, usecase


def test_the_derived_table_holds_what_the_page_says(busy: tuple[Lake, UseCase], tmp_path: Path) -> None:
    lake, usecase = busy
    (receipt,) = refresh_tables(usecase, lake=lake, locks=tmp_path / "locks", run_id="r", clock=clock)
    assert receipt.source == "derived from busy.calls@1, busy.cells@0"
    assert (receipt.read, receipt.accepted, receipt.quarantined) == (4, 3, 1)
    rows = lake.arrow("busy.cell_load", columns=["cell_id", "kind", "city", "minutes"]).sort_by("cell_id").to_pylist()
    assert rows == [
        {"cell_id": "a", "kind": "voice", "city": "Graz", "minutes": 2.0},
        {"cell_id": "b", "kind": "video", "city": "Linz", "minutes": 0.5},
        {"cell_id": "z", "kind": "voice", "city": None, "minutes": 1.0},
    ]
    receipts = lake.arrow("platform.receipts", where=lambda table: table["dataset"] == "calls").to_pylist()
    assert '{"reference.cells": 1}' in {row["reasons"] for row in receipts}


PRINTED = {
    "deltalake, pandas": "5 1\n",
    "polars, deltalake": "5\n",
    "duckdb, deltalake": "[(5, 230)]\n",
    ON_SPARK: "5\n",
    "trunkline": "5\n",
}


def python_of(page: str, *, on_spark: bool) -> list[tuple[str, str]]:
    """What each snippet needs, and its code."""
    found = [(needs, code) for needs, language, code in snippets(page) if language == "python"]
    return [one for one in found if (one[0] == ON_SPARK) == on_spark]


@pytest.mark.slow
@pytest.mark.parametrize(("needs", "code"), python_of("consume.md", on_spark=False))
def test_readers_find_the_current_rows(
    needs: str, code: str, busy: tuple[Lake, UseCase], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [name for name in needs.split(", ") if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    run(code, "consume.md")
    assert capsys.readouterr().out == PRINTED[needs]


@pytest.fixture(scope="module")
def spark_with_delta() -> list[str]:
    """The command that submits to Spark with Delta's own package; skips the test where one of them cannot be had."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'trunkline[spark]'")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    fetched = subprocess.run([MAVEN, "spark_delta"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"Delta for Spark could not be fetched: {fetched.stderr.strip()[-300:]}")
    folder = Path(os.environ.get("SPARK_DELTA_CACHE") or MAVEN.parents[1] / ".cache" / "spark_delta")
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    jars = ",".join(sorted(map(str, folder.glob("*.jar"))))
    return [str(submit), "--master", "local[1]", "--jars", jars, "--conf", "spark.ui.enabled=false"]


@pytest.mark.spark
def test_spark_with_its_own_delta_finds_the_current_rows(
    busy: tuple[Lake, UseCase], spark_with_delta: list[str], tmp_path: Path
) -> None:
    ((_, code),) = python_of("consume.md", on_spark=True)
    (tmp_path / "read.py").write_text(code)
    variables = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [*spark_with_delta, "read.py"],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, PRINTED[ON_SPARK]), done.stderr[-3000:]


def test_the_sql_for_other_engines_gives_the_same(busy: tuple[Lake, UseCase]) -> None:
    (sql,) = [code for _, language, code in snippets("consume.md") if language == "sql"]
    calls = busy[0].arrow("busy.calls")
    with duckdb.connect() as database:
        database.register("calls", calls)
        found = database.sql(sql).fetchall()
    assert len(found) == 5


def test_every_snippet_is_checked() -> None:
    python = {needs for needs, language, _ in snippets("consume.md") if language == "python"}
    assert python == set(PRINTED)

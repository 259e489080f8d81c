"""The profile of a new source: what is counted, what is odd, what is hidden, and that it is the same every time."""

import gzip
import html
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.errors import SourceError
from trunkline.plugins import load_usecase, profiling
from trunkline.plugins.guessing import first_rows, guesses
from trunkline.plugins.personal import looks_personal
from trunkline.plugins.profiling import Profiled, profile_columns
from trunkline.plugins.scaffold import infer_usecase

if TYPE_CHECKING:
    from tests.conftest import Browser

HEADER = ["account_id", "contact", "msisdn", "plan", "bill", "months", "joined", "always", "gone", "note", "churn"]


def rows(count: int, *, seed: int = 1) -> list[dict[str, str]]:
    """Rows with a bit of everything that is odd."""
    made = random.Random(seed)
    return [
        {
            "account_id": f"SECRETKEY{number}",
            "contact": f"person{number}@example.org",
            "msisdn": f"49151{number:07d}",
            "plan": made.choice(["gold", "silver", "<b>tin</b>"]),
            "bill": "n/k" if number % 50 == 7 else f"{made.gauss(40, 10):.2f}",
            "months": "" if number % 4 == 0 else str(made.randrange(72)),
            "joined": f"{1 + number % 28:02d}.03.2025" if number % 2 else f"2025-03-{1 + number % 28:02d}",
            "always": "x",
            "gone": "",
            "note": f" remark {number if number % 30 else 0}",
            "churn": "Yes" if made.random() < 0.3 else "No",
        }
        for number in range(count)
    ]


def text(found: list[dict[str, str]]) -> str:
    return "\n".join([",".join(HEADER), *(",".join(row[name] for name in HEADER) for row in found)]) + "\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a drafted use case."""
    folder = tmp_path_factory.mktemp("profile")
    (folder / "table.csv").write_text(text(rows(400)))
    infer_usecase("mine", source=folder / "table.csv", into=folder / "plugins")
    return folder


def profiled(source: Path) -> Profiled:
    return profile_columns(source, guesses(first_rows(source)), threads=1)


def page_of(folder: Path) -> str:
    return (folder / "plugins" / "mine" / "profile.html").read_text()


def test_counts_are_those_of_the_file(made: Path) -> None:
    found = profiled(made / "table.csv")
    expected = rows(400)
    assert (found.rows, found.sampled, found.malformed) == (400, 400, 0)
    assert set(found.keys) == {"account_id", "contact", "msisdn"}
    for column in found.columns:
        values = [row[column.source].strip() for row in expected]
        present = [value for value in values if value]
        assert column.nulls == 400 - len(present), column.source
        assert column.distinct == len(set(present)), column.source
    months = next(column for column in found.columns if column.source == "months")
    numbers = sorted(int(row["months"]) for row in expected if row["months"])
    assert (months.low, months.high) == (str(numbers[0]), str(numbers[-1]))
    assert dict(months.quantiles)["Median"] == str(numbers[round(0.5 * (len(numbers) - 1))])
    assert sum(months.bins) == len(numbers)
    plan = next(column for column in found.columns if column.source == "plan")
    assert dict(plan.top) == {
        name: sum(row["plan"] == name for row in expected) for name in ("gold", "silver", "<b>tin</b>")
    }


def test_what_is_odd_is_said(made: Path) -> None:
    said = {column.source: " / ".join(column.suspicions) for column in profiled(made / "table.csv").columns}
    assert "days are written in several forms: 2026-11-22, 22.11.2026" in said["joined"]
    assert "all values are the same" in said["always"]
    assert "it has no value at all" in said["gone"]
    assert "8 of 400 values of the sample are no numbers" in said["bill"]
    assert "nearly every value is new" in said["note"]
    assert "white space around them" in said["note"]
    assert said["plan"] == said["churn"] == ""


def test_values_that_look_personal_are_nowhere(made: Path) -> None:
    page = page_of(made)
    for value in ("SECRETKEY", "@example.org", "49151", "remark "):
        assert value not in page
    assert "hidden: email" in page
    contract = (made / "plugins" / "mine" / "contracts.py").read_text()
    assert 'contact: Text = field(pii="email")' in contract
    assert 'msisdn: Text = field(pii="phone")' in contract
    usecase = load_usecase("mine", plugin_dir=made / "plugins")
    assert {column.name for column in usecase.contract.columns if column.pii} == {"account_id", "contact", "msisdn"}
    assert usecase.task is not None
    assert not {"contact", "msisdn"} & set(usecase.task.columns)


def test_the_page_holds_the_contract_and_nothing_from_elsewhere(made: Path) -> None:
    page = page_of(made)
    contract = (made / "plugins" / "mine" / "contracts.py").read_text()
    (shown,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert html.unescape(shown).strip() == contract.strip()
    assert "&lt;b&gt;tin" in page
    assert "<b>tin" not in page
    assert re.findall(r"<(?:script|link|img|iframe)|https?://|url\(|@import", page) == []


def test_the_same_file_gives_the_same_page(made: Path, tmp_path: Path) -> None:
    infer_usecase("mine", source=made / "table.csv", into=tmp_path / "plugins")
    assert page_of(tmp_path) == page_of(made)


def test_large_files_are_sampled_and_counted_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "SAMPLE_ROWS", 100)
    source = tmp_path / "table.csv"
    source.write_text(text(rows(3000)))
    found = profiled(source)
    assert (found.rows, found.sampled) == (3000, 100)
    columns = {column.source: column for column in found.columns}
    assert columns["months"].nulls == 750
    assert columns["account_id"].distinct == 3000
    assert columns["account_id"].is_distinct_exact
    assert not columns["note"].is_distinct_exact
    assert columns["note"].distinct == pytest.approx(2901, rel=0.1)
    assert columns["always"].distinct == 1
    assert profiled(source) == found
    infer_usecase("mine", source=source, into=tmp_path / "plugins")
    assert "a sample of 100 rows" in page_of(tmp_path)


@pytest.mark.slow
def test_rows_beyond_the_first_may_break_the_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.plugins.guessing.SAMPLE_ROWS", 50)
    found = rows(70_000)  # the first block of the file ends before its last rows
    found[69_000]["months"], found[69_001]["plan"], found[69_002]["account_id"] = "many", "bronze", "SECRETKEY1"
    source = tmp_path / "table.csv"
    source.write_text(text(found))
    made = infer_usecase("mine", source=source, into=tmp_path / "plugins")
    page = page_of(tmp_path)
    assert "1 values that are no integer: they would be quarantined" in page
    assert "1 values that its list does not have: they would be quarantined" in page
    assert "bronze" not in page
    assert any(note.startswith("1 of all rows repeat the key 'account_id'") for note in made.notes)


def test_a_field_that_any_row_lacks_may_be_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.plugins.guessing.SAMPLE_ROWS", 50)
    lines = [f"a{number},{number % 7},{number % 5}.5" for number in range(500)]
    source = tmp_path / "table.csv"
    source.write_text("\n".join(["account_id,handsets,load", *lines, "b1,,1.5", "b2,two,1.5", ",1,1.5"]) + "\n")
    made = infer_usecase("mine", source=source, into=tmp_path / "plugins", predicts=False)
    drafted = (made.folder / "contracts.py").read_text()
    assert "handsets: Integer | None = field()" in drafted
    assert "load: Number = field()" in drafted
    assert "account_id: Text = field(" in drafted  # a part of the key
    assert "handsets: Integer | None = field()" in page_of(tmp_path)
    assert "'handsets': 1 of all rows hold no integer, and would be quarantined" in made.notes
    assert any(note.startswith("1 of all rows repeat the key 'account_id'") for note in made.notes)


Write = Callable[[Path, list[dict[str, str]]], object]
FORMS: dict[str, Write] = {
    "table.csv.gz": lambda path, found: path.write_bytes(gzip.compress(text(found).encode())),
    "table.ndjson": lambda path, found: path.write_text("\n".join(map(json.dumps, found)) + "\n"),
    "table.json": lambda path, found: path.write_text(json.dumps(found)),
    "table.parquet": lambda path, found: pq.write_table(pa.Table.from_pylist(found), path),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_form_of_a_file_gives_the_same_figures(name: str, made: Path, tmp_path: Path) -> None:
    FORMS[name](tmp_path / name, rows(400))
    assert profiled(tmp_path / name).columns == profiled(made / "table.csv").columns


def test_a_file_that_ends_too_early_leaves_nothing(tmp_path: Path) -> None:
    packed = gzip.compress(text(rows(60_000)).encode())
    (tmp_path / "table.csv.gz").write_bytes(packed[: len(packed) - 2000])
    with pytest.raises(SourceError):
        infer_usecase("mine", source=tmp_path / "table.csv.gz", into=tmp_path / "plugins", label="churn")
    assert not (tmp_path / "plugins").exists()


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("email_address", [], "email"),
        ("phone_service", ["Yes", "No"], ""),
        ("contact", ["+49 151 1234567", "+44 20 7946 0000"], "phone"),
        ("source", ["10.0.0.1", "192.168.1.20"], "address"),
        ("x", ["DE89370400440532013000"], "account"),
        ("x", ["550e8400-e29b-41d4-a716-446655440000"], "identifier"),
        ("device", ["aa:bb:cc:dd:ee:ff"], "device"),
        ("last_name", ["Smith"], "name"),
        ("unit_name", ["a"], ""),
        ("zip", ["01234", "99999"], ""),
        ("opened", ["2026-01-01", "2026-02-01"], ""),
        ("version", ["1.2.3.4"] * 1, "address"),
        ("customer_no", ["7"], "subscriber"),
        ("customers", ["7"], ""),
    ],
)
def test_what_looks_personal(name: str, values: list[str], kind: str) -> None:
    assert looks_personal(name, values) == kind


@pytest.mark.browser
def test_the_page_opens_from_disk(browser: "Browser", made: Path) -> None:
    page = made / "plugins" / "mine" / "profile.html"
    assert "Drafted contract" in browser.seen(page.as_uri())
    assert browser.colours(page.as_uri(), width=1280) > 20

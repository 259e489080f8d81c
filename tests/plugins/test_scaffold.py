"""New use cases, copied or inferred from a file: what is made loads, judges rows, and stands alone."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.checks import contract_from_json_schema, edge_validator
from trunkline.contracts import Contract
from trunkline.engine import open_engine
from trunkline.errors import ContractError, InputError, SourceError, UnknownNameError
from trunkline.ingest.held_file import judged_file
from trunkline.plugins import load_usecase, usecase_names
from trunkline.plugins.guessing import first_rows, guesses
from trunkline.plugins.keys import guessed_key
from trunkline.plugins.scaffold import copy_usecase, infer_usecase

Write = Callable[[str], Path]
NO_KEY = "no column identifies a row: rows that repeat are all kept; name the key with --key COLUMN"


@pytest.mark.parametrize("shipped", ["house_prices", "churn"])
def test_a_copy_stands_alone(shipped: str, tmp_path: Path) -> None:
    made = copy_usecase("my_case", copy_of=shipped, into=tmp_path)
    assert made.folder == tmp_path / "my_case"
    original, copy = load_usecase(shipped), load_usecase("my_case", plugin_dir=tmp_path)
    assert copy.name == "my_case"
    assert copy.contract is not original.contract
    assert copy.contract.fingerprint == original.contract.fingerprint
    assert copy.contract.__module__.endswith("my_case.contracts")
    for path in made.folder.rglob("*.py"):
        assert "trunkline.usecases" not in path.read_text()
    assert (made.folder / "test_my_case.py").exists()
    assert copy.title == "My case"
    readme = (made.folder / "README.md").read_text()
    assert readme.startswith(f"# My case\n\nCopied from `{shipped}` (`trunkline new NAME --from {shipped}`).")
    assert "the folder to copy" not in readme
    assert "--from my_case" not in readme
    assert f"trunkline simulate {shipped}" not in readme
    assert f"`test_{shipped}.py`" not in readme
    assert "my_case" in usecase_names(plugin_dir=tmp_path)


def test_words_and_titles_of_papers_are_not_renamed(tmp_path: Path) -> None:
    readme = (copy_usecase("leaving", copy_of="churn", into=tmp_path).folder / "README.md").read_text()
    assert "New insights into churn prediction" in readme
    assert "`trunkline simulate leaving --rows N --out DIR`" in readme


@pytest.mark.slow
def test_ones_own_use_cases_are_copied(tmp_path: Path, write: "Write") -> None:
    copy_usecase("my_house", copy_of="house_prices", into=tmp_path / "p")
    copy_usecase("my_flat", copy_of="my_house", into=tmp_path / "p")
    copy = load_usecase("my_flat", plugin_dir=tmp_path / "p")
    assert (copy.name, copy.title) == ("my_flat", "My flat")
    assert copy.contract.__module__.endswith("my_flat.contracts")
    readme = (tmp_path / "p" / "my_flat" / "README.md").read_text()
    assert readme.startswith("# My flat\n\nCopied from `my_house` (")
    assert readme.count("Copied from") == 1
    infer_usecase("drafted", source=write(SOURCE), into=tmp_path / "p")
    copy_usecase("again", copy_of="drafted", into=tmp_path / "p")
    assert load_usecase("again", plugin_dir=tmp_path / "p").title == "Again"
    assert "- Label: `Churn`." in (tmp_path / "p" / "again" / "README.md").read_text()


def test_a_copy_is_edited(tmp_path: Path) -> None:
    copy_usecase("flats", copy_of="house_prices", into=tmp_path)
    module = tmp_path / "flats" / "__init__.py"
    module.write_text(module.read_text().replace('title="Flats"', 'title="Dwellings"'))
    assert load_usecase("flats", plugin_dir=tmp_path).title == "Dwellings"


@pytest.mark.slow
def test_the_tests_of_a_copy_pass(tmp_path: Path) -> None:
    made = copy_usecase("flats", copy_of="house_prices", into=tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", str(made.folder)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "Churn", "1st", "a-b", "a" * 41, "class", "../evil", "churn"])
def test_names_that_cannot_be_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be the name|is taken"):
        copy_usecase(name, copy_of="house_prices", into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_keyword_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'class' is a keyword of Python"):
        copy_usecase("class", copy_of="house_prices", into=tmp_path)


def test_what_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no use case 'nothing' to copy") as caught:
        copy_usecase("mine", copy_of="nothing", into=tmp_path)
    assert "house_prices" in caught.value.allowed
    with pytest.raises(UnknownNameError):
        copy_usecase("mine", copy_of="../../etc", into=tmp_path)
    copy_usecase("mine", copy_of="house_prices", into=tmp_path)
    with pytest.raises(InputError, match="is taken"):
        copy_usecase("mine", copy_of="house_prices", into=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        copy_usecase("other", copy_of="house_prices", into=tmp_path / "file" / "below")


SOURCE = """Customer No,Zip,Months,Bill,Plan,When,Since,Class,json,Active,Card,Note,Churn
a1,01234,3,29.5,gold,2026-01-01 10:00,2025-01-01,x,1,Y,1234567890123456,,Yes
a2,99999,,30,silver,2026-01-02 10:00,2025-02-01,y,2,N,1234567890123457,,No
a3,00001,12,NA,gold,2026-01-03 10:00,2025-03-01,x,3,Y,1234567890123458,,Yes
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(content: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(content)
        return path

    return made


def test_what_columns_look_like(write: Write) -> None:
    found = {guess.source: guess for guess in guesses(first_rows(write(SOURCE)))}
    assert {source: (guess.name, guess.kind, guess.nullable) for source, guess in found.items()} == {
        "Customer No": ("customer_no", "text", False),
        "Zip": ("zip", "text", False),
        "Months": ("months", "integer", True),
        "Bill": ("bill", "number", True),
        "Plan": ("plan", "category", False),
        "When": ("when", "instant", False),
        "Since": ("since", "day", False),
        "Class": ("class_", "category", False),
        "json": ("json_", "integer", False),
        "Active": ("active", "flag", False),
        "Card": ("card", "text", False),
        "Note": ("note", "text", True),
        "Churn": ("churn", "flag", False),
    }
    assert found["When"].is_local
    assert found["Plan"].values == ("gold", "silver")
    assert found["Customer No"].unique


FORMS: list[tuple[list[str], str, dict[str, object]]] = [
    (["31.12.2025", "01.02.2026"], "day", {"written": "DD.MM.YYYY"}),
    (["31.12.2025", "1.2.2026"], "day", {"written": "D.M.YYYY"}),
    (["31.12.2025 00:00:00", "01.02.2026"], "day", {"written": "DD.MM.YYYY"}),
    (["31.12.2025 10:15", "01.02.2026 11:00:30"], "instant", {"written": "DD.MM.YYYY", "is_local": True}),
    (["31.12.2025 10:15Z", "01.02.2026 11:00:30+02:00"], "instant", {"written": "DD.MM.YYYY"}),
    (["31/12/2025", "01/02/2026"], "day", {"written": "DD/MM/YYYY"}),
    (["12/31/2025", "1/2/2026"], "day", {"written": "M/D/YYYY"}),
    (["2025/12/31", "2026/01/02"], "day", {"written": "YYYY/MM/DD"}),
    (["31-DEC-2025", "02-Jan-2026"], "day", {"written": "DD-MON-YYYY"}),
    (["20251231101500", "20260102000000"], "instant", {"written": "YYYYMMDDHHMMSS", "is_local": True}),
    (["1767175200", "1767261600"], "instant", {"written": "epoch_s"}),
    (["1767175200000", "1767261600123"], "instant", {"written": "epoch_ms"}),
    (["1767175200000000", "1767261600123456"], "instant", {"written": "epoch_us"}),
    (["1767175200000000000", "1767261600123456789"], "instant", {"written": "epoch_ns"}),
    (["12,5", "1000,25"], "number", {"decimal": ","}),
    (["1.234,5", "12"], "number", {"decimal": ",", "thousands": "."}),
    (["1,234.5", "1,234,567"], "number", {"thousands": ","}),
    (["1 234,5", "12"], "number", {"decimal": ",", "thousands": " "}),
    (["1.234.567", "12.345"], "integer", {"decimal": ",", "thousands": "."}),
    (["11/12/2025", "01/02/2026"], "text", {"unsure": "DD/MM/YYYY or MM/DD/YYYY"}),
    (["1/2/2025", "01/02/2026"], "text", {"unsure": "D/M/YYYY or M/D/YYYY"}),
    (["1,234", "5,678"], "text", {"unsure": "1,234 with a comma of thousands or of decimals"}),
    (["12.31.2025", "01.02.2026"], "category", {}),
    (["31/12/2025", "12/31/2025"], "category", {}),
    (["31.12.2025", "31/12/2025"], "category", {}),
    (["30.02.2026", "30.02.2027"], "category", {}),
    (["31.12.2025", "2025-12-31"], "category", {}),
    (["030 123", "040 124"], "category", {}),
    (["1.5.3", "2.0.1"], "category", {}),
]


@pytest.mark.parametrize(("values", "kind", "said"), FORMS, ids=[f"{one[0][0]} {one[0][1]}" for one in FORMS])
def test_other_forms_are_recognised(values: list[str], kind: str, said: dict[str, object], write: Write) -> None:
    (guess,) = [guess for guess in guesses(first_rows(formed(values, write))) if guess.source == "seen_at"]
    found = {name: getattr(guess, name) for name in ("written", "decimal", "thousands", "unsure", "is_local")}
    assert guess.kind == kind
    assert {name: value for name, value in found.items() if value} == said


def formed(values: list[str], write: Write) -> Path:
    rows = [f"a{number};{value};{number};{number % 2}" for number, value in enumerate(values * 4)]
    return write("\n".join(["id;seen_at;months;churn", *rows]) + "\n")


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [FORMS[0], *(pytest.param(*one, marks=pytest.mark.slow) for one in FORMS[1:])],
    ids=[f"{one[0][0]} {one[0][1]}" for one in FORMS],
)
def test_other_forms_are_drafted(
    values: list[str], kind: str, said: dict[str, object], write: Write, tmp_path: Path
) -> None:
    source = formed(values, write)
    (guess,) = [guess for guess in guesses(first_rows(source)) if guess.source == "seen_at"]
    made = infer_usecase("formed", source=source, into=tmp_path / "p", label="churn")
    notes = [note for note in made.notes if note.startswith("'seen_at' is written") or "may be written" in note]
    assert len(notes) == (said != {})
    usecase = load_usecase("formed", plugin_dir=tmp_path / "p")
    assert verdicts(source, usecase.contract) == (4 * len(values), 4 * len(values), {})
    column = usecase.contract.columns[1]
    assert (column.written, column.decimal, column.thousands) == (guess.written, guess.decimal, guess.thousands)
    page = (made.folder / "profile.html").read_text()
    assert "they would be quarantined" not in page
    if said.get("written") == "DD.MM.YYYY" and kind == "day":
        assert "2025-12-31" in page  # in the order of days, not of texts
        assert "2026-02-01" in page


def test_numbers_in_the_range_of_counts_are_no_instants_by_that_alone(write: Write) -> None:
    rows = [f"{1_600_000_000 + n},{1_600_000_000 + n},{1_600_000_000 + n}" for n in range(40)]
    found = {
        guess.source: guess.written
        for guess in guesses(first_rows(write("\n".join(["order,phone,createdAt", *rows]) + "\n")))
    }
    assert found == {"order": None, "phone": None, "createdAt": "epoch_s"}


def a_day_of_cells(cells: int, *, more: str = "") -> str:
    lines = (
        f"2026-11-22T{hour:02}:00:00Z,c{cell},v{cell % 3},{(hour * cell) % 7},{hour / 7:.3f}"
        for hour in range(24)
        for cell in range(cells)
    )
    return "\n".join(["begin,cell,vendor,calls,load", *lines]) + "\n" + more


def test_a_row_per_cell_and_hour_is_identified_by_both(write: Write, tmp_path: Path) -> None:
    made = infer_usecase("mine", source=write(a_day_of_cells(40)), into=tmp_path / "p", predicts=False)
    assert load_usecase("mine", plugin_dir=tmp_path / "p").entity_key == ("begin", "cell")
    said = "a row is identified by 'begin' and 'cell', told from the values: check it, or name others with --key"
    assert said in made.notes
    assert "one row per `begin` and `cell`" in (made.folder / "README.md").read_text()
    assert "begin and cell" in (made.folder / "profile.html").read_text()


def test_a_key_that_repeats_further_on_is_told(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.plugins.guessing.SAMPLE_ROWS", 24 * 40)
    more = "2026-11-22T05:00:00Z,c7,v1,3,0.5\n2026-11-22T05:00:00Z,,v1,3,0.5\n"
    source = write(a_day_of_cells(40, more=more))
    made = infer_usecase("mine", source=source, into=tmp_path / "p", predicts=False)
    assert "2 of all rows repeat the key 'begin' and 'cell', or lack a part of it" in made.notes
    assert "no column identifies a row" in (made.folder / "profile.html").read_text()


def test_values_that_are_measured_are_no_part_of_a_key(write: Write, tmp_path: Path) -> None:
    lines = [
        f"2026-11-22T{n % 24:02}:00:00Z,{n},{n * 7 % 1000}.5" for n in (*range(500), 499)
    ]  # no two hours and calls
    made = infer_usecase(
        "mine", source=write("\n".join(["at,calls,load", *lines]) + "\n"), into=tmp_path / "p", predicts=False
    )
    assert NO_KEY in made.notes


def key_of(header: str, lines: Iterable[str]) -> list[str]:
    columns = zip(*(line.split(",") for line in lines), strict=True)
    texts = {name: list(values) for name, values in zip(header.split(","), columns, strict=True)}
    return [guess.source for guess in guessed_key(guesses(texts), list(texts.values()))]


@pytest.mark.parametrize("enodeb", ["1{:03}", "e{}"])
def test_whole_numbers_of_network_objects_are_part_of_a_key(enodeb: str) -> None:
    lines = (
        f"2026-11-22T{hour:02}:00:00Z,{enodeb.format(site)},{sector},{hour * site % 97 / 7:.3f},{hour * site % 40}"
        for hour in range(24)
        for site in range(20)
        for sector in (1, 2, 3)
    )
    assert key_of("period_start,enodeb,sector,prb,users", lines) == ["period_start", "enodeb", "sector"]


def test_a_number_that_comes_again_in_every_period_is_part_of_a_key() -> None:
    lines = (
        f"2026-11-22T{hour:02}:00:00Z,e{site},{beam},{(hour * 7 + site * beam) % 5}"
        for hour in range(24)
        for site in range(20)
        for beam in (1, 2, 3)
    )
    assert key_of("at,site,beam,drops", lines) == ["at", "site", "beam"]


def test_few_measured_numbers_are_no_part_of_a_key() -> None:
    lines = [f"2026-11-22T{hour:02}:00:00Z,e{site},{(hour + site) % 4}" for hour in range(24) for site in range(40)]
    # the rows that came again with another value are no rows of their own
    again = [f"2026-11-22T{hour:02}:00:00Z,e{hour},{(hour + hour + 1) % 4}" for hour in range(24)]
    assert key_of("at,site,drops", lines) == ["at", "site"]
    assert key_of("at,site,drops", [*lines, *again]) == []


def test_a_day_and_a_time_of_day_are_parts_of_a_key() -> None:
    lines = (
        f"2026-11-{day:02},{hour:02}:15,e{site},{sector},{hour * site % 97 / 7:.3f}"
        for day in range(1, 4)
        for hour in range(24)
        for site in range(5)
        for sector in (1, 2, 3)
    )
    assert key_of("date,time,enodeb,sector,prb", lines) == ["date", "time", "enodeb", "sector"]


def test_an_hourly_series_is_identified_by_its_hour(write: Write, tmp_path: Path) -> None:
    lines = [f"2026-11-{1 + n // 24:02}T{n % 24:02}:00:00Z,{n % 9}.5" for n in range(200)]
    infer_usecase("mine", source=write("\n".join(["hour,load", *lines]) + "\n"), into=tmp_path / "p", predicts=False)
    assert load_usecase("mine", plugin_dir=tmp_path / "p").entity_key == ("hour",)


def test_a_running_number_of_the_file_is_no_key(write: Write, tmp_path: Path) -> None:
    lines = [f"{n},{n % 50},{n % 9}.5" for n in range(200)]
    source = write("\n".join(["Unnamed: 0,cell_id,load", *lines]) + "\n")
    made = infer_usecase("mine", source=source, into=tmp_path / "p", predicts=False)
    assert NO_KEY in made.notes


def test_columns_of_a_key_can_be_told(write: Write, tmp_path: Path) -> None:
    source = write(a_day_of_cells(3))
    made = infer_usecase("mine", source=source, into=tmp_path / "p", predicts=False, key=("cell", "vendor", "begin"))
    assert load_usecase("mine", plugin_dir=tmp_path / "p").entity_key == ("cell", "vendor", "begin")
    assert "a row is identified by 'cell' and 'vendor' and 'begin'" in made.notes
    with pytest.raises(InputError, match="the key names 'cell' twice"):
        infer_usecase("other", source=source, into=tmp_path / "p", predicts=False, key=("cell", "begin", "Cell"))


def test_pure_ingestion_is_drafted(write: Write, tmp_path: Path) -> None:
    source = write("cell,load\nc1,1.5\nc2,2.5\n")
    with pytest.raises(InputError, match="no column looks like") as caught:
        infer_usecase("mine", source=source, into=tmp_path / "p")
    assert "--no-label" in caught.value.next_step
    made = infer_usecase("mine", source=source, into=tmp_path / "p", predicts=False)
    assert "takes rows in, and predicts nothing" in made.notes
    usecase = load_usecase("mine", plugin_dir=tmp_path / "p")
    assert (usecase.task, usecase.main, usecase.entity_key) == (None, "rows", ("cell",))
    assert verdicts(source, usecase.contract) == (2, 2, {})
    assert (made.folder / "profile.html").exists()


def test_a_measurement_file_is_drafted(tmp_path: Path) -> None:
    source = tmp_path / "pm.xml"
    source.write_text(MEASURED)
    infer_usecase("pm", source=source, into=tmp_path / "p", predicts=False)
    usecase = load_usecase("pm", plugin_dir=tmp_path / "p")
    assert usecase.task is None
    assert verdicts(source, usecase.contract) == (2, 2, {})


MEASURED = """<?xml version="1.0" encoding="UTF-8"?>
<measCollecFile xmlns="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec">
<fileHeader fileFormatVersion="32.435 V10.0" vendorName="v" dnPrefix="DC=a.b">
<fileSender localDn="ManagedElement=1"/><measCollec beginTime="2026-01-01T00:00:00+00:00"/></fileHeader>
<measData><managedElement localDn="ManagedElement=1"/><measInfo measInfoId="g">
<granPeriod duration="PT900S" endTime="2026-01-01T00:15:00+00:00"/>
<measType p="1">RRC.ConnMean</measType><measType p="2">DRB.UEThpDl</measType>
<measValue measObjLdn="Cell=1"><r p="1">5</r><r p="2">1.5</r></measValue>
<measValue measObjLdn="Cell=2"><r p="1">7</r><r p="2">2.5</r></measValue>
</measInfo></measData>
<fileFooter><measCollec endTime="2026-01-01T00:15:00+00:00"/></fileFooter></measCollecFile>
"""

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "cell_id": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "description": 'The cell\'s "name"'},
        "load": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "vendor": {"enum": ["north", "south"]},
        "seen_at": {"type": "string", "format": "date-time"},
        "is_down": {"type": "boolean"},
        "email": {"type": "string", "maxLength": 80},
    },
    "required": ["cell_id", "seen_at", "is_down"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("file", ["cell.schema.json", "cell.json"])
def test_a_json_schema_is_drafted(file: str, tmp_path: Path) -> None:
    source = tmp_path / file
    source.write_text(json.dumps(SCHEMA))
    made = infer_usecase("cells", source=source, into=tmp_path / "p", label="is_down", key=("cell_id",))
    usecase = load_usecase("cells", plugin_dir=tmp_path / "p")
    assert usecase.entity_key == ("cell_id",)
    assert type(usecase.task).__name__ == "Classification"
    assert not (made.folder / "profile.html").exists()
    original = contract_from_json_schema(SCHEMA, name="Row", key=("cell_id",))
    told = {column.name: column for column in usecase.contract.columns}
    assert told["cell_id"].description == 'The cell\'s "name"'
    assert told["email"].pii == "email"
    same = [replace(told[column.name], pii="", nullable=column.nullable) for column in original.columns]
    assert same == list(original.columns)
    assert told["is_down"].nullable  # of rows to predict it is not known
    rows = [
        {"cell_id": "AB1", "seen_at": "2026-01-01T10:00Z", "load": 0.5, "is_down": True},
        {"cell_id": "ab1", "seen_at": "2026-01-01T10:00Z", "is_down": False},
        {"cell_id": "AB2", "seen_at": "", "is_down": False},
    ]
    judge = edge_validator(usecase.contract).judge
    assert [judge(row).reasons for row in rows] == [(), ("cell_id.pattern",), ("seen_at.type",)]


def test_schemas_that_cannot_be_drafted(tmp_path: Path) -> None:
    source = tmp_path / "cell.schema.json"
    source.write_text("[1, 2]")
    with pytest.raises(SourceError, match="no JSON Schema"):
        infer_usecase("cells", source=source, into=tmp_path / "p")
    source.write_text(json.dumps({**SCHEMA, "minProperties": 2}))
    with pytest.raises(ContractError, match="minProperties"):
        infer_usecase("cells", source=source, into=tmp_path / "p")
    source.write_text(json.dumps(SCHEMA))
    with pytest.raises(InputError, match="no column looks like"):
        infer_usecase("cells", source=source, into=tmp_path / "p")
    assert not (tmp_path / "p").exists()
    infer_usecase("cells", source=source, into=tmp_path / "p", predicts=False)
    assert load_usecase("cells", plugin_dir=tmp_path / "p").task is None


def test_text_that_is_nearly_new_in_each_row_is_no_category(write: Write) -> None:
    names = ["Ann", "Bo", "Cy", "Di", "Ed", "Fay", "Gus", "Ann"]
    rows = [f"{name},{('gold', 'tin')[place % 2]}" for place, name in enumerate(names)]
    found = {guess.source: guess.kind for guess in guesses(first_rows(write("\n".join(["name,plan", *rows]) + "\n")))}
    assert found == {"name": "text", "plan": "category"}


def test_a_text_of_one_value_is_no_category(write: Write) -> None:
    rows = [f"Rome {place % 2},Italy" for place in range(8)]
    found = {
        guess.source: guess.kind for guess in guesses(first_rows(write("\n".join(["site,country", *rows]) + "\n")))
    }
    assert found == {"site": "category", "country": "text"}


def test_numbers_that_reach_a_person_are_text(write: Callable[[str], Path]) -> None:
    rows = [f"4917{n:08d},{n}" for n in range(40)]
    found = {
        guess.source: guess.kind for guess in guesses(first_rows(write("\n".join(["msisdn,calls", *rows]) + "\n")))
    }
    assert found == {"msisdn": "text", "calls": "integer"}


def test_what_is_inferred_takes_its_source(write: Write, tmp_path: Path) -> None:
    source = write(SOURCE)
    made = infer_usecase("mine", source=source, into=tmp_path / "p")
    assert "predicts 'Churn' (classification), guessed by its name; --label COLUMN names another" in made.notes
    named = infer_usecase("named", source=source, into=tmp_path / "p", label="Churn")
    assert "predicts 'Churn' (classification)" in named.notes
    assert "a row is identified by 'Customer No'" in made.notes
    assert "'When' states no time zone; UTC is assumed" in made.notes
    usecase = load_usecase("mine", plugin_dir=tmp_path / "p")
    assert usecase.entity_key == ("customer_no",)
    assert usecase.task is not None
    assert usecase.task.label == "churn"
    assert verdicts(source, usecase.contract) == (3, 3, {})
    (judged,) = edge_validator(usecase.contract, optional=("churn",)).rows(
        b'{"Customer No": "a9", "Zip": "1", "Plan": "gold", "When": "2026-01-01 10:00", "Since": "2026-01-01",'
        b' "Class": "x", "json": 1, "Active": true, "Card": "1"}'
    )
    assert judged.reasons == ()


def verdicts(source: Path, contract: type[Contract]) -> tuple[int, int, dict[str, int]]:
    with open_engine("duckdb", threads=1) as engine, judged_file(source, contract, engine=engine) as judged:
        return judged.read, judged.accepted, dict(judged.reasons())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "file", "label", "key", "task"),
    [
        ("ibm_telco", "WA_Fn-UseC_-Telco-Customer-Churn.csv", None, ("customer_id",), "Classification"),
        ("cell2cell", "holdout_batch_1.csv", "MonthlyRevenue", ("customer_id",), "Regression"),
        ("housing", "kc_house_data.csv", None, ("id", "date"), "Regression"),
    ],
)
def test_real_tables(
    folder: str, file: str, label: str | None, key: tuple[str, ...], task: str, data_dir: Path, tmp_path: Path
) -> None:
    source = data_dir / folder / file
    infer_usecase("mine", source=source, into=tmp_path, label=label)
    usecase = load_usecase("mine", plugin_dir=tmp_path)
    assert usecase.entity_key == key
    assert type(usecase.task).__name__ == task
    read, accepted, _ = verdicts(source, usecase.contract)
    assert accepted >= 0.999 * read


def test_what_cannot_be_inferred(write: Write, tmp_path: Path) -> None:
    into = tmp_path / "p"
    with pytest.raises(InputError, match="no column looks like") as caught:
        infer_usecase("mine", source=write("a,b\n1,2\n"), into=into)
    assert caught.value.allowed == ("a", "b")
    assert "--label" in caught.value.next_step
    for label, key, says in (
        ("gone", (), "has no column 'gone'"),
        ("Plan", (), "neither a yes/no nor a number"),
        (None, ("Months",), "has nulls"),
        (None, ("Churn",), "both the label and the key"),
    ):
        with pytest.raises(InputError, match=says):
            infer_usecase("mine", source=write(SOURCE), into=into, label=label, key=key)
    with pytest.raises(SourceError, match="no rows"):
        infer_usecase("mine", source=write("a,churn\n"), into=into)
    with pytest.raises(SourceError, match="does not exist"):
        infer_usecase("mine", source=tmp_path / "gone.csv", into=into)
    assert not into.exists()

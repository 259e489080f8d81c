"""What is wrong with sources is told by the command that meets it, with no model in sight."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.console.intake import Intake
from trunkline.contracts.records import ALERTS, ATTEMPTS
from trunkline.errors import BatchBusyError
from trunkline.monitor import SourceKey
from trunkline.monitor.sources.judging import LEAST_GAPS
from trunkline.run import Workspace
from trunkline.run.attempts import Attempts, note_declared, recent_attempts
from trunkline.run.resolving import Handed
from trunkline.run.source_health import check_sources
from trunkline.run.taking import Outcome
from trunkline.settings import Settings

HEADER = "customerID,tenure,MonthlyCharges\n"
BUDGET = "[ingest]\nreject_budget = 0.05\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file_of(folder: Path, day: int, *, good: int = 0, bad: int = 0) -> Path:
    rows = [f"C{day}-{number},3,29.5\n" for number in range(good)]
    rows += [f"D{day}-{number},-1,29.5\n" for number in range(bad)]
    path = folder / f"customers-2026-03-{day:02d}.csv"
    path.write_text(HEADER + "".join(rows))
    return path


def rows_of(folder: Path, table: str) -> list[dict[str, object]]:
    settings = Settings.model_validate({"workspace": folder / "workspace"})
    with Workspace(settings) as workspace:
        if not workspace.lake.exists(table):
            return []
        found: list[dict[str, object]] = workspace.lake.arrow(table).to_pylist()
        return found


def raised(folder: Path) -> list[str]:
    return [str(row["title"]).rpartition(" is ")[2] for row in rows_of(folder, ALERTS)]


@pytest.mark.slow
def test_a_file_stopped_over_its_budget_raises_an_alert(here: Path) -> None:
    (here / "trunkline.toml").write_text(BUDGET)
    assert main(["ingest", "churn", str(file_of(here, 1, good=20))]) == 0
    assert raised(here) == []
    bad = str(file_of(here, 2, good=2, bad=18))
    assert main(["ingest", "churn", bad]) == 2
    assert main(["ingest", "churn", bad]) == 2
    (alert,) = rows_of(here, ALERTS)
    assert alert["title"] == "churn.subscribers: source customers-*.csv is over its reject budget"
    assert "18 of 20 rows (90.00%) broke the contract, the budget is 5.00%" in str(alert["text"])
    attempts = sorted(rows_of(here, ATTEMPTS), key=lambda row: str(row["attempted_at"]))
    assert [row["outcome"] for row in attempts] == ["taken", "refused", "refused"]
    assert [row["error"] for row in attempts] == [None, "RowsRefusedError", "RowsRefusedError"]
    assert main(["ingest", "churn", str(file_of(here, 3, good=20))]) == 0
    assert main(["ingest", "churn", bad]) == 2
    assert raised(here) == ["over its reject budget"] * 2, "after a good file it is another one"


@pytest.mark.slow
def test_the_alert_is_told_without_a_champion(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = str(file_of(here, 1, good=1, bad=19))
    assert main(["ingest", "churn", bad]) == 0
    (here / "trunkline.toml").write_text(BUDGET)
    capsys.readouterr()
    assert main(["monitor", "churn", "--json"]) == 2
    assert "no champion" in json.loads(capsys.readouterr().out)["error"]["what"]
    assert raised(here) == ["over its reject budget"]


@pytest.mark.slow
def test_many_files_are_noted_in_one_commit(here: Path) -> None:
    for day in range(1, 31):
        file_of(here, day, good=2)
    (here / "other.csv").write_text("what,is,this\n1,2,3\n")
    assert main(["ingest", "churn", str(here)]) == 2
    found = {Path(str(row["source"])).name: row for row in rows_of(here, ATTEMPTS)}
    assert {name: (row["taken"], row["read"], row["refused"]) for name, row in found.items()} == {
        "customers-*.csv": (30, 60, 0),
        "other.csv": (0, 0, 1),
    }
    settings = Settings.model_validate({"workspace": here / "workspace"})
    with Workspace(settings) as workspace:
        assert workspace.lake.version(ATTEMPTS) == 0
    assert raised(here) == ["failing"]


def test_pure_ingestion_and_a_watched_folder_raise_alerts(here: Path) -> None:
    inbox = here / "inbox"
    inbox.mkdir()
    (inbox / "odd.csv").write_text("what,is,this\n1,2,3\n")
    watch = ["watch", "sensors", str(inbox), "--settle", "0", "--once"]
    assert main(watch) == 2
    assert raised(here) == ["failing"]
    assert main(watch) == 2
    assert raised(here) == ["failing"], "what lasts is one alert"


DECLARED = """
[sources.{name}]
kind = "sql"
usecase = "churn"
url = "sqlite:///{path}"
table = "customers"
mode = "incremental"
cursor = "changed"
schedule = {{ every = "PT1H" }}
"""


def database(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE customers (customerID TEXT, tenure INT, MonthlyCharges REAL, changed INT)")
        connection.executemany(
            "INSERT INTO customers VALUES (?, 3, 29.5, ?)", [(f"C{number}", number) for number in range(rows)]
        )


def checked(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    capsys.readouterr()
    assert main(["sources", "check", "--json"]) == 0
    return {
        one["source"]: [problem["problem"] for problem in one["problems"]]
        for one in json.loads(capsys.readouterr().out)["sources"]
    }


def test_quiet_silent_and_failing_sources(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database(here / "calls.db", 5)
    (here / "trunkline.toml").write_text(
        DECLARED.format(name="calls", path=here / "calls.db") + DECLARED.format(name="never", path=here / "no" / "x.db")
    )
    assert checked(capsys) == {"calls": [], "never": []}
    settings = Settings.model_validate({"workspace": here / "workspace"})
    with Workspace(settings, clock=lambda: datetime.now(UTC) + timedelta(hours=2)) as later:
        found = check_sources(later, later.usecase("churn"), run_id="later")
        assert {one.key.source: [finding.problem for finding in one.findings] for one in found} == {
            "calls": ["late"],
            "never": ["late"],
        }
    for number in range(LEAST_GAPS):
        with closing(sqlite3.connect(here / "calls.db")) as connection, connection:
            connection.execute("INSERT INTO customers VALUES (?, 3, 29.5, ?)", (f"N{number}", 100 + number))
        assert main(["ingest", "churn", "calls"]) == 0
    assert checked(capsys)["calls"] == []
    assert main(["ingest", "churn", "calls"]) == 0
    assert checked(capsys)["calls"] == ["empty"], "it answers, so it is not late"
    assert main(["ingest", "churn", "never"]) != 0
    assert main(["ingest", "churn", "never", "calls"]) != 0
    assert checked(capsys)["never"] == ["failed"]
    with Workspace(settings) as workspace:
        intake = Intake({"churn": workspace.usecase("churn")}, workspace.settings.sources, None)
        states = intake.sources(workspace.lake, now=datetime.now(UTC))
    assert {state.health.key.source: state.errors for state in states} == {"calls": 0, "never": 2}


def test_a_declared_folder_that_is_gone_is_failing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inbox = here / "inbox"
    (here / "trunkline.toml").write_text(
        f'[sources.inbox]\nkind = "folder"\nusecase = "sensors"\npath = "{inbox}"\nschedule = {{ every = "PT1H" }}\n'
    )
    assert main(["watch", "sensors", "inbox", "--once"]) == 2
    assert raised(here) == ["failing"]
    capsys.readouterr()
    assert main(["sources", "check", "--json"]) == 0
    ((told,),) = (source["problems"] for source in json.loads(capsys.readouterr().out)["sources"])
    assert (
        told["text"]
        == f"the last attempt ended with InputError: the folder of the source 'inbox' is not there: {inbox}"
    )
    inbox.mkdir()
    assert main(["watch", "sensors", "inbox", "--once"]) == 0
    assert checked(capsys) == {"inbox": ["empty"]}, "it is there, and has never had a file"


def test_a_source_of_no_use_case_is_refused_by_the_check(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "trunkline.toml").write_text(
        DECLARED.format(name="calls", path=here / "calls.db").replace('"churn"', '"chrn"')
    )
    assert main(["sources", "check", "--json"]) == 2
    assert "the source 'calls' names the use case 'chrn'" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_a_source_that_somebody_else_takes_in_has_not_answered(here: Path) -> None:
    with Workspace(Settings.model_validate({"workspace": here / "workspace"})) as workspace:
        attempts = Attempts(workspace.usecase("churn"), declared={}, run_id="r")
        busy = BatchBusyError("somebody else takes it in", holder="another process")
        attempts.add(Outcome(Handed("calls", None, None, "customers"), None, busy))
        for name in ("calls", "quiet"):
            attempts.answered(name, dataset="customers")
        attempts.note(workspace.lake, clock=workspace.clock)
        (noted,) = recent_attempts(workspace.lake, since=datetime(2000, 1, 1, tzinfo=UTC))
    assert (noted.source, noted.outcome, noted.read) == ("quiet", "taken", 0)


def test_the_first_note_of_a_source_is_read_beside_the_newest_of_all(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.run.attempts.MOST_ATTEMPTS", 2)
    with Workspace(Settings.model_validate({"workspace": here / "workspace"})) as workspace:
        note_declared(workspace, [SourceKey("churn", "", "silent")])
        for _ in range(4):
            attempts = Attempts(workspace.usecase("churn"), declared={}, run_id="r")
            attempts.answered("busy", dataset=None)
            attempts.note(workspace.lake, clock=workspace.clock)
        found = recent_attempts(workspace.lake, since=datetime(2000, 1, 1, tzinfo=UTC), usecase="churn")
    assert [one.source for one in found] == ["busy", "busy", "busy", "silent"]

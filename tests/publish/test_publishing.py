"""What reaches a database: what is new, once, masked; what is owed when a sink is down; what is told of faults."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")

from pydantic import SecretStr

from trunkline.checks import arrow_schema
from trunkline.contracts.records import REIDENTIFICATIONS, Reidentification
from trunkline.errors import UnavailableError
from trunkline.publish import Delivery, Outbox, Publisher, Rows
from trunkline.publish.sql import SqlSink
from trunkline.run import Workspace, outbox_of
from trunkline.settings import load_settings
from trunkline.settings.publish import PublishSettings, SinkSettings

Trunkline = Callable[..., tuple[int, str, str]]
Put = Callable[[str, Sequence[str]], None]

LINES = ("msisdn,email,plan,seconds", "0170 1,a@x.org,gold,10", "0170 2,,,20")
CALLS = ("call_id,caller,minutes,called_on", "c1,0170 1,3,2026-01-01", "c2,0170 2,4,2026-01-02")


def there(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def published(trunkline: Trunkline, path: Path, *more: object) -> dict[str, tuple[str, int]]:
    """Publish to a file; gives the state of each publication and the rows that went."""
    code, out, err = trunkline("publish", "lines", "--to", f"sqlite:///{path}", "--json", *more)
    assert code == 0, err
    return {one["publication"]: (one["state"], one["rows"]) for one in json.loads(out)["publish"]["published"]}


@pytest.mark.slow
def test_what_is_new_is_delivered_once(folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    put("lines", LINES)
    put("calls", CALLS)
    assert published(trunkline, out) == {
        "subscribers": ("delivered", 2),
        "call_log": ("delivered", 2),
        "callers": ("delivered", 2),
        "calls": ("delivered", 2),
    }
    assert {state for state, _ in published(trunkline, out).values()} == {"unchanged"}
    put("calls", (CALLS[0], "c2,0170 2,4,2026-01-02", "c3,0170 1,9,2026-01-02"))
    put("lines", (LINES[0], "0170 2,,,99", "0170 3,,red,1"))
    with Workspace(load_settings()) as workspace:
        for table in ("lines.calls", "lines.lines"):
            workspace.lake.compact(table)  # rows that only move to other files are not new
    found = published(trunkline, out)
    assert found["call_log"] == ("delivered", 1)
    assert found["subscribers"] == ("delivered", 2)
    assert found["calls"] == ("delivered", 2)  # the day that changed, whole
    assert there(out, "SELECT call_id, minutes, called_on FROM call_log ORDER BY 1") == [
        ("c1", 3, "2026-01-01"),
        ("c2", 4, "2026-01-02"),
        ("c3", 9, "2026-01-02"),
    ]
    assert there(out, "SELECT seconds FROM subscribers ORDER BY 1") == [(1,), (10,), (99,)]
    assert there(out, "SELECT minutes FROM callers ORDER BY 1") == [(4,), (12,)]
    assert there(out, "SELECT call_id FROM calls_20260101") == [("c1",)]
    assert there(out, "SELECT call_id FROM latest_calls ORDER BY 1") == [("c2",), ("c3",)]


@pytest.mark.slow
def test_a_lake_that_changes_while_nobody_publishes_is_caught_up_with(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path
) -> None:
    out = tmp_path / "out.db"
    put("calls", CALLS)
    put("lines", LINES)
    published(trunkline, out)
    for number in range(4):
        put("calls", (CALLS[0], f"d{number},0170 1,1,2026-01-03"))
    assert published(trunkline, out)["call_log"] == ("delivered", 4)
    assert there(out, "SELECT count(*), count(DISTINCT call_id) FROM call_log") == [(6, 6)]


def test_nobody_is_named_and_masked_columns_say_nothing(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path
) -> None:
    out = tmp_path / "out.db"
    put("lines", LINES)
    published(trunkline, out)
    rows = there(out, "SELECT msisdn, email, plan FROM subscribers ORDER BY seconds")
    assert [plan for *_, plan in rows] == ["***", None]
    assert all(msisdn.startswith("hmac:") for msisdn, *_ in rows)
    held = out.read_bytes()
    for original in (b"+49170", b"0170", b"a@x.org", b"gold"):
        assert original not in held


@pytest.mark.slow
def test_a_purpose_opens_the_vault_and_is_written_down(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("lines", LINES)
    put("calls", CALLS)
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__CRM__URL", f"sqlite:///{tmp_path}/crm.db")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__CRM__REIDENTIFY", "campaign 7 of May")
    code, _, err = trunkline("publish", "lines", "--json")
    assert code == 0, err
    rows = there(tmp_path / "crm.db", "SELECT msisdn, email FROM subscribers ORDER BY seconds")
    assert [msisdn for msisdn, _ in rows] == ["+491701", "+491702"]
    assert rows[0][1].startswith("hmac:")  # kept as a pseudonym alone: nobody has the original
    assert there(tmp_path / "crm.db", "SELECT caller FROM callers ORDER BY 1") == [("+491701",), ("+491702",)]
    with Workspace(load_settings()) as workspace:
        asked = workspace.lake.arrow(REIDENTIFICATIONS, schema=arrow_schema(Reidentification)).to_pylist()
    assert {(one["who"], one["why"]) for one in asked} == {("trunkline publish", "campaign 7 of May")}


@pytest.mark.slow
def test_what_a_sink_of_the_command_line_is_owed_is_delivered_by_what_is_advised(
    trunkline: Trunkline, put: Put, tmp_path: Path
) -> None:
    put("calls", CALLS)
    folder = tmp_path / "out"
    (tmp_path / "out").write_text("no folder\n")
    command = ("publish", "lines", "--to", f"file://{folder}")
    code, out, err = trunkline(*command)
    assert code == 1
    assert out.count(": owed") == out.count("publish  ") == 4
    assert out.count("nothing is lost: the next delivery brings what is owed") == 1, "once for the sink"
    assert err.strip().endswith(
        "4 published tables have not reached the sink; the same command, --to included, delivers what is owed"
    )
    code, _, err = trunkline("publish", "lines")
    assert code == 2, "a plain publish knows no such sink, and nobody was told to try it"
    folder.unlink()
    code, out, err = trunkline(*command)
    assert (code, out.count(": delivered"), err.count("warning")) == (0, 3, 0)


@pytest.mark.slow
def test_a_sink_that_is_down_is_owed_and_stops_nobody(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("lines", LINES)
    put("calls", CALLS)
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__NEAR__URL", f"sqlite:///{tmp_path}/near.db")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__FAR__URL", "mysql://nobody:n0t-shown@127.0.0.1:9/none")
    code, out, err = trunkline("publish", "lines", "--json")
    assert code == 1
    assert "4 published tables have not reached the sink; `trunkline publish lines` delivers what is owed" in err
    assert "n0t-shown" not in out + err
    states = {(one["sink"], one["state"]) for one in json.loads(out)["publish"]["published"]}
    assert states == {("near", "delivered"), ("far", "owed")}
    with Workspace(load_settings()) as workspace:
        assert {(one.sink, one.attempts) for one in outbox_of(workspace).owed()} == {("far", 1)}
    put("calls", (CALLS[0], "c3,0170 1,9,2026-01-02"))
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__FAR__URL", f"sqlite:///{tmp_path}/far.db")
    code, _, err = trunkline("publish", "lines", "--json")
    assert code == 0, err
    for name in ("call_log", "callers", "subscribers", "latest_calls"):
        query = f"SELECT * FROM {name} ORDER BY 1"
        assert there(tmp_path / "far.db", query) == there(tmp_path / "near.db", query) != []
    with Workspace(load_settings()) as workspace:
        assert outbox_of(workspace).owed() == ()


@pytest.mark.slow
def test_a_dropped_table_is_filled_again(folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    put("calls", CALLS)
    put("lines", LINES)
    published(trunkline, out)
    with closing(sqlite3.connect(out)) as connection:
        connection.execute("DROP TABLE call_log")
        connection.execute("DROP TABLE subscribers")
        connection.commit()
    found = published(trunkline, out)
    assert (found["call_log"], found["subscribers"]) == (("delivered", 2), ("delivered", 2))
    assert found["callers"] == ("unchanged", 0)


@pytest.mark.slow
def test_a_table_of_somebody_else_is_not_touched(folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    put("calls", CALLS)
    put("lines", LINES)
    with closing(sqlite3.connect(out)) as connection:
        connection.execute("CREATE TABLE callers (mine TEXT)")
        connection.commit()
    code, text, _ = trunkline("publish", "lines", "--to", f"sqlite:///{out}", "--json")
    assert code == 1
    told = {one["publication"]: one for one in json.loads(text)["publish"]["published"]}
    assert told["callers"]["state"] == "refused"
    assert "was not made by Trunkline" in told["callers"]["error"]
    assert "prefix" in told["callers"]["next_step"]
    assert told["call_log"]["state"] == "delivered"
    assert there(out, "SELECT sql FROM sqlite_master WHERE name = 'callers'") == [("CREATE TABLE callers (mine TEXT)",)]


@pytest.mark.slow
def test_a_prefix_keeps_two_apart(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.db"
    put("calls", CALLS)
    monkeypatch.setenv("TRUNKLINE_PUBLISH__PREFIX", "dwh_")
    found = published(trunkline, out)
    assert found["subscribers"] == ("absent", 0)
    names = {name for (name,) in there(out, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    assert {"dwh_call_log", "dwh_latest_calls", "dwh_trunkline_tables", "dwh_trunkline_version"} <= names
    assert all(name.startswith(("dwh_", "sqlite_")) for name in names)


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path
) -> None:
    out = tmp_path / "out.db"
    put("calls", CALLS)
    code, text, err = trunkline("publish", "lines", "--to", f"sqlite:///{out}", "--dry-run", "--json")
    assert code == 0, err
    told = {one["publication"]: one for one in json.loads(text)["published"]}
    assert told["call_log"]["rows"] == 2
    assert told["subscribers"]["state"] == "absent"
    assert "CREATE TABLE" in told["call_log"]["would"][0]
    assert not out.exists()
    published(trunkline, out)
    code, text, _ = trunkline("publish", "lines", "--to", f"sqlite:///{out}", "--dry-run", "--json")
    assert {one["state"] for one in json.loads(text)["published"]} == {"unchanged", "absent"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("lines",), "no sink takes the tables", id="no sink"),
        pytest.param(("nothing",), "nothing", id="no use case"),
        pytest.param(("lines", "--to", "nowhere"), "names no scheme", id="no scheme"),
        pytest.param(("lines", "--to", "ftp://host/x"), "nothing can be published to 'ftp'", id="unknown scheme"),
        pytest.param(("lines", "--only", "callers"), "--only needs --to", id="only without to"),
        pytest.param(("lines", "--sink", "mars"), "no sink", id="unknown sink"),
        pytest.param(("lines", "--to", "sqlite:////no/such/folder/x.db"), "folder", id="no folder"),
    ],
)
def test_bad_input_is_told(folder: Path, trunkline: Trunkline, put: Put, arguments: tuple[str, ...], said: str) -> None:
    put("calls", CALLS)
    code, out, err = trunkline("publish", *arguments)
    assert code == 2
    assert said in out + err
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "arguments", "said"),
    [
        pytest.param({"TABLES": "call_lg"}, (), "call_lg", id="a table that nobody publishes"),
        pytest.param({"TABLES": '["call_lg"]'}, (), "'call_lg'", id="the same as JSON"),
        pytest.param({"TABLES": '["call_log"'}, (), "JSON", id="no list"),
        pytest.param({"USECASES": "lins"}, (), "no use case 'lins'", id="no use case"),
        pytest.param({"USECASES": "towers", "TABLES": "call_log"}, (), "call_log", id="a table of another use case"),
        pytest.param({"USECASES": "towers"}, ("--sink", "here"), "does not take", id="a sink of another use case"),
    ],
)
def test_a_name_that_is_none_is_told(
    folder: Path,
    trunkline: Trunkline,
    put: Put,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    put("calls", CALLS)
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__NEAR__URL", f"sqlite:///{tmp_path}/near.db")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__HERE__URL", f"sqlite:///{tmp_path}/here.db")
    for name, value in variables.items():
        monkeypatch.setenv(f"TRUNKLINE_PUBLISH__SINKS__HERE__{name}", value)
    code, out, err = trunkline("publish", "lines", *arguments)
    assert code == 2, out + err
    assert said in out + err
    assert "Traceback" not in err


def test_lists_of_the_environment_are_json_or_commas(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("calls", CALLS)
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__HERE__URL", f"sqlite:///{tmp_path}/here.db")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__HERE__TABLES", '["call_log", "callers"]')
    monkeypatch.setenv("TRUNKLINE_PUBLISH__ONLY", '["here"]')
    code, out, err = trunkline("publish", "lines", "--json")
    assert code == 0, err
    assert {one["publication"] for one in json.loads(out)["publish"]["published"]} == {"call_log", "callers"}


@pytest.mark.slow
@pytest.mark.parametrize("crash_at", ["publish.sql.half", "publish.sql.after_commit"])
def test_a_process_that_dies_half_way_is_gone_on_with(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path, crash_at: str
) -> None:
    out = tmp_path / "out.db"
    put("lines", LINES)
    put("calls", CALLS)
    published(trunkline, out)
    put("calls", (CALLS[0], "c3,0170 1,9,2026-01-02", "c4,0170 2,1,2026-01-04"))
    command = [sys.executable, "-m", "trunkline", "publish", "lines", "--to", f"sqlite:///{out}"]
    died = subprocess.run(command, env={**os.environ, "TRUNKLINE_CRASH_AT": crash_at}, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    published(trunkline, out)
    assert there(out, "SELECT call_id FROM call_log ORDER BY 1") == [("c1",), ("c2",), ("c3",), ("c4",)]
    assert there(out, "SELECT minutes FROM callers ORDER BY 1") == [(5,), (12,)]
    assert there(out, "SELECT call_id FROM latest_calls") == [("c4",)]
    assert {state for state, _ in published(trunkline, out).values()} == {"unchanged"}


@pytest.mark.slow
def test_doctor_says_which_sinks_can_be_reached(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("calls", CALLS)
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__NEAR__URL", f"sqlite:///{tmp_path}/near.db")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__FAR__URL", "mysql://nobody:n0t-shown@127.0.0.1:9/none")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__FAR__TABLES", "call_log, callers")
    trunkline("publish", "lines")
    code, out, err = trunkline("doctor", "--json")
    assert code == 1
    found = {one["part"]: one for one in json.loads(out)["findings"]}
    assert found["sink near"]["state"] == "ok"
    assert found["sink far"]["state"] == "broken"
    assert "2 tables are owed" in found["sink far"]["detail"]
    assert "n0t-shown" not in out + err


@pytest.mark.slow
def test_a_database_that_came_back_from_a_backup_is_filled_again(
    folder: Path, trunkline: Trunkline, put: Put, tmp_path: Path
) -> None:
    out, backup = tmp_path / "out.db", tmp_path / "backup.db"
    put("calls", CALLS)
    published(trunkline, out)
    shutil.copy(out, backup)
    put("calls", (CALLS[0], "c3,0170 1,9,2026-01-02"))
    published(trunkline, out)
    shutil.copy(backup, out)
    put("calls", (CALLS[0], "c4,0170 1,9,2026-01-02"))
    assert published(trunkline, out)["call_log"] == ("delivered", 4)
    assert there(out, "SELECT call_id FROM call_log ORDER BY 1") == [("c1",), ("c2",), ("c3",), ("c4",)]


def test_a_sink_that_stutters_is_tried_again(folder: Path, put: Put, tmp_path: Path, workspace: Workspace) -> None:
    put("calls", CALLS)
    tries: list[str] = []

    class Stuttering(SqlSink):
        def deliver(self, delivery: Delivery, rows: Rows) -> int:
            tries.append(delivery.target.name)
            if len(tries) in (1, 2):
                raise UnavailableError("not now", where="here", next_step="wait")
            return super().deliver(delivery, rows)

    url = f"sqlite:///{tmp_path}/out.db"
    settings = PublishSettings(
        sinks={"here": SinkSettings(url=SecretStr(url), tables=("call_log",))}, attempts=3, wait_s=0.01
    )
    publisher = Publisher(
        lake=workspace.lake,
        outbox=Outbox(tmp_path / "outbox.db"),
        settings=settings,
        clock=workspace.clock,
        opening=lambda *_, **__: Stuttering(url),
    )
    (found,) = publisher.publish(workspace.usecase("lines"), run_id="r")
    assert (found.state, found.rows, len(tries)) == ("delivered", 2, 3)
    assert there(tmp_path / "out.db", "SELECT count(*) FROM call_log") == [(2,)]


@pytest.mark.slow
def test_a_watch_of_a_folder_publishes_beside(
    folder: Path, trunkline: Trunkline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__HERE__URL", f"sqlite:///{tmp_path / 'out.db'}")
    monkeypatch.setenv("TRUNKLINE_PUBLISH__EVERY_S", "1")
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()
    (arrivals / "calls.csv").write_text("\n".join(CALLS) + "\n")
    code, _, err = trunkline("watch", "lines", arrivals, "--dataset", "calls", "--settle", 0, "--once")
    assert code == 0, err
    assert there(tmp_path / "out.db", "SELECT call_id FROM call_log ORDER BY 1") == [("c1",), ("c2",)]

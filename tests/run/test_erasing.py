"""A person who is erased is in no file of the workspace any more, and everybody else still is."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.brokers import EmbeddedLog, Message
from trunkline.run import Workspace, utc_now
from trunkline.run.erasing import CRASH_POINTS
from trunkline.settings import BrokerSettings, load_settings
from trunkline.settings.drills import VARIABLE

Trunkline = Callable[..., tuple[int, str, str]]

PERSON, NEIGHBOUR = "L0-000007", "L0-000008"


def traces(root: Path, wanted: str) -> set[str]:
    """Names of the files that hold a text: as bytes, in a column of a Parquet file, or packed."""
    found = set()
    for path in root.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".zst":
            content = pa.input_stream(path, compression="zstd").read()
        if path.suffix == ".parquet" and not path.name.endswith(".checkpoint.parquet"):
            content += json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
        if wanted.encode() in content:
            found.add(str(path.relative_to(root)))
    return found


def line(person: str, number: int) -> bytes:
    return json.dumps(
        {
            "prediction_id": f"p-{person}-{number}",
            "request_id": f"p-{person}",
            "usecase": "leavers",
            "entity_key": person,
            "model_version": "1",
            "alias": "champion",
            "channel": "api",
            "score": 0.5,
            "decision": True,
            "features": "{}",
            "predicted_at": 1_767_225_600_000_000,
        }
    ).encode()


@pytest.fixture
def log(workspace: Path) -> EmbeddedLog:
    """A durable log with answers about both, in one message and in messages of their own."""
    opened = EmbeddedLog(workspace / "log" / "log.db", settings=BrokerSettings(), clock=utc_now)
    both = b"\n".join([line(PERSON, 0), line(NEIGHBOUR, 0)])
    alone = [Message(line(PERSON, number)) for number in range(1, 30)]
    opened.publish({"platform.predictions": [Message(both), *alone, Message(line(NEIGHBOUR, 1))]})
    return opened


@pytest.mark.slow
def test_a_key_of_one_part_is_not_taken_apart(trunkline: Trunkline, workspace: Path) -> None:
    another = f"{PERSON}|2"
    opened = EmbeddedLog(workspace / "log" / "log.db", settings=BrokerSettings(), clock=utc_now)
    opened.publish({"platform.predictions": [Message(line(another, 0)), Message(line(PERSON, 0))]})
    opened.close()
    code, out, err = trunkline("maintain", "--erase", f"subscriber={PERSON}", "--workspace", workspace, "--json")
    assert code == 0, err
    assert json.loads(out)["log_records"] == 1
    reopened = EmbeddedLog(workspace / "log" / "log.db", settings=BrokerSettings(), clock=utc_now)
    kept = b"".join(record.value for record in reopened.read("platform.predictions", after=0, limit=100))
    reopened.close()
    assert another.encode() in kept


@pytest.mark.slow
def test_nothing_of_a_person_is_left(
    trunkline: Trunkline, workspace: Path, source: Path, log: EmbeddedLog, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    header = source.read_text().splitlines()[0]
    columns = [name.strip('"') for name in header.split(",")]
    rows = [
        {"subscriber_id": person, "tenure_months": tenure}
        for person, tenure in ((PERSON, "-1"), (NEIGHBOUR, "-1"), ("L9", "5"))
    ]
    cells = "\n".join(",".join(row.get(name, "") for name in columns) for row in rows)
    bad.write_text(f"{','.join(columns)}\n{cells}\n{PERSON},too,few\n")
    assert trunkline("ingest", "leavers", bad, "--workspace", workspace)[0] == 0
    with Workspace(load_settings(workspace=workspace)) as opened:
        opened.lake.compact("leavers.subscribers")
    log.close()
    assert traces(workspace, PERSON)

    code, out, err = trunkline("maintain", "--erase", f"subscriber={PERSON}", "--workspace", workspace, "--json")
    assert code == 0, err
    assert PERSON not in out + err
    found = json.loads(out)
    assert found["tables"]["leavers.subscribers"] == 1
    assert found["tables"]["platform.quarantine"] == 2
    assert found["tables"]["platform.predictions"] >= 1
    assert found["log_records"] == 30
    assert found["models"] == ["leavers/1"]
    assert found["files"] == sorted([str(source), str(bad)])
    assert found["raw_files"] == 2
    assert traces(workspace, PERSON) == set()
    assert traces(workspace, NEIGHBOUR)

    with Workspace(load_settings(workspace=workspace)) as opened:
        assert opened.lake.arrow("leavers.subscribers").num_rows == 500
        states = opened.lake.arrow("platform.quarantine").column("row").to_pylist()
        assert sum(NEIGHBOUR in row for row in states) == 1
    reopened = EmbeddedLog(workspace / "log" / "log.db", settings=BrokerSettings(), clock=utc_now)
    kept = [record.value for record in reopened.read("platform.predictions", after=0, limit=100)]
    reopened.close()
    assert [value for value in kept if value] == [line(NEIGHBOUR, 0), line(NEIGHBOUR, 1)]

    code, out, _ = trunkline("maintain", "--erase", f"subscriber={PERSON}", "--workspace", workspace, "--json")
    assert (code, json.loads(out)["tables"], json.loads(out)["log_records"]) == (0, {}, 0)


@pytest.mark.slow
@pytest.mark.parametrize("others", [0, 2], ids=["alone", "in a group"])
def test_a_known_file_that_is_handed_in_again_brings_nothing_back(
    trunkline: Trunkline, workspace: Path, source: Path, tmp_path: Path, others: int
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "s.csv").write_bytes(source.read_bytes())
    header, *lines = source.read_text().splitlines()
    for number in range(others):
        (inbox / f"{number}.csv").write_text(f"{header}\n{lines[100 + number]}\n")
    erased = ("maintain", "--erase", f"subscriber={PERSON}", "--workspace", workspace, "--json")
    assert json.loads(trunkline(*erased)[1])["raw_files"] == 1
    code, out, err = trunkline("ingest", "leavers", inbox, "--workspace", workspace, "--json")
    assert (code, json.loads(out)["ingest"]["known_files"]) == (0, 1), err
    assert traces(workspace, PERSON) == set()
    kept = list((workspace / "landing" / "leavers.subscribers" / "files").glob("*.csv.zst"))
    assert len(kept) == others, "files that are new have their copies"
    found = json.loads(trunkline(*erased)[1])
    assert (found["raw_files"], found["tables"]) == (0, {})


@pytest.mark.slow
@pytest.mark.parametrize("crash_at", CRASH_POINTS)
def test_killed_at_any_point_the_same_call_completes_it(workspace: Path, log: EmbeddedLog, crash_at: str) -> None:
    log.close()
    command = [sys.executable, "-m", "trunkline", "maintain", "--erase", f"subscriber={PERSON}", "--workspace"]
    killed, whole = (
        subprocess.run([*command, str(workspace)], env={**os.environ, VARIABLE: at}, capture_output=True, check=False)
        for at in (crash_at, "")
    )
    assert (killed.returncode, whole.returncode) == (-signal.SIGKILL, 0)
    assert traces(workspace, PERSON) == set()
    assert traces(workspace, NEIGHBOUR)


@pytest.mark.parametrize("said", ["subscriber", "subscriber=", "=x", "shoe_size=43"])
def test_what_cannot_be_erased_is_told(trunkline: Trunkline, trained: Path, said: str) -> None:
    code, _, err = trunkline("maintain", "--erase", said, "--workspace", trained)
    assert code == 2
    assert "--erase" in err


def test_topics_of_a_broker_of_its_own_are_told_as_out_of_reach(
    trunkline: Trunkline, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_BROKER__URL", "kafka://127.0.0.1:9")  # an erasure asks nothing of it
    code, out, err = trunkline("maintain", "--erase", f"subscriber={PERSON}", "--workspace", workspace, "--json")
    assert code == 0, err
    assert json.loads(out)["brokers"] == ["broker.url"]


CALLS = """
from typing import ClassVar
from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import UseCase


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))
    call_id: Text = field()
    caller: Text = field(pii="phone")
    seconds: Integer = field(minimum=0)


usecase = UseCase(
    name="calls", title="Calls", question="?", datasets={"calls": Call}, main="calls", task=None, metric="roc_auc"
)
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for files, with a use case ``calls`` whose key says nothing of the caller."""
    plugin = tmp_path / "plugins" / "calls" / "__init__.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(CALLS)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "plugins"))
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def erased(trunkline: Trunkline, workspace: Path) -> dict[str, Any]:
    code, out, err = trunkline("maintain", "--erase", f"phone={PERSON}", "--workspace", workspace, "--json")
    assert code == 0, err
    assert traces(workspace, PERSON) == set()
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_raw_copy_goes_although_the_row_of_the_person_was_left_out_as_a_duplicate(
    trunkline: Trunkline, calls: Path, tmp_path: Path
) -> None:
    held, other = calls / "held.csv", calls / "other.csv"
    held.write_text(f"call_id,caller,seconds\nc1,{PERSON},1\nc1,{NEIGHBOUR},2\n")
    other.write_text(f"call_id,caller,seconds\nc2,{NEIGHBOUR},1\nc3,{PERSON}0,1\n")
    workspace = tmp_path / "w"
    for path in (held, other):
        assert trunkline("ingest", "calls", path, "--workspace", workspace)[0] == 0
    code, out, _ = trunkline("maintain", "--erase", f"phone={PERSON}", "--workspace", workspace, "--json")
    found = json.loads(out)
    assert (code, found["tables"], found["raw_files"]) == (0, {}, 1)
    assert found["files"] == found["sources"] == [str(held)]
    with Workspace(load_settings(workspace=workspace)) as opened:
        landing = opened.landing("calls.calls")
        kept = [piece.origin for piece in landing.pieces("files") if piece.path is not None]
        assert kept == [str(other)], "a longer identifier is another one"
        assert opened.lake.arrow("calls.calls").num_rows == 3


@pytest.mark.slow
def test_a_piece_beyond_its_budget_goes_and_does_not_come_back(
    trunkline: Trunkline, calls: Path, tmp_path: Path
) -> None:
    with sqlite3.connect(calls / "crm.db") as database:
        database.execute("create table calls (call_id text, caller text, seconds integer)")
        database.executemany("insert into calls values (?, ?, ?)", [("c1", PERSON, 1), ("c2", NEIGHBOUR, -1)])
    workspace, url = tmp_path / "w", f"sqlite:///{calls / 'crm.db'}?table=calls"
    command = ("ingest", "calls", url, "--workspace", workspace)
    assert trunkline(*command, "--reject-budget", "0.1")[0] == 2
    assert traces(workspace, PERSON)
    found = erased(trunkline, workspace)
    assert (found["raw_files"], found["files"]) == (1, [])
    (source,) = found["sources"]
    assert source.startswith("url-")
    assert "crm.db" in source
    with sqlite3.connect(calls / "crm.db") as database:
        database.execute("delete from calls where caller = ?", (PERSON,))
        database.execute("update calls set seconds = 1")
    code, _, err = trunkline(*command)
    assert code == 0, err
    assert traces(workspace, PERSON) == set()
    assert traces(workspace, NEIGHBOUR)


@pytest.mark.slow
def test_a_row_that_comes_while_the_log_is_emptied_goes_as_well(
    trunkline: Trunkline, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (calls / "a.csv").write_text(f"call_id,caller,seconds\nc1,{NEIGHBOUR},1\n")
    (calls / "late.csv").write_text(f"call_id,caller,seconds\nc2,{PERSON},-1\nc3,{PERSON},3\nc4,{NEIGHBOUR},-1\n")
    workspace = tmp_path / "w"
    assert trunkline("ingest", "calls", calls / "a.csv", "--workspace", workspace)[0] == 0

    def emptied(*arguments: object, **named: object) -> None:
        assert trunkline("ingest", "calls", calls / "late.csv", "--workspace", workspace)[0] == 0

    monkeypatch.setattr("trunkline.run.erasing.person.erase_log", emptied)
    found = erased(trunkline, workspace)
    assert found["tables"] == {"calls.calls": 1, "platform.quarantine": 1}
    assert (found["raw_files"], found["sources"]) == (1, [str(calls / "late.csv")])
    assert traces(workspace, NEIGHBOUR)


@pytest.mark.slow
def test_a_file_that_was_archived_is_told_by_its_old_path(trunkline: Trunkline, calls: Path, tmp_path: Path) -> None:
    (calls / "a.csv").write_text(f"call_id,caller,seconds\nc1,{PERSON},1\nc2,{NEIGHBOUR},2\n")
    archive = ("--archive", tmp_path / "archive", "--settle", "0")
    code, _, err = trunkline("watch", "calls", calls, *archive, "--once", "--workspace", tmp_path / "w")
    assert code == 0, err
    assert not (calls / "a.csv").exists()
    found = erased(trunkline, tmp_path / "w")
    assert (found["files"], found["sources"]) == ([], [str(calls / "a.csv")])


@pytest.mark.slow
def test_a_relative_path_is_told_from_wherever_one_looks(
    trunkline: Trunkline, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (calls / "a.csv").write_text(f"call_id,caller,seconds\nc1,{PERSON},1\nc2,{NEIGHBOUR},2\n")
    for name in ("here", "there"):
        assert trunkline("ingest", "calls", "a.csv", "--workspace", tmp_path / name)[0] == 0
    assert erased(trunkline, tmp_path / "here")["files"] == [str(calls / "a.csv")]
    monkeypatch.chdir(tmp_path)
    (source,) = erased(trunkline, tmp_path / "there")["sources"]
    assert source.endswith("a.csv")

"""A key is changed: people have new pseudonyms that join as before, nothing is lost, and nothing is done by halves."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.brokers import EmbeddedLog, Message
from trunkline.contracts.records import QUARANTINE, VAULT
from trunkline.lake import held
from trunkline.lake.vault import Vaulted, reidentify, retire
from trunkline.run import Workspace
from trunkline.run.rotating import CRASH_POINTS
from trunkline.settings import load_settings
from trunkline.settings.drills import VARIABLE

Trunkline = Callable[..., tuple[int, str, str]]

ANN, BEN = "+491701234567", "+491717654321"


@pytest.fixture
def kept(trunkline: Trunkline, lines: Path) -> Path:
    """A workspace with two customers, their calls, a refused row, and a record of the log that nobody has taken."""
    plugin = lines.parent / "plugins" / "lines" / "__init__.py"
    plugin.write_text(plugin.read_text().replace('Pii("email", keep="pseudonym")', 'Pii("email")'))
    (lines / "lines.csv").write_text(f"msisdn,email,seconds\n{ANN},a@x.org,1\n{BEN},,2\n{BEN}1,,x\n")
    (lines / "calls.csv").write_text("call_id,caller,minutes\nc1,0170 1234567,3\nc2,491717654321,4\n")
    for dataset in ("lines", "calls"):
        code, _, err = trunkline("ingest", "lines", lines / f"{dataset}.csv", "--dataset", dataset)
        assert code == 0, err
    with Workspace(load_settings()) as workspace:
        pseudonyms = workspace.keys.pseudonyms(workspace.usecase("lines").contract)
        assert pseudonyms is not None
        log = logged(workspace)
        log.publish(
            {
                "predictions": [
                    Message(json.dumps({"usecase": "lines", "entity_key": pseudonyms.value("msisdn", ANN)}).encode())
                ]
            }
        )
        log.close()
    return lines.parent / "w"


def logged(workspace: Workspace) -> EmbeddedLog:
    return EmbeddedLog(
        workspace.root / "log" / "log.db",
        settings=workspace.settings.broker,
        clock=workspace.clock,
        keys=workspace.keys,
        seals=True,
    )


def names(workspace: Workspace) -> dict[str, list[str]]:
    """What each place calls the two, in a fixed order."""
    workspace.keys.refresh()
    log = logged(workspace)
    records = [json.loads(record.value)["entity_key"] for record in log.read("predictions", after=0, limit=9)]
    log.close()
    lines = sorted(workspace.lake.arrow("lines.lines").to_pylist(), key=lambda row: row["seconds"])
    calls = sorted(workspace.lake.arrow("lines.calls").to_pylist(), key=lambda row: row["minutes"])
    return {"lines": [row["msisdn"] for row in lines], "calls": [row["caller"] for row in calls], "log": records}


def check(workspace: Workspace, before: dict[str, list[str]]) -> None:
    """Everybody has another name, the same everywhere, by which they are found and can be told."""
    after = names(workspace)
    pseudonyms = workspace.keys.pseudonyms(workspace.usecase("lines").contract)
    assert pseudonyms is not None
    both = [pseudonyms.value("msisdn", person) for person in (ANN, BEN)]
    assert after == {"lines": both, "calls": both, "log": both[:1]}
    assert set(both).isdisjoint(before["lines"])
    assert sorted(workspace.lake.arrow(VAULT).column("pseudonym").to_pylist()) == sorted(both)
    found = reidentify(workspace.lake, both, kind="msisdn", who="test", why="rotation")
    assert found == dict(zip(both, (ANN, BEN), strict=True))


@pytest.mark.slow
def test_a_new_key_of_a_type_gives_everybody_a_new_name(trunkline: Trunkline, kept: Path, workspace: Workspace) -> None:
    before = names(workspace)
    code, out, err = trunkline("maintain", "--rotate-keys", "msisdn", "--json")
    assert code == 0, err
    assert json.loads(out)["rows"] == {"lines.lines": 2, "lines.calls": 2}
    assert json.loads(out)["log_records"] == 1
    check(workspace, before)
    once = names(workspace)
    assert trunkline("maintain", "--rotate-keys", "msisdn")[0] == 0
    check(workspace, once)


PAIRS = """
from typing import ClassVar
from trunkline.contracts import Contract, Integer, Pii, Table, Text, field
from trunkline.spec import UseCase


class Pair(Contract):
    table: ClassVar[Table] = Table(key=("caller", "callee"))
    caller: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    callee: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    calls: Integer = field(minimum=0)


usecase = UseCase(
    name="pairs", title="Pairs", question="?", datasets={"pairs": Pair}, main="pairs", task=None, metric="roc_auc"
)
"""


@pytest.mark.slow
def test_both_of_a_pair_are_renamed_and_erased(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    plugin = lines.parent / "plugins" / "pairs" / "__init__.py"
    plugin.parent.mkdir()
    plugin.write_text(PAIRS)
    other = "+491729999999"
    (lines / "pairs.csv").write_text(f"caller,callee,calls\n{ANN},{BEN},1\n{BEN},{other},2\n")
    assert trunkline("ingest", "pairs", lines / "pairs.csv")[0] == 0
    contract = workspace.usecase("pairs").contract
    never = "+491700000001"  # asked for, and never taken in: keeps the old name

    def key(*people: str) -> str:
        pseudonyms = workspace.keys.pseudonyms(contract)
        assert pseudonyms is not None
        return pseudonyms.key(("caller", "callee"), "|".join(people))

    asked = [(ANN, BEN), (BEN, other), (never, BEN)]
    kept_name = key(never, never).split("|")[0]
    workspace.lake.append(
        "platform.predictions",
        pa.table(
            {
                "prediction_id": [f"p{place}" for place in range(3)],
                "usecase": ["pairs"] * 3,
                "entity_key": [key(*people) for people in asked],
            }
        ),
    )
    log = logged(workspace)
    records = [{"usecase": "pairs", "entity_key": key(*people)} for people in asked]
    log.publish({"platform.predictions": [Message(json.dumps(record).encode()) for record in records]})
    assert trunkline("maintain", "--rotate-keys", "msisdn")[0] == 0
    workspace.keys.refresh()
    renamed = [*(key(*people) for people in asked[:2]), f"{kept_name}|{key(BEN, BEN).split('|')[0]}"]
    rows = sorted(workspace.lake.arrow("platform.predictions").to_pylist(), key=lambda row: str(row["prediction_id"]))
    assert [row["entity_key"] for row in rows] == renamed
    found = log.read("platform.predictions", after=0, limit=9)
    assert [json.loads(record.value)["entity_key"] for record in found] == renamed

    code, out, err = trunkline("maintain", "--erase", f"msisdn={BEN}", "--json")
    assert code == 0, err
    assert json.loads(out)["tables"]["platform.predictions"] == 3
    assert json.loads(out)["log_records"] == 3
    assert workspace.lake.arrow("platform.predictions").num_rows == 0
    log.close()


@pytest.mark.slow
@pytest.mark.parametrize("other", ['country="43"', "", 'form="as_is"', 'form="lower"'])
def test_fields_of_one_type_that_differ_in_country_or_form_keep_their_originals(
    trunkline: Trunkline, lines: Path, workspace: Workspace, other: str
) -> None:
    plugin = lines.parent / "plugins" / "pairs" / "__init__.py"
    plugin.parent.mkdir()
    callee = f'callee: Text = field(pii=Pii("msisdn", keep="encrypted", {other}))'
    plugin.write_text(PAIRS.replace('callee: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))', callee))
    (lines / "pairs.csv").write_text("caller,callee,calls\n0170 1,0170 1,1\n0170 1,+491701,2\n0170 2,0049 1701,3\n")
    assert trunkline("ingest", "pairs", lines / "pairs.csv")[0] == 0

    def told() -> list[tuple[str, str]]:
        rows = sorted(workspace.lake.arrow("pairs.pairs").to_pylist(), key=lambda row: int(row["calls"]))
        names = {row[column] for row in rows for column in ("caller", "callee")}
        found = reidentify(workspace.lake, names, kind="msisdn", who="test", why="rotation")
        assert set(found) == names
        return [(found[row["caller"]], found[row["callee"]]) for row in rows]

    before = told()
    assert len({callee for _, callee in before}) >= 2
    for _ in range(2):
        code, _, err = trunkline("maintain", "--rotate-keys", "msisdn")
        assert code == 0, err
        workspace.keys.refresh()
        assert told() == before
        key = workspace.keys.pseudonym_key("msisdn").key_id
        assert all(key in name for name in workspace.lake.arrow("pairs.pairs").column("callee").to_pylist())
    pseudonyms = workspace.keys.pseudonyms(workspace.usecase("pairs").contract)
    assert pseudonyms is not None
    newest = sorted(workspace.lake.arrow("pairs.pairs").to_pylist(), key=lambda row: int(row["calls"]))
    assert newest[0]["callee"] == pseudonyms.value("callee", "0170 1"), "who comes again has the name of before"


@pytest.mark.slow
def test_rows_that_come_back_under_an_older_key_are_renamed_by_the_next_rotation(
    trunkline: Trunkline, kept: Path, lines: Path, workspace: Workspace
) -> None:
    before = names(workspace)
    pq.write_table(workspace.lake.arrow("lines.calls"), lines / "archived.parquet")
    for _ in range(2):
        assert trunkline("maintain", "--rotate-keys", "msisdn")[0] == 0
    workspace.lake.erase("lines.calls", "minutes", [3, 4])
    code, _, err = trunkline("ingest", "lines", lines / "archived.parquet", "--dataset", "calls")
    assert code == 0, err
    assert names(workspace)["calls"] == before["calls"]
    code, _, err = trunkline("maintain", "--rotate-keys", "msisdn")
    assert code == 0, err
    check(workspace, before)

    stranger = pa.table({"call_id": ["c9"], "caller": [f"{before['calls'][0][:-3]}AAA"], "minutes": [9]})
    pq.write_table(stranger, lines / "stranger.parquet")
    assert trunkline("ingest", "lines", lines / "stranger.parquet", "--dataset", "calls")[0] == 0
    code, out, err = trunkline("maintain", "--rotate-keys", "msisdn")
    assert code == 0, err
    assert "lines.calls: 1 rows keep an older pseudonym, of which the vault has no original" in out
    again = sorted(str(name) for name in workspace.lake.arrow("lines.calls").column("caller").to_pylist())
    assert sum(name.endswith("AAA") for name in again) == 1
    code, out, err = trunkline("maintain", "--rotate-keys", "msisdn", "--json")
    assert code == 0, err
    assert json.loads(out)["strangers"] == {"lines.calls": 1}, "they block no later rotation either"

    workspace.lake.erase(VAULT, "kind", ["msisdn"])
    keys = workspace.keys.facts()
    code, _, err = trunkline("maintain", "--rotate-keys", "msisdn")
    assert (code, "the vault has no original of any pseudonym in lines.calls" in err) == (2, True)
    assert workspace.keys.facts() == keys


@pytest.mark.slow
def test_an_erasure_finds_who_was_named_under_an_older_key(
    trunkline: Trunkline, kept: Path, workspace: Workspace
) -> None:
    assert trunkline("maintain", "--rotate-keys", "msisdn")[0] == 0
    code, out, err = trunkline("maintain", "--erase", f"msisdn={ANN}", "--json")
    assert code == 0, err
    assert json.loads(out)["tables"] == {"lines.lines": 1, "lines.calls": 1, VAULT: 1}


@pytest.mark.slow
@pytest.mark.parametrize("at", CRASH_POINTS)
def test_a_rotation_that_was_killed_is_completed_by_the_same_call(
    trunkline: Trunkline, kept: Path, workspace: Workspace, at: str
) -> None:
    before = names(workspace)
    killed = subprocess.run(
        [sys.executable, "-m", "trunkline", "maintain", "--rotate-keys", "msisdn"],
        env={**os.environ, VARIABLE: at},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    code, _, err = trunkline("maintain", "--rotate-keys", "msisdn")
    assert code == 0, err
    check(workspace, before)


def test_without_originals_a_rotation_is_refused_before_anything_changes(
    trunkline: Trunkline, lines: Path, workspace: Workspace
) -> None:
    (lines / "lines.csv").write_text(f"msisdn,email,seconds\n{ANN},a@x.org,1\n")
    assert trunkline("ingest", "lines", lines / "lines.csv")[0] == 0
    keys = workspace.keys.facts()
    code, _, err = trunkline("maintain", "--rotate-keys", "email")
    assert (code, "no originals are kept of lines.lines.email" in err) == (2, True)
    code, _, err = trunkline("maintain", "--rotate-keys", "shoes")
    assert (code, "encryption, email, msisdn" in err) == (2, True)
    workspace.lake.erase(VAULT, "kind", ["msisdn"])
    code, _, err = trunkline("maintain", "--rotate-keys", "msisdn")
    assert (code, "no original of any pseudonym in lines.lines" in err) == (2, True)
    workspace.keys.refresh()
    assert workspace.keys.facts() == keys


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["flusher.lock", "run-lines.lock"])
def test_pseudonyms_are_not_changed_while_somebody_makes_them(
    trunkline: Trunkline, kept: Path, workspace: Workspace, lock: str
) -> None:
    keys = workspace.keys.facts()
    with held(kept / "locks" / lock, what="test"):
        code, _, err = trunkline("maintain", "--rotate-keys", "msisdn")
    assert code == 2, err
    workspace.keys.refresh()
    assert workspace.keys.facts() == keys


@pytest.mark.slow
def test_pseudonyms_are_not_changed_beside_a_replay(
    trunkline: Trunkline, kept: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, codes = names(workspace), []
    batch = workspace.lake.arrow(QUARANTINE).column("batch_id")[0].as_py()
    committed = Vaulted.commit

    def commit(vaulted: Vaulted) -> None:
        committed(vaulted)
        codes.append(trunkline("maintain", "--rotate-keys", "msisdn"))

    with monkeypatch.context() as patched:
        patched.setattr(Vaulted, "commit", commit)
        assert trunkline("quarantine", "replay", batch, "--set", "seconds=9")[0] == 0
    ((code, _, err),) = codes
    assert (code, "pseudonyms of the workspace" in err) == (2, True)
    assert trunkline("maintain", "--rotate-keys", "msisdn")[0] == 0
    after = names(workspace)["lines"]
    assert set(after).isdisjoint(before["lines"])
    found = reidentify(workspace.lake, after, kind="msisdn", who="test", why="rotation")
    assert sorted(found.values()) == sorted([ANN, BEN, f"{BEN}1"])


@pytest.mark.slow
def test_nobody_makes_pseudonyms_while_they_are_changed(
    trunkline: Trunkline, kept: Path, lines: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.lake.keys.ring._LOCK_S", 0.1)
    batch = workspace.lake.arrow(QUARANTINE).column("batch_id")[0].as_py()
    (lines / "more.csv").write_text("msisdn,seconds\n0172 1,9\n")
    entries = workspace.lake.arrow(VAULT).num_rows
    with workspace.keys.renaming():
        for command in (
            ("quarantine", "replay", batch, "--set", "seconds=9"),
            ("ingest", "lines", lines / "more.csv"),
            ("serve", "--port", "0"),
        ):
            code, _, err = trunkline(*command)
            assert (code, "pseudonyms of the workspace" in err) == (2, True), err
    assert workspace.lake.arrow(VAULT).num_rows == entries
    assert trunkline("quarantine", "replay", batch, "--set", "seconds=9")[0] == 0
    assert trunkline("ingest", "lines", lines / "more.csv")[0] == 0
    assert workspace.lake.arrow("lines.lines").num_rows == 4


@pytest.mark.slow
def test_an_original_that_was_not_renamed_stays_in_the_vault(kept: Path, workspace: Workspace) -> None:
    lake = workspace.lake
    (old,) = [key.key_id for key in workspace.keys.pseudonym_keys("msisdn")]
    ann, ben = sorted(lake.arrow(VAULT).column("pseudonym").to_pylist())
    renamed = lake.engine.table(pa.table({"old": [ann], "new": ["hmac:00000000:" + "A" * 43]}))
    retire(lake, renamed)
    assert lake.arrow(VAULT).column("pseudonym").to_pylist() == [ben]
    assert old in ben


@pytest.mark.slow
def test_a_new_encryption_key_leaves_everything_readable(
    trunkline: Trunkline, kept: Path, lines: Path, workspace: Workspace
) -> None:
    master = workspace.keys.folder / "master.key"
    before, old = names(workspace), master.read_text()
    first = workspace.keys.data_key().key_id
    code, out, err = trunkline("maintain", "--rotate-keys", "encryption", "--json")
    assert code == 0, err
    assert master.read_text() != old
    workspace.keys.refresh()
    assert workspace.keys.data_key().key_id == json.loads(out)["key_id"] != first
    assert names(workspace) == before
    batch = workspace.lake.arrow(QUARANTINE).column("batch_id")[0].as_py()
    assert trunkline("quarantine", "replay", batch, "--set", "seconds=9")[0] == 0
    master.write_text(old)
    code, _, err = trunkline("quarantine", "show", batch)
    assert (code, "is not there" in err) == (2, True)


@pytest.mark.slow
def test_a_master_key_from_the_settings_is_changed_with_its_predecessor(
    trunkline: Trunkline, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))
    monkeypatch.setenv("TRUNKLINE_PRIVACY__MASTER_KEY", one)
    (lines / "lines.csv").write_text(f"msisdn,seconds\n{ANN},1\n{BEN},x\n")
    assert trunkline("ingest", "lines", lines / "lines.csv")[0] == 0
    assert not (lines.parent / "w" / "keys" / "master.key").exists()
    code, _, err = trunkline("maintain", "--rotate-keys", "encryption")
    assert (code, "privacy.previous_master_key" in err) == (2, True)
    monkeypatch.setenv("TRUNKLINE_PRIVACY__MASTER_KEY", other)
    assert trunkline("maintain", "--rotate-keys", "encryption")[0] == 2
    monkeypatch.setenv("TRUNKLINE_PRIVACY__PREVIOUS_MASTER_KEY", one)
    assert trunkline("maintain", "--rotate-keys", "encryption")[0] == 0
    monkeypatch.delenv("TRUNKLINE_PRIVACY__PREVIOUS_MASTER_KEY")
    batch = json.loads(trunkline("quarantine", "list", "--json")[1])["batches"][0]["batch_id"]
    assert trunkline("quarantine", "show", batch)[0] == 0
    monkeypatch.setenv("TRUNKLINE_PRIVACY__MASTER_KEY", "c2hvcnQ=")
    code, _, err = trunkline("quarantine", "show", batch)
    assert (code, "32 bytes as base64" in err, "c2hvcnQ" in err) == (2, True, False)

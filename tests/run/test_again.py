"""A batch taken in again from its raw copy when its contract or mapping has changed."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from trunkline.cli import main
from trunkline.run.again import CRASH_POINTS
from trunkline.settings.drills import VARIABLE

CONTRACT = dedent(
    """
    from typing import ClassVar
    from trunkline.contracts import Contract, Integer, Table, Text, field
    from trunkline.spec import UseCase

    class Call(Contract):
        table: ClassVar[Table] = Table({table})
        call_id: Text = field()
        seconds: Integer = field(minimum={minimum})

    usecase = UseCase(name="calls", title="Calls", question="?", datasets={{"calls": Call}}, main="calls", task=None,
                      metric="roc_auc")
    """
)

Run = Callable[..., dict[str, object]]


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the contract of a use case of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", "usecases")

    def write(*, minimum: int, table: str = 'key=("call_id",)') -> None:
        folder = tmp_path / "usecases" / "calls"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(CONTRACT.format(minimum=minimum, table=table))

    return write


def run(tmp_path: Path, *arguments: str, crash_at: str = "") -> tuple[int, dict[str, object]]:
    """Run a command in a process of its own, so that the contract is read anew."""
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", *arguments, "--json", "--workspace", "w"],
        cwd=tmp_path,
        env={**os.environ, VARIABLE: crash_at},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


def table(tmp_path: Path) -> Counter[str]:
    script = (
        "from trunkline.run import Workspace; from trunkline.settings import load_settings; import json;"
        "w = Workspace(load_settings(workspace='w'));"
        "print(json.dumps(w.lake.arrow('calls.calls').column('call_id').to_pylist()))"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    return Counter(json.loads(out.stdout))


def batch_of(document: dict[str, object]) -> str:
    receipts = document["receipts"]
    assert isinstance(receipts, list)
    return str(receipts[0]["batch_id"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crash_at", "said"),
    [
        *((crash_at, 'key=("call_id",)') for crash_at in ("", *CRASH_POINTS, "ingest.after_rows")),
        ("", 'key=("call_id",), unique="table", keep="first"'),
    ],
)
def test_a_batch_is_taken_in_again_under_a_new_contract(
    tmp_path: Path, contract: Callable[..., None], crash_at: str, said: str
) -> None:
    contract(minimum=10, table=said)
    (tmp_path / "calls.csv").write_text("call_id,seconds\n" + "".join(f"c{n},{n}\n" for n in range(20)))
    assert run(tmp_path, "ingest", "calls", "calls.csv")[0] == 0
    (tmp_path / "calls.csv").unlink()
    batch = first_batch(tmp_path)
    if not crash_at:
        assert run(tmp_path, "ingest", "calls", "--again", batch)[1]["unchanged"] is True
    contract(minimum=5, table=said)
    if crash_at:
        assert run(tmp_path, "ingest", "calls", "--again", batch, crash_at=crash_at)[0] == -signal.SIGKILL
    code, done = run(tmp_path, "ingest", "calls", "--again", batch)
    assert code == 0
    assert table(tmp_path) == Counter(f"c{n}" for n in range(5, 20))
    code, listed = run(tmp_path, "quarantine", "list")
    assert (code, listed["rows"]) == (0, 5)
    if not crash_at:
        # and back, which is yet another batch: the first one's rows are gone
        contract(minimum=10, table=said)
        receipt = done["receipt"]
        assert isinstance(receipt, dict)
        code, done = run(tmp_path, "ingest", "calls", "--again", str(receipt["batch_id"]))
        assert (code, done["removed"]) == (0, 15)
        assert table(tmp_path) == Counter(f"c{n}" for n in range(10, 20))


def first_batch(tmp_path: Path) -> str:
    code, listed = run(tmp_path, "quarantine", "list")
    assert code == 0
    batches = listed["batches"]
    assert isinstance(batches, list)
    return str(batches[0]["batch_id"])


@pytest.mark.slow
def test_an_unknown_batch_and_one_without_a_raw_copy(
    tmp_path: Path, contract: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contract(minimum=1)
    monkeypatch.setenv("TRUNKLINE_LANDING__KEEP_FILES", "false")
    (tmp_path / "calls.csv").write_text("call_id,seconds\na,1\nb,0\n")
    assert main(["ingest", "calls", "calls.csv", "--workspace", "w"]) == 0
    batch = first_batch(tmp_path)
    contract(minimum=0)
    for given, said in (("0" * 24, "see `trunkline lineage`"), (batch, "does not hold that content")):
        code, document = run(tmp_path, "ingest", "calls", "--again", given)
        assert (code, said in str(document["error"])) == (2, True)
    assert main(["ingest", "calls", "calls.csv", "--again", batch, "--workspace", "w"]) == 2
    assert "takes no source" in capsys.readouterr().err


@pytest.mark.slow
def test_a_batch_with_replayed_rows_stays(tmp_path: Path, contract: Callable[..., None]) -> None:
    contract(minimum=10)
    (tmp_path / "calls.csv").write_text("call_id,seconds\na,10\nb,1\n")
    assert run(tmp_path, "ingest", "calls", "calls.csv")[0] == 0
    batch = first_batch(tmp_path)
    assert run(tmp_path, "quarantine", "replay", batch, "--set", "seconds=30")[1]["accepted"] == 1
    assert run(tmp_path, "ingest", "calls", "--again", batch)[1]["unchanged"] is True
    contract(minimum=0)
    code, document = run(tmp_path, "ingest", "calls", "--again", batch)
    assert (code, "handed in again from the quarantine" in str(document["error"])) == (2, True)
    assert table(tmp_path) == Counter("ab")


@pytest.mark.slow
def test_a_batch_that_was_replaced_is_refused_by_the_name_of_the_newest(
    tmp_path: Path, contract: Callable[..., None]
) -> None:
    contract(minimum=10)
    (tmp_path / "calls.csv").write_text("call_id,seconds\n" + "".join(f"c{n},{n}\n" for n in range(20)))
    assert run(tmp_path, "ingest", "calls", "calls.csv")[0] == 0
    first = first_batch(tmp_path)
    contract(minimum=30)  # no row is good: the batch takes no place
    assert run(tmp_path, "ingest", "calls", "--again", first)[0] == 2
    contract(minimum=8)
    assert run(tmp_path, "ingest", "calls", "--again", first, crash_at="again.after_ingest")[0] == -signal.SIGKILL
    contract(minimum=5)
    code, document = run(tmp_path, "ingest", "calls", "--again", first)
    assert (code, "was replaced by" in str(document)) == (2, True), document
    (second,) = re.findall(r"--again (\w+)", str(document))
    code, document = run(tmp_path, "ingest", "calls", "--again", second)
    assert code == 0
    assert table(tmp_path) == Counter(f"c{n}" for n in range(5, 20))
    receipt = document["receipt"]
    assert isinstance(receipt, dict)
    for minimum in (10, 8, 5, 3):
        contract(minimum=minimum)
        code, document = run(tmp_path, "ingest", "calls", "--again", first)
        assert (code, f"--again {receipt['batch_id']}" in str(document)) == (2, True)
    assert table(tmp_path) == Counter(f"c{n}" for n in range(5, 20))
    code, document = run(tmp_path, "lineage")
    assert f"replaced by {receipt['batch_id']}" in str(document)
    code, document = run(tmp_path, "lineage", first)
    assert receipt["batch_id"] in str(document)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["another value", "cut"])
def test_a_raw_copy_that_is_not_what_landed_changes_nothing(
    tmp_path: Path, contract: Callable[..., None], damage: str
) -> None:
    import pyarrow as pa

    contract(minimum=10)
    (tmp_path / "calls.csv").write_text("call_id,seconds\n" + "".join(f"c{n},{n}\n" for n in range(20)))
    assert run(tmp_path, "ingest", "calls", "calls.csv")[0] == 0
    (copy,) = (tmp_path / "w" / "landing").rglob("*.csv.zst")
    if damage == "cut":
        copy.write_bytes(copy.read_bytes()[:-8])
    else:
        text = pa.input_stream(copy, compression="zstd").read().replace(b"c15,15", b"c15,16")
        with pa.CompressedOutputStream(str(copy), "zstd") as out:
            out.write(text)
    contract(minimum=5)
    code, said = run(tmp_path, "ingest", "calls", "--again", first_batch(tmp_path))
    assert code == 2
    error = said["error"]
    assert isinstance(error, dict)
    assert (error["kind"], "is not what landed" in error["what"]) == ("TamperedError", True)
    assert table(tmp_path) == Counter(f"c{n}" for n in range(10, 20))


@pytest.mark.slow
@pytest.mark.parametrize("said", ['key=("call_id",)', "key=()"])
def test_a_file_is_not_taken_in_twice_because_its_contract_changed(
    tmp_path: Path, contract: Callable[..., None], said: str
) -> None:
    contract(minimum=10, table=said)
    for name, first in (("calls", 0), ("more", 30)):
        rows = "".join(f"c{n},{n}\n" for n in range(first, first + 20))
        (tmp_path / f"{name}.csv").write_text(f"call_id,seconds\n{rows}")
    done = run(tmp_path, "ingest", "calls", "calls.csv")[1]
    contract(minimum=5, table=said)
    code, told = run(tmp_path, "ingest", "calls", "calls.csv", "more.csv")  # the other file is taken in
    assert code == 2
    assert isinstance(told["refused"], list)
    (refused,) = told["refused"]
    assert "holds the rows of this file already, under another contract" in refused["what"]
    assert f"`trunkline ingest calls --again {batch_of(done)}`" in refused["next"]
    assert table(tmp_path) == Counter(f"c{n}" for n in (*range(10, 20), *range(30, 50)))
    assert run(tmp_path, "ingest", "calls", "--again", batch_of(done))[0] == 0
    for _ in range(2):  # and now it is known, as the batch that took the other's place
        code, told = run(tmp_path, "ingest", "calls", "calls.csv")
        assert isinstance(told["ingest"], dict)
        assert (code, told["ingest"]["known_files"]) == (0, 1)
        assert table(tmp_path) == Counter(f"c{n}" for n in (*range(5, 20), *range(30, 50)))


@pytest.mark.slow
def test_a_file_of_which_nothing_was_good_is_taken_in_by_a_new_contract(
    tmp_path: Path, contract: Callable[..., None]
) -> None:
    contract(minimum=100)
    (tmp_path / "calls.csv").write_text("call_id,seconds\n" + "".join(f"c{n},{n}\n" for n in range(20)))
    assert run(tmp_path, "ingest", "calls", "calls.csv")[0] == 2
    contract(minimum=5)
    assert run(tmp_path, "ingest", "calls", "calls.csv")[0] == 0
    assert table(tmp_path) == Counter(f"c{n}" for n in range(5, 20))

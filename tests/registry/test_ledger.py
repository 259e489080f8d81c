"""The ledger finds every change of its lines, forgives only what nobody was told of, and takes turns."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.errors import TamperedError
from trunkline.registry import Ledger

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make(path: Path, *, entries: int) -> Ledger:
    ledger = Ledger(path, clock=lambda: NOW)
    for number in range(entries):
        ledger.append("registered", usecase="churn", version=str(number + 1), evidence={"value": number / 3})
    return ledger


def test_entries_come_back_in_order_and_name_the_one_before(tmp_path: Path) -> None:
    entries = make(tmp_path / "ledger.jsonl", entries=3).entries()
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [entry.prev for entry in entries] == ["0" * 64, entries[0].sha256, entries[1].sha256]
    assert entries[1].evidence == {"value": 1 / 3}


def test_no_ledger_is_an_empty_ledger(tmp_path: Path) -> None:
    assert make(tmp_path / "ledger.jsonl", entries=0).verify() == 0
    assert not (tmp_path / "ledger.jsonl").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found_and_its_line_named(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "ledger.jsonl"
    if not path.exists():
        make(path, entries=3)
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 2))  # but for the last newline, see the torn line below
    mask = data.draw(st.integers(1, 255))
    changed = content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]
    line = content[:position].count(b"\n") + 1
    other = tmp_path / "changed.jsonl"
    other.write_bytes(changed)
    with pytest.raises(TamperedError, match=f"line {line} ") as caught:
        Ledger(other, clock=lambda: NOW).verify()
    assert caught.value.exit_code == 2
    assert str(other) in caught.value.where
    assert caught.value.next_step


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: lines[1:], id="first-line-removed"),
        pytest.param(lambda lines: [lines[0], lines[2]], id="middle-line-removed"),
        pytest.param(lambda lines: [lines[1], lines[0], lines[2]], id="lines-swapped"),
        pytest.param(lambda lines: [*lines, lines[2]], id="last-line-repeated"),
        pytest.param(lambda lines: [lines[0], b"\n", *lines[1:]], id="empty-line-inserted"),
        pytest.param(lambda lines: [lines[0].replace(b'":', b'" :'), *lines[1:]], id="spaces-inserted"),
    ],
)
def test_moved_lines_are_found(tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = make(path, entries=3)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(TamperedError):
        ledger.verify()
    before = path.read_bytes()
    with pytest.raises(TamperedError):
        ledger.append("registered", usecase="churn", version="9")
    assert path.read_bytes() == before


def test_a_rewritten_entry_with_a_right_hash_of_its_own_breaks_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = make(path, entries=2)
    first, second = path.read_text().splitlines()
    forged = ledger.entries()[0].model_copy(update={"approver": "mallory"})
    document = {**json.loads(first), "approver": "mallory", "sha256": forged.hashed()}
    path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n" + second + "\n")
    with pytest.raises(TamperedError, match="line 2"):
        ledger.verify()


@pytest.mark.parametrize("kept", [1, 0.5, 0.99])
def test_a_torn_last_line_is_left_out_and_overwritten(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = make(path, entries=3)
    lines = path.read_bytes().splitlines(keepends=True)
    torn = lines[2][:-1] if kept == 1 else lines[2][: int(len(lines[2]) * kept)]
    path.write_bytes(lines[0] + lines[1] + torn)
    assert ledger.verify() == 2
    ledger.append("registered", usecase="churn", version="3", evidence={"value": 2 / 3})
    assert path.read_bytes() == b"".join(lines)


def test_numbers_json_cannot_say_become_null(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger.jsonl", entries=0)
    ledger.append("refused", usecase="churn", version="", evidence={"a": float("nan"), "b": [float("inf"), 1.5]})
    assert ledger.entries()[0].evidence == {"a": None, "b": [None, 1.5]}


@pytest.mark.slow
def test_processes_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from trunkline.registry.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))\n"
        "for n in range(20): ledger.append('registered', usecase=sys.argv[2], version=str(n))\n"
    )
    path = tmp_path / "ledger.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), f"u{n}"]) for n in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    entries = Ledger(path, clock=lambda: NOW).entries()
    assert len(entries) == 60
    for number in range(3):
        assert [e.version for e in entries if e.usecase == f"u{number}"] == [str(n) for n in range(20)]

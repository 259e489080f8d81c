"""What is special about the log in one SQLite file."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.brokers import EmbeddedLog, Message
from trunkline.errors import InputError, TamperedError, UnavailableError
from trunkline.settings.brokers import BrokerSettings

DRILL = Path(__file__).parents[2] / "drills" / "log_durability.py"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def open_log(log_path: Path) -> Callable[..., EmbeddedLog]:
    def make(**settings: object) -> EmbeddedLog:
        return EmbeddedLog(log_path, settings=BrokerSettings.model_validate(settings), clock=lambda: NOW)

    return make


def test_the_file_is_in_wal_mode_as_durable_as_set(open_log: Callable[..., EmbeddedLog]) -> None:
    for synchronous, number in (("NORMAL", 1), ("FULL", 2)):
        log = open_log(synchronous=synchronous)
        assert log._writer.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        assert log._writer.execute("PRAGMA synchronous").fetchall() == [(number,)]
        assert log.capabilities.survives_power_loss == (synchronous == "FULL")
        log.close()
        log.close()


def test_a_log_made_anew_has_another_identity(open_log: Callable[..., EmbeddedLog], log_path: Path) -> None:
    log = open_log()
    first = log.source_id("a")
    log.close()
    log_path.unlink()
    log = open_log()
    assert log.source_id("a") != first
    log.close()


def test_the_wal_is_emptied_by_checkpoints_only(open_log: Callable[..., EmbeddedLog], log_path: Path) -> None:
    log = open_log()
    wal = log_path.with_name(log_path.name + "-wal")
    for _ in range(20):
        log.publish({"a": [Message(b"x" * 100_000)]})
    grown = wal.stat().st_size
    assert grown > 2_000_000
    log.checkpoint()
    log.publish({"a": [Message(b"y")]})
    assert wal.stat().st_size == grown  # begun anew from its start
    assert log.end("a") == 21
    log.close()


def test_a_wal_that_grew_too_long_is_cut(
    open_log: Callable[..., EmbeddedLog], log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.brokers.embedded._LONGEST_WAL_PAGES", 10)
    log = open_log()
    log.publish({"a": [Message(b"x" * 1_000_000)]})
    log.checkpoint()
    assert log_path.with_name(log_path.name + "-wal").stat().st_size == 0
    log.close()


def test_a_full_log_drops_consumed_records_first_then_refuses(open_log: Callable[..., EmbeddedLog]) -> None:
    log = open_log(max_mb=8)
    big = [Message(b"x" * 1_000_000)]
    log.publish({"a": big})
    log.commit("a", group="g", offset=1)
    for _ in range(11):
        log.publish({"a": big})
    assert log.trim(now=NOW).removed == 1
    with pytest.raises(UnavailableError, match="full") as caught:
        log.publish({"a": big})
    assert "consumer" in caught.value.next_step
    log.commit("a", group="g", offset=12)
    trimmed = log.trim(now=NOW)
    assert trimmed.removed >= 4
    assert trimmed.bytes <= 8 << 20
    log.publish({"a": big})
    log.close()


def test_another_process_that_holds_the_file_is_waited_for_and_then_named(
    open_log: Callable[..., EmbeddedLog], log_path: Path
) -> None:
    log = open_log(busy_timeout_s=0.05)
    log.publish({"a": [Message(b"1")]})
    other = sqlite3.connect(log_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="SQLITE_BUSY") as caught:
        log.publish({"a": [Message(b"2")]})
    assert str(log_path) in caught.value.where
    other.execute("ROLLBACK")
    other.close()
    assert log.publish({"a": [Message(b"2")]}) == {"a": 2}
    log.close()


def test_a_damaged_file_is_refused(open_log: Callable[..., EmbeddedLog], log_path: Path) -> None:
    log_path.parent.mkdir()
    log_path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(TamperedError, match="damaged") as caught:
        open_log()
    assert caught.value.exit_code == 2


def test_what_is_erased_leaves_no_trace_and_offsets_stay(open_log: Callable[..., EmbeddedLog], log_path: Path) -> None:
    log = open_log()
    log.publish({"calls": [Message(f"ann {n}\nbob {n}".encode()) for n in range(2_500)] + [Message(b"ann alone")]})

    def without_ann(value: bytes) -> bytes:
        return b"\n".join(part for part in value.split(b"\n") if not part.startswith(b"ann"))

    assert log.erase("calls", without_ann) == 2_501
    assert log.erase("calls", without_ann) == 0
    records = log.read("calls", after=0, limit=3_000)
    assert [record.offset for record in records] == list(range(1, 2_502))
    assert [record.value for record in records] == [f"bob {n}".encode() for n in range(2_500)] + [b""]
    log.close()
    assert all(b"ann" not in path.read_bytes() for path in log_path.parent.iterdir())


def test_there_is_one_partition(open_log: Callable[..., EmbeddedLog]) -> None:
    log = open_log()
    with pytest.raises(InputError, match="no partition 1"):
        log.read("a", after=0, limit=1, partition=1)
    with pytest.raises(InputError, match="no partition 1"):
        log.commit("a", group="g", offset=1, partition=1)
    log.close()


@pytest.mark.slow
def test_killed_at_any_point_every_acknowledged_record_is_there_once() -> None:
    done = subprocess.run([sys.executable, str(DRILL)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["points"] >= 20
    assert result["acknowledged"] > 1000
    assert (result["lost"], result["duplicated"], result["passed"]) == (0, 0, True)

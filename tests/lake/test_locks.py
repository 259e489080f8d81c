"""One writer per table: within a process, between processes, after a kill, between hosts."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.engine import Engine
from trunkline.errors import AuthorError, BusyError, UnavailableError
from trunkline.lake import Flusher, Lake, held
from trunkline.lake.leases import PostgresLeases
from trunkline.lake.locks import alone, holder, is_held
from trunkline.settings.lake import LakeSettings

THEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

HOLD = """
import sys
from pathlib import Path
from trunkline.lake import held
with held(Path(sys.argv[1]), what="run of churn"):
    print("held", flush=True)
    sys.stdin.read()
"""

HOLD_BATCH = """
import sys
from datetime import UTC, datetime
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.settings.lake import LakeSettings
settings = LakeSettings.model_validate({"lease_url": sys.argv[1]})
with open_engine("duckdb", threads=1) as engine:
    lake = Lake("s3://bucket/lake", engine=engine, settings=settings, clock=lambda: datetime.now(UTC))
    with lake.alone_with("a.b", "batch"):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start a process that holds a lock until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_lock_of_work_that_is_done_once_leaves_nothing(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "a.lock", [0], []

    def work() -> None:
        for _ in range(20):
            with alone(path, what="work", timeout_s=60):
                inside[0] += 1
                most.append(inside[0])
                inside[0] -= 1

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (len(most), set(most)) == (80, {1})
    with alone(path, what="work"), pytest.raises(BusyError), alone(path, what="work"):
        pytest.fail("held twice")
    assert list(tmp_path.iterdir()) == []


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "run.lock"
    with held(path, what="run of churn", clock=lambda: THEN):
        with pytest.raises(BusyError), held(path, what="run of churn", timeout_s=0.05):
            pytest.fail("held twice, after waiting")
        with pytest.raises(BusyError) as failure, held(path, what="run of churn"):
            pytest.fail("held twice")
    assert failure.value.holder == f"{socket.gethostname()} process {os.getpid()} since 2026-03-01T12:00:00+00:00"
    assert failure.value.exit_code == 2
    assert "run of churn" in str(failure.value)
    with held(path, what="run of churn"):
        pass


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with pytest.raises(ValueError, match="inside"), held(path, what="x"):
        raise ValueError("inside")
    with held(path, what="x"):
        pass


def test_a_killed_holder_blocks_nobody(tmp_path: Path, other: Callable[[Path], subprocess.Popen[str]]) -> None:
    path = tmp_path / "x.lock"
    process = other(path)
    with pytest.raises(BusyError) as failure, held(path, what="x"):
        pytest.fail("held by two processes")
    assert f"process {process.pid} " in failure.value.holder
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    with held(path, what="x"):
        assert f"process {os.getpid()} " in holder(path)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"host": "h"})])
def test_a_holder_file_that_cannot_be_read_is_no_trouble(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.lock.holder").write_text(text)
    assert holder(tmp_path / "x.lock") == "an unknown process"


def test_a_writer_gives_up_after_the_timeout(
    make_lake: Callable[..., Lake], other: Callable[[Path], subprocess.Popen[str]]
) -> None:
    lake = make_lake(lock_timeout_s=0.05)
    lake.append("a.b", pa.table({"a": [1]}))
    other(lake.lock_folder / "a.b.lock")
    with pytest.raises(BusyError, match=r"table a\.b"):
        lake.append("a.b", pa.table({"a": [2]}))
    assert lake.append("a.c", pa.table({"a": [1]})) == 0, "other tables are free"
    assert lake.arrow("a.b").num_rows == 1, "readers do not wait"


def test_a_flusher_commits_at_most_once_a_second(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    now_s = [100.0]
    with Flusher(lake, "a.hot", app_id="log:1", metadata={"run_id": "r"}, monotonic_s=lambda: now_s[0]) as flusher:
        assert flusher.flush() is None
        assert flusher.offer(pa.table({"a": [1]}), version=1)
        assert flusher.flush() == 0
        for number in range(2, 5):
            assert flusher.offer(pa.table({"a": [number]}), version=number)
            assert flusher.flush() is None
        assert not flusher.offer(pa.table({"a": [3]}), version=3), "taken already"
        now_s[0] += 1.0
        assert flusher.flush() == 1
        flusher.offer(pa.table({"a": [5]}), version=5)
    assert lake.version("a.hot") == 2, "the last rows are committed at the end"
    assert sorted(lake.arrow("a.hot").column("a").to_pylist()) == [1, 2, 3, 4, 5]
    assert lake.history("a.hot")[0].metadata == {"run_id": "r"}


def test_a_flusher_goes_on_where_the_last_one_stopped(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()

    def fail_half_way() -> None:
        with Flusher(lake, "a.hot", app_id="log:1") as flusher:
            flusher.offer(pa.table({"a": [1]}), version=1)
            flusher.flush()
            flusher.offer(pa.table({"a": [2]}), version=2)
            raise ValueError("crash")

    with pytest.raises(ValueError, match="crash"):
        fail_half_way()
    with Flusher(lake, "a.hot", app_id="log:1") as flusher:
        assert flusher.covered == 1
        assert not flusher.offer(pa.table({"a": [1]}), version=1)
        assert flusher.offer(pa.table({"a": [2]}), version=2)
    assert sorted(lake.arrow("a.hot").column("a").to_pylist()) == [1, 2]
    with pytest.raises(AuthorError, match="inside its with block"):
        flusher.offer(pa.table({"a": [3]}), version=3)


def test_one_flusher_per_host(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    with Flusher(lake, "a.hot", app_id="log:1"), pytest.raises(BusyError, match="flusher of table"):
        Flusher(lake, "a.hot", app_id="log:1").__enter__()


POSTGRES = shutil.which("postgres") and shutil.which("initdb")


@pytest.fixture(scope="module")
def lease_url() -> Iterator[str]:
    """A PostgreSQL server of our own on a socket in a temporary folder; it refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="lease"))
    user = "nobody" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    make = ["initdb", "-D", "data", "-A", "trust", "-U", "lease", "--no-sync"]
    subprocess.run(make, cwd=folder, user=user, check=True, capture_output=True)
    server = subprocess.Popen(
        ["postgres", "-D", "data", "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"],
        cwd=folder,
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    for line in server.stderr:
        if "ready to accept connections" in line:
            break
    yield f"postgresql://lease@/postgres?host={folder}"
    server.send_signal(signal.SIGINT)
    server.communicate()
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(not POSTGRES, reason="needs initdb and postgres on the path")
def test_leases_keep_hosts_apart(lease_url: str, make_lake: Callable[..., Lake]) -> None:
    pytest.importorskip("psycopg", reason="needs the extra sql")
    mine = PostgresLeases(lease_url, scope="s3://a/lake", timeout_s=0.05)
    elsewhere = PostgresLeases(lease_url, scope="s3://b/lake", timeout_s=0.05)
    with mine.held("a.b"), mine.held("a.c"), elsewhere.held("a.b"):
        with pytest.raises(BusyError, match=r"table a\.b") as failure, mine.held("a.b"):
            pytest.fail("held twice")
        assert f"{socket.gethostname()} process {os.getpid()}" in failure.value.holder
        assert "since 20" in failure.value.holder
    with mine.held("a.b"):
        pass
    lake = make_lake(lease_url=lease_url)
    assert lake.append("a.b", pa.table({"a": [1]})) == 0
    assert not lake.lock_folder.exists()


@pytest.mark.slow
@pytest.mark.skipif(not POSTGRES, reason="needs initdb and postgres on the path")
def test_one_batch_is_taken_in_by_one_host_at_a_time(lease_url: str, engine: Engine) -> None:
    pytest.importorskip("psycopg", reason="needs the extra sql")
    settings = LakeSettings.model_validate({"lease_url": lease_url, "lock_timeout_s": 0.05})
    lake = Lake("s3://bucket/lake", engine=engine, settings=settings, clock=lambda: THEN)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD_BATCH, lease_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="holds") as failure, lake.alone_with("a.b", "batch"):
            pytest.fail("two took one batch in")
        assert f"process {other.pid}" in failure.value.holder
        writer = PostgresLeases(lease_url, scope="s3://bucket/lake", timeout_s=0.05)
        with lake.alone_with("a.b", "another batch"), lake.alone_with("a.c", "batch"), writer.held("a.b"):
            pass  # neither another batch nor a writer of the table waits for it
    finally:
        other.kill()
        other.communicate()
    patient = settings.model_copy(update={"lock_timeout_s": 10.0})  # the server finds out that it is gone
    with Lake("s3://bucket/lake", engine=engine, settings=patient, clock=lambda: THEN).alone_with("a.b", "batch"):
        pass


def test_a_lease_server_that_does_not_answer_is_the_worlds_fault(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the extra sql")
    leases = PostgresLeases(f"postgresql://x:pa55word@/none?host={tmp_path}", scope="s", timeout_s=0.05)
    with pytest.raises(UnavailableError) as failure, leases.held("a.b"):
        pytest.fail("held without a server")
    assert "pa55word" not in str(failure.value)


def test_a_look_at_a_lock_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "some.lock"
    assert not is_held(path)
    assert not path.parent.exists()
    with held(path, what="thing"):
        assert is_held(path)
    assert not is_held(path)
    with held(path, what="thing"):
        assert is_held(path)

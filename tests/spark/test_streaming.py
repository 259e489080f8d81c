"""``reader = "spark"``: a topic that Spark Structured Streaming takes in leaves what one process leaves."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from trunkline.brokers import Message
from trunkline.brokers.kafka import KafkaBroker
from trunkline.brokers.kafka_address import kafka_address
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.lake.locks import held
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.drills import VARIABLE
from trunkline.settings.lake import LakeSettings

pytestmark = pytest.mark.spark

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "maven.sh"
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
POISON = [b"no json", b"7", b'{"device_id": "d"}', b""]


@pytest.fixture(scope="session")
def connector() -> str:
    """Archives of the connector, separated by commas; skips the test where they cannot be had."""
    fetched = subprocess.run([SCRIPT, "spark_kafka"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"Spark's connector of Kafka could not be fetched: {fetched.stderr.strip()[-300:]}")
    folder = Path(os.environ.get("SPARK_KAFKA_CACHE") or SCRIPT.parents[1] / ".cache" / "spark_kafka")
    return ",".join(sorted(map(str, folder.glob("*.jar"))))


@pytest.fixture
def topic(kafka_servers: str) -> Iterator[tuple[str, KafkaBroker]]:
    """A topic of two partitions that somebody else writes to: its address, and a broker to write with."""
    prefix = f"t{uuid4().hex[:12]}."
    settings = BrokerSettings.model_validate(
        {"url": f"kafka://{kafka_servers}", "prefix": prefix, "partitions": 2, "timeout_s": 20}
    )
    broker = KafkaBroker(settings)
    yield f"kafka://{kafka_servers}/{prefix}readings", broker
    broker.close()


def send(broker: KafkaBroker, numbers: range, others: Sequence[bytes] = ()) -> None:
    """Readings of three devices, half a second apart, and others among them."""
    values = [
        json.dumps(
            {
                "device_id": f"d{number % 3}",
                "session_id": "s",
                "sensor": "accelerometer",
                "read_at": (BEGUN + timedelta(seconds=number / 2)).isoformat(),
                **dict.fromkeys("xyz", number / 8),
            }
        ).encode()
        for number in numbers
    ]
    time = 1_767_225_600_000_000_000
    envelope = {"deviceId": "e", "sessionId": "s", "payload": [{"name": "gyroscope", "time": time, "values": {}}]}
    values += [json.dumps(envelope).encode(), *others]
    broker.publish({"readings": [Message(value, f"{at % 5}".encode()) for at, value in enumerate(values)]})


def send_and_abort(url: str, values: Sequence[bytes]) -> None:
    """Write records in a transaction that is aborted."""
    from confluent_kafka import Producer

    address = kafka_address(url)
    producer = Producer({"bootstrap.servers": address.hosts, "transactional.id": address.topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(address.topic, value, partition=0)
    producer.flush(20)
    producer.abort_transaction(20)


def watching(workspace: Path, source: str, *, crash_at: str = "") -> "subprocess.CompletedProcess[str]":
    """Take in what is there, by the real command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    if crash_at:
        environment[VARIABLE] = crash_at
    command = [sys.executable, "-m", "trunkline", "watch", "sensors", source, "--once", "--json"]
    return subprocess.run(
        [*command, "--workspace", str(workspace)],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def watch(workspace: Path, source: str) -> list[dict[str, Any]]:
    """Take in what is there; gives its receipts."""
    done = watching(workspace, source)
    assert done.returncode == 0, done.stderr
    batches: list[dict[str, Any]] = json.loads(done.stdout)["batches"]
    return batches


def rows(workspace: Path, table: str, *without: str, key: Sequence[str] = ()) -> list[str]:
    """Rows of a table, in any order; the newest of each key; without what tells when and by whom they were written."""
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(workspace / "lake", engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))
        now = lake.current(table, key=key, newest_by=["_ingested_at"]) if key else lake.read(table)
        found = engine.arrow(now).to_pylist()
    return sorted(repr(sorted((name, value) for name, value in row.items() if name not in without)) for row in found)


def by_spark(connector: str) -> str:
    return f'[engine]\nname = "spark"\nurl = "local[2]"\n[engine.options]\n"spark.jars" = "{connector}"\n'


def declared(workspace: Path, url: str, *, more: str = "", reader: str = "process", dead: str = "") -> None:
    source = f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "{url}"\nreader = "{reader}"\n'
    (workspace / "trunkline.toml").write_text(f'{more}{source}group = "{workspace.name}"\n{dead}')


def test_spark_leaves_the_rows_of_the_built_in_consumer_and_either_goes_on(
    java: None, connector: str, topic: tuple[str, KafkaBroker], tmp_path: Path
) -> None:
    url, broker = topic
    spark, alone = tmp_path / f"{uuid4().hex}-spark", tmp_path / f"{uuid4().hex}-alone"
    spark.mkdir()
    alone.mkdir()
    declared(spark, url, more=by_spark(connector), reader="spark")
    declared(alone, url)
    send(broker, range(150), POISON)
    send_and_abort(url, [b"never committed", b"nor this"])
    send(broker, range(150, 155))
    first = watch(spark, "phones"), watch(alone, "phones")
    declared(spark, url)  # from now on it is read in one process, from where Spark was
    send(broker, range(155, 200))
    second = watch(spark, "phones"), watch(alone, "phones")
    for ours, wanted in (first, second):
        assert sorted(one["batch_id"] for one in ours) == sorted(one["batch_id"] for one in wanted)
    assert sum(one["accepted"] for one in (*first[0], *second[0])) == 202  # one envelope came twice in a chunk
    assert sum(one["quarantined"] for one in first[0]) == len(POISON) - 1
    assert rows(spark, "sensors.readings", "_ingested_at") == rows(alone, "sensors.readings", "_ingested_at")
    assert rows(spark, "platform.quarantine", "changed_at") == rows(alone, "platform.quarantine", "changed_at")
    written = ("_ingested_at", "_batch_id", "_run_id", "_row", "_new", "_state")  # an alert stays: of a window so far
    key = ("device_id", "window_start_at")
    windows = rows(spark, "sensors.movement", *written, key=key)
    assert len(windows) > 20
    assert windows == rows(alone, "sensors.movement", *written, key=key)


def test_spark_takes_a_begun_chunk_over_and_tells_dead_letters_also_after_a_kill(
    java: None, connector: str, topic: tuple[str, KafkaBroker], tmp_path: Path
) -> None:
    url, broker = topic
    workspace = tmp_path / uuid4().hex
    workspace.mkdir()
    dead = f'dead_letters = "{url.rpartition("/")[2].replace("readings", "dead")}"\n'
    declared(workspace, url, dead=dead)
    send(broker, range(10))
    assert watching(workspace, "phones", crash_at="ingest.after_rows:1").returncode == -signal.SIGKILL
    [lock] = (workspace / "locks").glob("topic-*.lock")
    with held(lock, what="topic"):
        assert "somebody else holds" in watching(workspace, "phones").stderr
    declared(workspace, url, more=by_spark(connector), reader="spark", dead=dead)
    send(broker, range(10, 20), POISON)
    # the begun chunks are of two partitions; then the lake has what Spark's first micro-batch brought, and nobody knows
    killed = watching(workspace, "phones", crash_at="stream.after_commit:3")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    watch(workspace, "phones")
    found = rows(workspace, "sensors.readings", "_ingested_at", "_batch_id", "_row")
    assert (len(found), len(set(found))) == (22, 21)  # each reading once; the envelope was sent twice
    letters = {
        record.key.decode()
        for partition in range(broker.partitions("dead"))
        for record in broker.read("dead", after=0, limit=99, partition=partition)
        if record.key is not None
    }
    assert len(letters) == len(POISON) - 1
    assert len(rows(workspace, "platform.quarantine")) == len(POISON) - 1

"""Readings of phones, from the HTTP edge and from Kafka into the lake, beside the usual design, in one run.

Every measure uses the real command (``trunkline serve``, ``trunkline watch``) in processes of their own, with windows,
scores and rules of the use case ``sensors`` running beside, and real readings of the Sensor Logger app under names of
their own. What counts as taken in is what a reader of the lake's files finds, counted at the end: no more and no less
than was acknowledged. The peer (``peers/usual_ingest.py``) is FastAPI with a Pydantic model and one insert per record,
loaded by the same client. Prints one JSON line per measure; medians over the rounds.

Without Kafka (``scripts/kafka.sh``, or ``KAFKA_BOOTSTRAP_SERVERS``) its measures are left out, and a line says so.
"""

import argparse
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from clients.kafka_node import kafka  # type: ignore[import-not-found]  # a script of a folder beside this one

from serve import free_port, wait_for  # type: ignore[import-not-found]  # a script beside this one

HERE = Path(__file__).resolve().parent
CLIENT = HERE / "clients" / "stream_load.py"
ALERTS = HERE / "clients" / "alert_delays.py"
PEER = HERE / "peers" / "usual_ingest.py"
TRUNKLINE = Path(sys.executable).parent / "trunkline"
PATH = "/v1/ingest/sensors/readings"
BATCH = 500
PHONE_BYTES = 66_000
PARTITIONS = 4

Told = dict[str, tuple[float, float]]
"""By name of a request: when it was sent and when it was answered."""


def messages() -> list[bytes]:
    """The messages of a real phone."""
    data = Path(os.environ.get("TRUNKLINE_DATA") or HERE.parents[1] / "shared" / "data")
    with gzip.open(data / "sensors" / "sensor_logger_drive" / "http_push_payloads.jsonl.gz") as lines:
        return [line.strip() for line in lines]


def bodies(folder: Path) -> dict[str, Path]:
    """Write the bodies of all measures; sessions are named anew by the client."""
    from trunkline.plugins import load_usecase

    unwrap = load_usecase("sensors").envelopes["readings"]
    raw = messages()
    readings = [reading for line in raw for reading in unwrap(json.loads(line)) or ()]
    named = [
        {**reading, "session_id": "@" * 8, "device_id": "&" * 8} for reading in readings if isinstance(reading, dict)
    ]
    session, device = (json.loads(raw[0])[name].encode() for name in ("sessionId", "deviceId"))
    phone = b"\x1e".join(line.replace(session, b"@" * 8).replace(device, b"&" * 8) for line in raw)
    written = {
        "batch": b"\n".join(json.dumps(one).encode() for one in named[:BATCH]),
        "list": json.dumps(named[:BATCH]).encode(),
        "one": json.dumps(named[0]).encode(),
        "phone": phone,
    }
    for name, body in written.items():
        (folder / name).write_bytes(body)
    return {name: folder / name for name in written}


@contextmanager
def started(command: Sequence[object], *, url: str, folder: Path) -> Iterator[int]:
    """Run a server until the block ends; gives its process id."""
    with (folder / "servers.log").open("ab") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        try:
            wait_for(url, process)
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)


def load(
    port: int, path: str, body: Path, *, connections: int, requests: int, per_second: float = 0, devices: int = 50
) -> Told:
    """Send requests from a process of its own."""
    command = [sys.executable, CLIENT, port, path, body, connections, requests, per_second, devices]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the client ended: {done.stderr[-500:]}")
    return {name: (sent, answered) for name, sent, answered in json.loads(done.stdout)["requests"]}


def receipts(workspace: Path) -> list[dict[str, object]]:
    """Receipts of readings, read without the lake's own reader."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    folder = workspace / "lake" / "platform" / "receipts"
    if not (folder / "_delta_log").is_dir():
        return []
    rows = DeltaTable(str(folder)).to_pyarrow_dataset().to_table(filter=ds.field("dataset") == "readings")
    return list(rows.to_pylist())


def accepted(workspace: Path) -> int:
    """How many readings receipts tell of."""
    return sum(int(str(one["accepted"])) for one in receipts(workspace))


def settled(workspace: Path, rows: int, *, limit_s: float = 120.0) -> float:
    """Wait until the lake holds so many readings; gives the instant of the last receipt.

    Raises:
        RuntimeError: It does not, or it holds others.
    """
    deadline = time.monotonic() + limit_s
    while accepted(workspace) < rows and time.monotonic() < deadline:
        time.sleep(0.2)
    found = accepted(workspace)
    if found != rows:
        raise RuntimeError(f"the lake holds {found} readings, not {rows}")
    return float(max(one["finished_at"].timestamp() for one in receipts(workspace)))  # type: ignore[attr-defined]  # an instant


def freshness(workspace: Path, told: Told) -> list[float]:
    """Seconds from the answer to a request until the receipt of the batch that has its rows, for each request."""
    from deltalake import DeltaTable

    done = {one["batch_id"]: one["finished_at"].timestamp() for one in receipts(workspace)}  # type: ignore[attr-defined]  # an instant
    table = DeltaTable(str(workspace / "lake" / "sensors" / "readings")).to_pyarrow_dataset()
    rows = table.to_table(columns=["session_id", "_batch_id"])
    batch_of = dict(zip(rows["session_id"].to_pylist(), rows["_batch_id"].to_pylist(), strict=True))
    return sorted(max(0.0, done[batch_of[name]] - answered) for name, (_, answered) in told.items())


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lake_bytes(workspace: Path) -> int:
    """Bytes of the data files of the readings."""
    return sum(path.stat().st_size for path in (workspace / "lake" / "sensors" / "readings").glob("*.parquet"))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of sorted values lies."""
    return values[min(len(values) - 1, int(share * len(values)))]


def show(case: str, **measures: object) -> None:
    """Print a line."""
    print(json.dumps({"bench": "streams", "case": case, **measures}), flush=True)


@contextmanager
def served(folder: Path, name: str) -> Iterator[tuple[Path, int, int]]:
    """Run ``trunkline serve`` on a workspace of its own; gives the workspace, port and process id."""
    workspace, port = folder / name, free_port()
    command = [TRUNKLINE, "serve", "--workspace", workspace, "--port", port]
    with started(command, url=f"http://127.0.0.1:{port}/v2/health/ready", folder=folder) as pid:
        yield workspace, port, pid


def edge(folder: Path, written: dict[str, Path], *, rounds: int, requests: int) -> None:
    """From the edge into the lake, beside the usual design."""
    ours: list[float] = []
    usual: list[float] = []
    lists: list[float] = []
    with served(folder, "edge") as (workspace, port, pid):
        load(port, PATH, written["batch"], connections=2, requests=20)
        kept = settled_rows = 20 * BATCH
        settled(workspace, kept)
        used = cpu_s(pid)
        for number in range(rounds):
            body = folder / f"batch-{number}"
            body.write_bytes(written["batch"].read_bytes().replace(b"&" * 8, b"%04d&&&&&&&&" % number))
            told = load(port, PATH, body, connections=4, requests=requests)
            kept += requests * BATCH
            ended = settled(workspace, kept)
            ours.append(requests * BATCH / (ended - min(sent for sent, _ in told.values())))
        used = (cpu_s(pid) - used) / ((kept - settled_rows) / 1e6)
    with ExitStack() as stack:
        port = free_port()
        url = f"http://127.0.0.1:{port}/docs"
        stack.enter_context(started([sys.executable, PEER, folder / "peer.db", port], url=url, folder=folder))
        for _ in range(rounds):
            for path, name, found, each, count in (
                ("/readings", "one", usual, 1, 2_000),
                ("/batches", "list", lists, BATCH, 30),
            ):
                told = load(port, path, written[name], connections=4, requests=count)
                spent = max(end for _, end in told.values()) - min(sent for sent, _ in told.values())
                found.append(count * each / spent)
    show(
        "HTTP edge to lake, NDJSON of 500",
        per_second=round(median(ours)),
        events=rounds * requests * BATCH,
        cpu_s_per_million=round(used, 1),
        ratio={
            "FastAPI, one insert per record": round(median(ours) / median(usual), 1),
            "the same in lists of 500": round(median(ours) / median(lists), 1),
        },
        peers={"one record a request": round(median(usual)), "lists of 500": round(median(lists))},
        targets={"per_second": 20_000, "FastAPI, one insert per record": 10},
    )


def single(folder: Path, written: dict[str, Path]) -> None:
    """One event until its durable acknowledgement."""
    with served(folder, "single") as (_, port, _pid):
        load(port, PATH, written["one"], connections=1, requests=100)
        told = load(port, PATH, written["one"], connections=1, requests=1_000, per_second=100)
    found = sorted(1_000 * (end - sent) for sent, end in told.values())
    show(
        "one event to its durable acknowledgement",
        p50_ms=round(quantile(found, 0.5), 2),
        p99_ms=round(quantile(found, 0.99), 2),
        targets={"p99_ms": 50},
    )


def fresh(folder: Path, written: dict[str, Path], *, seconds: int) -> None:
    """From accepted to queryable at 10,000 events a second."""
    with served(folder, "fresh") as (workspace, port, _):
        load(port, PATH, written["one"], connections=1, requests=1)
        settled(workspace, 1)
        told = load(port, PATH, written["batch"], connections=4, requests=20 * seconds, per_second=20)
        settled(workspace, 1 + 20 * seconds * BATCH)
        found = freshness(workspace, told)
    show(
        "freshness at 10,000 events/s",
        p50_s=round(quantile(found, 0.5), 2),
        p99_s=round(quantile(found, 0.99), 2),
        events=20 * seconds * BATCH,
        targets={"p99_s": 3},
    )


def phones(folder: Path, written: dict[str, Path], *, count: int, seconds: int) -> None:
    """Phones of 66 kB/s each, at their own pace."""
    sent = written["phone"].read_bytes().split(b"\x1e")
    mean_bytes = sum(map(len, sent)) / len(sent)
    pace = count * PHONE_BYTES / mean_bytes
    requests = int(pace * seconds)
    order = [sent[number // count % len(sent)] for number in range(requests)]
    rows, size = sum(len(json.loads(one)["payload"]) for one in order), sum(map(len, order))
    with served(folder, "recording") as (workspace, port, _):  # each message once: nothing in it repeats
        load(port, PATH, written["phone"], connections=1, requests=len(sent), devices=1)
        settled(workspace, sum(len(json.loads(one)["payload"]) for one in sent))
        share = lake_bytes(workspace) / sum(map(len, sent))
    with served(folder, "phones") as (workspace, port, pid):
        load(port, PATH, written["one"], connections=1, requests=1)
        settled(workspace, 1)
        used = cpu_s(pid)
        told = load(port, PATH, written["phone"], connections=8, requests=requests, per_second=pace, devices=count)
        ended = settled(workspace, 1 + rows)
        used = cpu_s(pid) - used
        begun = min(sent for sent, _ in told.values())
        spent = ended - begun
        log_mb = sum(path.stat().st_size for path in (workspace / "log").glob("*")) / 1e6
        lag = quantile(freshness(workspace, told), 0.99)
    show(
        f"{count} phones of 66 kB/s",
        phones=round(size / PHONE_BYTES / spent, 1),
        per_second=round(rows / spent),
        json_mb_per_second=round(size / 1e6 / spent, 2),
        cpu_share=round(used / spent, 2),
        lake_mb_per_second=round(share * size / 1e6 / spent, 3),
        log_mb=round(log_mb, 1),
        lake_share_of_json=round(share, 4),
        p99_s=round(lag, 2),
        targets={"phones": 100, "lake_share_of_json": 0.10},
    )


def alerts(folder: Path, written: dict[str, Path], *, events: int, seconds: int) -> None:
    """From an event to the alert of a rule over its window, at 2,000 events a second."""
    with served(folder, "alerts") as (workspace, port, _):
        load(port, PATH, written["one"], connections=1, requests=1)
        command = [sys.executable, ALERTS, workspace, port, events, seconds / events]
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as asking:
            load(port, PATH, written["batch"], connections=2, requests=4 * seconds, per_second=4)
            told = json.loads(asking.communicate(timeout=300)[0])
    for rule, found in told["delays"].items():
        show(
            f"one event to its alert, {rule}, windows of {told['window_s'][rule]} s",
            p50_s=round(quantile(found, 0.5), 2),
            p99_s=round(quantile(found, 0.99), 2),
            events=len(found),
            targets={"p99_s": told["window_s"][rule]},
        )


def from_kafka(folder: Path, written: dict[str, Path], *, records: int, consumers: Sequence[int]) -> None:
    """From Kafka into the lake, with one and more consumers that share a topic of four partitions."""
    with kafka(folder) as servers:
        if not servers:
            show("Kafka to lake", skipped="no Kafka: scripts/kafka.sh fetches it, with Java; see docs/streams.md")
            return
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([NewTopic("phones", PARTITIONS, 1)])["phones"].result(30)
        lines = written["batch"].read_bytes().split(b"\n")
        producer = Producer({"bootstrap.servers": servers, "compression.type": "zstd", "linger.ms": 20})
        for number in range(records):
            value = lines[number % BATCH].replace(b"@" * 8, b"%08d" % (number // BATCH))
            value = value.replace(b"&" * 8, b"phone%03d" % (number // BATCH % 50))
            producer.produce("phones", value, partition=number // BATCH % PARTITIONS)
            producer.poll(0)
            if number % 50_000 == 0:
                producer.flush()
        producer.flush()
        curve: dict[int, int] = {}
        spent: dict[int, float] = {}
        for count in consumers:
            workspace = folder / f"kafka-{count}"
            workspace.mkdir()
            command = [str(TRUNKLINE), "watch", "sensors", "phones", "--workspace", str(workspace)]
            toml = f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "kafka://{servers}/phones"\n'
            (workspace / "trunkline.toml").write_text(f'{toml}group = "bench-{count}"\n')
            with (folder / "servers.log").open("ab") as output:
                running = [subprocess.Popen(command, stdout=output, stderr=output, cwd=workspace) for _ in range(count)]
            try:
                settled(workspace, records, limit_s=300)
            finally:
                for process in running:
                    process.send_signal(signal.SIGTERM)
                used = 0.0
                for process in running:
                    _, _, usage = os.wait4(process.pid, 0)
                    used += usage.ru_utime + usage.ru_stime
            found = receipts(workspace)
            begun = min(one["started_at"].timestamp() for one in found)  # type: ignore[attr-defined]  # an instant
            ended = max(one["finished_at"].timestamp() for one in found)  # type: ignore[attr-defined]  # an instant
            curve[count] = round(records / (ended - begun))
            spent[count] = round(used / records * 1e6, 1)
        show(
            "Kafka to lake",
            per_second=curve[consumers[0]],
            consumers={str(count): rate for count, rate in curve.items()},
            cpu_s_per_million={str(count): seconds for count, seconds in spent.items()},
            events=records,
            processors=os.cpu_count(),
            targets={"per_second": 50_000},
        )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds per measure; the median counts")
    parser.add_argument("--requests", type=int, default=600, help="batches of 500 per round")
    parser.add_argument("--seconds", type=int, default=20, help="seconds of paced load")
    parser.add_argument("--events", type=int, default=40, help="events that alerts are to come of")
    parser.add_argument("--phones", type=int, default=120, help="phones at once")
    parser.add_argument("--records", type=int, default=400_000, help="records in Kafka")
    parser.add_argument("--consumers", type=int, nargs="+", default=[1, 2, 3, 4], help="consumers of Kafka, in turn")
    parser.add_argument("--only", default="", help="one of edge, single, fresh, alerts, phones, kafka")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        folder = Path(name)
        written = bodies(folder)
        parts: dict[str, Callable[[], None]] = {
            "edge": lambda: edge(folder, written, rounds=given.rounds, requests=given.requests),
            "single": lambda: single(folder, written),
            "fresh": lambda: fresh(folder, written, seconds=given.seconds),
            "alerts": lambda: alerts(folder, written, events=given.events, seconds=3 * given.seconds),
            "phones": lambda: phones(folder, written, count=given.phones, seconds=given.seconds),
            "kafka": lambda: from_kafka(folder, written, records=given.records, consumers=given.consumers),
        }
        for part, measure in parts.items():
            if given.only in ("", part):
                measure()


if __name__ == "__main__":
    main()

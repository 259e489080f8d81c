"""From an event to the alert of a window's rule: sends events of devices of their own, looks when the alerts are there.

Takes a workspace, the port of its server, how many events, and seconds between them; prints one JSON object: the delays
of each rule in seconds, sorted, and the length of its windows. An alert is there when a reader of the lake's files
finds it, who looks every tenth of a second. Half of the events are one battery that is nearly empty (rule
``battery_low``, windows of a minute), half a silence of three seconds (rule ``falls_silent``, windows of ten), whose
delay is counted from the reading that ends the silence.
"""

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

LOOK_S = 0.1
SILENCE_S = 3.0
PATIENCE_S = 90.0
WINDOW_S = {"battery_low": 60, "falls_silent": 10}


def reading(device: str, at_s: float, **values: object) -> Mapping[str, object]:
    """One reading."""
    at = datetime.fromtimestamp(at_s, UTC).isoformat()
    return {"device_id": device, "session_id": device, "read_at": at, **values}


def send(port: int, records: Sequence[Mapping[str, object]]) -> None:
    """Hand records over; they are durable on return."""
    url = f"http://127.0.0.1:{port}/v1/ingest/sensors/readings"
    body = "\n".join(map(json.dumps, records)).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    if told.get("accepted") != len(records):
        raise RuntimeError(f"the edge did not take the readings: {told}")


def wait_for(port: int) -> None:
    """Wait until the server listens."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(LOOK_S)
        else:
            return


def event(port: int, rule: str, device: str) -> float:
    """Send what the rule is about, now; gives the instant of the reading that makes it true."""
    while rule == "falls_silent" and not SILENCE_S + 0.5 <= time.time() % WINDOW_S[rule] <= WINDOW_S[rule] - 0.5:
        time.sleep(LOOK_S)  # both readings are to be in one window
    now = time.time()
    if rule == "battery_low":
        send(port, [reading(device, now, sensor="battery", battery_level=0.05)])
    else:
        moved = [reading(device, at, sensor="accelerometer", x=0, y=0, z=0) for at in (now - SILENCE_S, now)]
        send(port, moved)
    return now


def alerted(workspace: Path) -> str:
    """The texts of all alerts that are there, read without the lake's own reader."""
    from deltalake import DeltaTable

    folder = workspace / "lake" / "platform" / "alerts"
    if not (folder / "_delta_log").is_dir():
        return ""
    texts = DeltaTable(str(folder)).to_pyarrow_dataset().to_table(columns=["text"]).column("text").to_pylist()
    return "\n".join(f"{text}," for text in texts)


def delays(workspace: Path, port: int, *, events: int, every_s: float) -> dict[str, list[float]]:
    """Measure.

    Raises:
        RuntimeError: An alert did not come.
    """
    wait_for(port)
    rules, sent, seen, next_s = list(WINDOW_S), dict[str, float](), dict[str, float](), time.time()
    while len(seen) < events:
        if len(sent) < events and time.time() >= next_s:
            rule = rules[len(sent) % len(rules)]
            device = f"{rule}-{len(sent):04d}"
            sent[device] = event(port, rule, device)
            next_s = time.time() + every_s
        texts, now = alerted(workspace), time.time()
        seen |= {name: now for name in sent if name not in seen and f"device {name}," in texts}
        if len(sent) == events and now > max(sent.values()) + PATIENCE_S:
            raise RuntimeError(f"no alert of {sorted(set(sent) - set(seen))}")
        time.sleep(LOOK_S)
    return {rule: sorted(seen[name] - at for name, at in sent.items() if name.startswith(f"{rule}-")) for rule in rules}


if __name__ == "__main__":
    given_workspace, given_port, given_events, given_every_s = sys.argv[1:]
    found = delays(Path(given_workspace), int(given_port), events=int(given_events), every_s=float(given_every_s))
    print(json.dumps({"delays": found, "window_s": WINDOW_S}))

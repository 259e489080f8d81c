"""A load generator that sends bodies of records, each under a name of its own, flat out or at a pace.

Run as a program: ``stream_load.py PORT PATH BODY_FILE CONNECTIONS REQUESTS PER_SECOND DEVICES``; ``PER_SECOND`` 0 is
flat out. A file of several bodies has U+001E between them; they are sent in turn. The eight signs ``@@@@@@@@`` of a
body become the number of the request, and ``&&&&&&&&`` that of one of so many devices. Prints one JSON object: for each
request when
it was sent and answered, in seconds since 1970. A refusal for want of room (429) is sent again after a moment; any
other answer ends it. Needs the standard library only.
"""

import http.client
import json
import sys
import threading
import time
from pathlib import Path

MARK = b"@" * 8
DEVICE = b"&" * 8


def main() -> None:
    """Send, and tell."""
    port, path, file, connections, requests, per_second, devices = sys.argv[1:]
    bodies = Path(file).read_bytes().split(b"\x1e")
    total, pace, phones = int(requests), float(per_second), int(devices)
    begun = time.time()
    told: list[tuple[str, float, float]] = []
    wrong: list[str] = []
    lock = threading.Lock()
    numbers = iter(range(total))
    again = 0

    def work() -> None:
        nonlocal again
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        while not wrong:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            name = f"{number:08d}"
            # a phone sends its own messages in turn
            part = bodies[number // phones % len(bodies)].replace(MARK, name.encode())
            part = part.replace(DEVICE, f"phone{number % phones:03d}".encode())
            due = begun + number / pace if pace else 0.0
            time.sleep(max(0.0, due - time.time()))
            sent = time.time()
            while True:
                connection.request("POST", path, part, {"content-type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 429:
                    break
                again += 1
                time.sleep(0.05)
            if answer.status != 200:
                wrong.append(f"{answer.status} {text[:300]!r}")
                return
            with lock:
                told.append((name, sent, time.time()))

    threads = [threading.Thread(target=work) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        sys.exit(wrong[0])
    print(json.dumps({"requests": sorted(told), "again": again}))


if __name__ == "__main__":
    main()

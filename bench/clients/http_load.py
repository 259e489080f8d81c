"""A load generator for HTTP/1.1: one process, raw sockets, the same request again and again on every connection.

Run as a program: ``http_load.py PORT PATH BODY_FILE CONNECTIONS SECONDS WARM_UP_SECONDS`` prints one JSON object with
requests per second and latencies in milliseconds, from the first byte sent to the last byte received. A response that
is not 200 ends it with an error. Needs the standard library only; one connection is a plain blocking socket, so that
the client adds as little as possible to what it measures.
"""

import json
import selectors
import socket
import sys
from pathlib import Path
from time import perf_counter

RECEIVE_BYTES = 1 << 16


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self.sent_at = 0.0

    def send(self) -> None:
        """Send the request."""
        self._received = b""
        self.sent_at = perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> bool:
        """Take what has arrived; says whether the response is whole.

        Raises:
            RuntimeError: The server closed the connection or answered something else than 200.
        """
        part = self.socket.recv(RECEIVE_BYTES)
        if not part:
            raise RuntimeError("the server closed the connection")
        self._received += part
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {self._received[:300]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return len(body) >= int(length)


def load(
    port: int, path: str, body: bytes, *, connections: int, seconds: float, warm_up_seconds: float
) -> dict[str, float]:
    """Load a server on loopback.

    Args:
        port: Where it listens.
        path: Path of the POST request.
        body: JSON.
        connections: Requests under way at a time, each on a connection of its own.
        seconds: How long to measure.
        warm_up_seconds: How long to load it before.

    Returns:
        ``requests`` (all that were answered, warm-up included), ``per_second``, ``p50_ms``, ``p99_ms``, ``max_ms``.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    every = [Connection(port, request) for _ in range(connections)]
    answered = 0
    latencies: list[float] = []
    begin = perf_counter() + warm_up_seconds
    end = begin + seconds
    if connections == 1:
        (one,) = every
        now = 0.0
        while now < end:
            one.send()
            while not one.receive():
                pass
            now = perf_counter()
            answered += 1
            if one.sent_at >= begin:
                latencies.append(now - one.sent_at)
    else:
        answered = _load_many(every, begin=begin, end=end, latencies=latencies)
    for connection in every:
        connection.socket.close()
    latencies.sort()
    count = len(latencies)
    return {
        "requests": answered,
        "per_second": count / seconds,
        "p50_ms": latencies[count // 2] * 1e3,
        "p99_ms": latencies[int(count * 0.99)] * 1e3,
        "max_ms": latencies[-1] * 1e3,
    }


def _load_many(every: list[Connection], *, begin: float, end: float, latencies: list[float]) -> int:
    selector = selectors.DefaultSelector()
    for connection in every:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    answered, waiting = 0, len(every)
    while waiting:
        for key, _ in selector.select():
            connection = key.data
            if not connection.receive():
                continue
            now = perf_counter()
            answered += 1
            if begin <= connection.sent_at and now <= end:
                latencies.append(now - connection.sent_at)
            if now < end:
                connection.send()
            else:
                waiting -= 1
                selector.unregister(connection.socket)
    return answered


if __name__ == "__main__":
    _, port_text, path_text, file_text, connections_text, seconds_text, warm_up_text = sys.argv
    result = load(
        int(port_text),
        path_text,
        Path(file_text).read_bytes(),
        connections=int(connections_text),
        seconds=float(seconds_text),
        warm_up_seconds=float(warm_up_text),
    )
    print(json.dumps(result))

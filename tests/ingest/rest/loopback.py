"""A REST server of the tests' own, on loopback: it does exactly what a test says, also what no server should do."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from trunkline.ingest.sources.rest import Timing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. ``cut_after`` bytes of the body the connection ends; without ``length`` its end is the body's end."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    length: bool = True

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Api:
    """A running server: what it was asked, and how it answers."""

    url: str
    answer: Callable[[Seen], Reply]
    seen: list[Seen] = field(default_factory=list)

    def then(self, *replies: Reply) -> None:
        """Answer with these, one after the other; the last again and again."""
        waiting = list(replies)
        self.answer = lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


@dataclass
class Times:
    """Clocks that move only when somebody sleeps."""

    slept: list[float] = field(default_factory=list)
    passed_s: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed_s += seconds

    @property
    def timing(self) -> Timing:
        return Timing(
            now=lambda: NOON + timedelta(seconds=self.passed_s),
            monotonic=lambda: 1000 + self.passed_s,
            sleep=self.sleep,
            draw=lambda: 0.5,
        )


@contextmanager
def running(answer: Callable[[Seen], Reply], *, tls: ssl.SSLContext | None = None) -> Iterator[Api]:
    """Run a server while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen = Seen(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers.items()), body)
            api.seen.append(seen)
            reply = api.answer(seen)
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", **reply.headers}
            if reply.length and reply.status not in (204, 304):
                headers["Content-Length"] = str(len(reply.content))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.content if reply.cut_after is None else reply.content[: reply.cut_after])
            self.wfile.flush()
            self.close_connection = reply.cut_after is not None or not reply.length

        do_POST = do_GET  # noqa: N815 - named by the base class

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # a client that keeps its connection does not keep the test

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away, or does not trust the certificate, is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        api = Api(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", answer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()

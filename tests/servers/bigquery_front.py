"""What stands before the emulator of BigQuery, for what it does otherwise: the ids of jobs.

BigQuery does a job of one id once: another insert is refused with 409 (duplicate), and the first can be asked for. The
emulator gives jobs that bring rows ids of its own, does them again, and forgets them when it ends. Everything else is
handed on as it is.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Jobs = dict[str, tuple[str, bytes]]
"""Jobs that were inserted, by the ids that clients gave them: the emulator's own id, and what it answered."""

_JOB = re.compile(rb'"jobId":\s*"([^"]+)"')
_KEPT_BACK = ("content-length", "transfer-encoding", "connection", "date", "server")


class _Standing(ThreadingHTTPServer):
    """The server before the emulator.

    Attributes:
        emulator: The emulator's port.
        jobs: The jobs that are known.
        sessions: Uploads in pieces by their paths: the id of the job that the last piece begins.
    """

    def __init__(self, port: int, *, emulator: int, jobs: Jobs) -> None:
        super().__init__(("127.0.0.1", port), _Front)
        self.emulator, self.jobs = emulator, jobs
        self.sessions: dict[str, str] = {}

    @property
    def place(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def asked(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the emulator; gives status, headers and body."""
        connection = HTTPConnection("127.0.0.1", self.emulator, timeout=60)
        try:
            connection.request(method, path, body, {k: v for k, v in headers.items() if k.lower() != "host"})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


class _Front(BaseHTTPRequestHandler):
    """One request."""

    server: _Standing

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("content-length") or 0)
        self.hand_on(self.rfile.read(length) if length else None)

    def hand_on(self, body: bytes | None) -> None:
        """Ask the emulator, but for a job that was inserted before."""
        jobs = self.server.jobs
        name = self.inserted(body)
        if name in jobs and self.path not in self.server.sessions:
            said = {"code": 409, "message": "Already Exists: Job", "errors": [{"reason": "duplicate"}]}
            self.reply(409, {"content-type": "application/json"}, json.dumps({"error": said}).encode())
            return
        last = self.path.partition("?")[0].rpartition("/")[2]
        own, stored = jobs.get(last, (last, b""))
        path = self.path.replace(last, own, 1)
        status, headers, answer = self.server.asked(self.command, path, body, dict(self.headers))
        if status == 404 and stored and self.command == "GET":
            status, answer = 200, stored
        if name and "location" in headers:
            parts = urlsplit(headers["location"])
            self.server.sessions[f"{parts.path}?{parts.query}"] = name
            headers["location"] = parts._replace(netloc=self.server.place).geturl()
        elif name and status == 200 and (found := _JOB.search(answer)):
            jobs[name] = found[1].decode(), answer
        self.reply(status, headers, answer)

    def inserted(self, body: bytes | None) -> str:
        """The id of the job that a request inserts; empty where it inserts none."""
        if self.path in self.server.sessions:
            return self.server.sessions[self.path]
        is_insert = self.command == "POST" and self.path.partition("?")[0].endswith("/jobs")
        found = _JOB.search(body or b"") if is_insert else None
        return "" if found is None else found[1].decode()

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer the client."""
        self.send_response(status)
        for name, value in headers.items():
            if name not in _KEPT_BACK:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the library
        """Say nothing."""


@contextmanager
def front_of(emulator: int, *, port: int, jobs: Jobs) -> Iterator[str]:
    """Listen for a ``with`` block; gives the address.

    Args:
        emulator: Its port on 127.0.0.1.
        port: To listen on; 0 takes a free one.
        jobs: Those that are known; grows.
    """
    server = _Standing(port, emulator=emulator, jobs=jobs)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://{server.place}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A response in one write: the head waits for the first piece of the body.

uvicorn writes the head of a response and then its body, each a system call and a packet that wakes the client. Here the
head is kept until the body comes, or until the next turn of the loop where it does not come at once (a stream, an empty
body), and both go out together. Measured with one connection on loopback this takes a fifth off a short answer.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from trunkline.serve.devices.asking import CERTIFICATE
from trunkline.serve.refusals import Answer
from trunkline.serve.tls import certificate_sha256

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, HTTPScope

__all__ = ["OneWriteProtocol"]

_LARGE_BYTES: Final = 1 << 15  # below uvicorn's own mark for pausing a client that sends much


class _Endpoint(Protocol):
    """One that can answer without a task."""

    def offer(self, scope: "HTTPScope", body: bytes, deliver: Callable[[Answer], None]) -> bool:
        """Take a whole request and deliver its answer; False where it has to go through the application."""
        ...


class _Joining(asyncio.Transport):
    """A transport that joins a write with the one that follows it in the same turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._call_soon = loop.call_soon
        self._kept = b""
        self._flushing: asyncio.Handle | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep the first piece; write the second with it."""
        if self._flushing is None:
            self._kept = bytes(data)
            self._flushing = self._call_soon(self._flush)
        else:
            self._flushing.cancel()
            self._flushing = None
            self._transport.write(self._kept + data)

    def write_now(self, data: bytes) -> None:
        """Write, after what was kept."""
        self._flush()
        self._transport.write(data)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
            self._transport.write(self._kept)

    # All else is the transport's own; what ends or hands over the connection first lets go of what was kept.

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio declares it
        return self._transport.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + (len(self._kept) if self._flushing else 0)

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over a joining transport, with a short way for requests that need not wait.

    A POST to a path of the application's ``hot`` table is kept until its body is there, and offered to its endpoint; a
    task, its events and another turn of the loop would cost as much as the prediction. What the endpoint does not take,
    and all that is not plain (a large body, ``Expect``, a client that does not read), goes to the application as ever.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        """Take a new connection."""
        self._joining = _Joining(transport, self.loop)
        self._hot: Mapping[str, _Endpoint] = getattr(self.app, "hot", {})
        self._offered: tuple[RequestResponseCycle, _Endpoint] | None = None
        super().connection_made(self._joining)
        fingerprint = certificate_sha256(transport.get_extra_info("ssl_object"))
        if fingerprint is not None:  # for each request of this connection, and for its WebSocket
            self.app_state = {**self.app_state, CERTIFICATE: fingerprint}

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        scope = cycle.scope
        if app is self.app and cycle.more_body and scope["method"] == "POST" and not cycle.waiting_for_100_continue:
            endpoint = self._hot.get(scope["path"])
            if endpoint is not None:
                self._offered = cycle, endpoint
                return
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        super().on_body(body)
        if self._offered is not None and len(self.cycle.body) > _LARGE_BYTES:
            self._go_on()

    def on_message_complete(self) -> None:
        """Answer a request that is there as a whole, if its endpoint can."""
        super().on_message_complete()
        if self._offered is None:
            return
        cycle, endpoint = self._offered
        if self.flow.write_paused or not endpoint.offer(cycle.scope, bytes(cycle.body), partial(self._write, cycle)):
            self._go_on()
        else:
            self._offered = None

    def _go_on(self) -> None:
        """Call the application with the request that was kept."""
        if self._offered is not None:
            cycle, self._offered = self._offered[0], None
            super()._start_asgi_task(cycle, self.app)

    def _write(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        """Write an answer; a connection on which that fails is ended, so that its client does not wait for ever."""
        if cycle.disconnected:
            return
        try:
            self._write_whole(cycle, answer)
        except Exception:
            self.transport.abort()
            raise

    def _write_whole(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        self._offered = None
        parts = [STATUS_LINE[answer.status]]
        for name, value in (*cycle.default_headers, *answer.headers):
            parts += name, b": ", value, b"\r\n"
        parts.append(b"content-length: %d\r\n" % len(answer.body))
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        parts.append(answer.body)
        self._joining.write_now(b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

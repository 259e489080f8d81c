"""The edge as a WebSocket: one acknowledgement for each message, sent when its records are durable.

``/v1/ingest/{usecase}/{dataset}/stream`` takes in each message, text or bytes, whatever a request to the edge may hold.
It is answered by one JSON object with the message's number on this connection, counted from 1, a status as of HTTP, and
the verdicts. Messages are taken one after the other: who sends faster than the log takes finds the connection full, so
nothing piles up here. What was answered by another status than 200 may be sent again: it was not stored, or, by a
broker elsewhere that did not answer in time (503), it is not known, and records with a key are there once.
"""

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from trunkline.serve.access import Access
from trunkline.serve.edge import IngestEndpoint
from trunkline.serve.refusals import Answer, refused

__all__ = ["IngestStream"]

_PAUSE_S: Final = 1.0
_REFUSED: Final = (401, 403)
_FULL: Final = (429, 503)
_POLICY: Final = 1008


class IngestStream:
    """``/v1/ingest/{usecase}/{dataset}/stream``.

    Args:
        endpoint: Takes the same messages as requests.
        access: Refuses pages of other sites.
    """

    def __init__(self, endpoint: IngestEndpoint, *, access: Access) -> None:
        self._endpoint = endpoint
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, from its handshake to its end."""
        await receive()  # the wish to connect
        try:
            self._access.refuse_strangers(scope["headers"])
            self._endpoint.admit(scope)
        except Exception as error:  # noqa: BLE001 - every error is an answer
            await _deny(scope, send, refused(error))
            return
        await send({"type": "websocket.accept"})
        number = 0
        while (event := await receive())["type"] == "websocket.receive":
            number += 1
            text = event.get("text")
            body = event.get("bytes") or b"" if text is None else text.encode()
            answer = await self._endpoint.message(scope, body)
            head = b'{"message":%d,"status":%d,' % (number, answer.status)
            await send({"type": "websocket.send", "text": (head + answer.body[1:]).decode()})
            if answer.status in _REFUSED:  # revoked meanwhile
                await send({"type": "websocket.close", "code": _POLICY, "reason": "not allowed any more"})
                return
            if answer.status in _FULL:
                await asyncio.sleep(_PAUSE_S)  # nothing more is read until the log has had a while


async def _deny(scope: Scope, send: Send, answer: Answer) -> None:
    """Answer the handshake with a refusal."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY})
        return
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})

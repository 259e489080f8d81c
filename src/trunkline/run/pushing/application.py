"""The HTTP around the pushing: ``POST /push`` takes messages, ``GET /health`` says how many were pushed.

A 2xx acknowledges to Pub/Sub, anything else makes it send again later. So what can never be pushed is acknowledged,
and only what may go well another time is not.
"""

import logging
import time
from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, TrunklineError, UnknownNameError
from trunkline.run.pushing.ledger import PushLedger
from trunkline.run.pushing.reading import messages_in
from trunkline.run.pushing.receiving import PushReceiver
from trunkline.run.pushing.tokens import RefusedTokenError, TokenCheck

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["push_app"]

_MOST_BYTES: Final = 10 << 20  # Pub/Sub's own limit of a message
_PATIENCE_S: Final = 20.0
_logger = logging.getLogger(__name__)


def push_app(receiver: PushReceiver, *, ledger: PushLedger, tokens: TokenCheck | None) -> "Starlette":
    """Build the application.

    Args:
        receiver: Takes the messages.
        ledger: Counts them.
        tokens: Checks who sends; None takes whoever reaches the port.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def push(request: "Request") -> "Response":
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return JSONResponse({"error": "the request is too large"}, 413)
        try:
            if tokens is not None:
                await run_in_threadpool(tokens.check, request.headers.get("authorization", ""))
        except RefusedTokenError as error:
            _logger.warning("a push without a valid token: %s", error)
            return JSONResponse({"error": "the token is not valid"}, 401)
        except TrunklineError as error:
            return JSONResponse({"error": error.what}, 503)
        try:
            messages = messages_in(body)
        except InputError as error:
            _logger.error("a message cannot be read, and is left out: %s", error.what)  # noqa: TRY400 - a sentence says it
            return JSONResponse({"error": error.what, "next": error.next_step}, 202)
        counted: dict[str, int] = {}
        until = time.monotonic() + _PATIENCE_S
        for message in messages:
            if time.monotonic() > until:  # the sender sends all of them again, and those that were pushed cost nothing
                counted["again"] = counted.get("again", 0) + 1
                continue
            try:
                state: str = await run_in_threadpool(receiver.take, message)
            except UnknownNameError:
                state = "dropped"
            except TrunklineError as error:
                _logger.error("a message could not be taken: %s", error.what)  # noqa: TRY400 - likewise
                state = "again"
            counted[state] = counted.get(state, 0) + 1
        return JSONResponse(counted, 503 if counted.get("again") else 200)

    async def health(_: "Request") -> "Response":
        return JSONResponse(await run_in_threadpool(ledger.counts))

    return Starlette(routes=[Route("/push", push, methods=["POST"]), Route("/health", health)])

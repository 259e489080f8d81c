"""The HTTP around the pushing: ``POST /push`` takes messages, ``GET /health`` says how many were pushed.

A 2xx acknowledges to Pub/Sub, anything else makes it send again later. So what can never be pushed is acknowledged,
and only what may go well another time is not.
"""

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, TrunklineError, UnknownNameError
from trunkline.run.pushing.ledger import PushLedger
from trunkline.run.pushing.reading import Message, messages_in
from trunkline.run.pushing.receiving import PushReceiver, Received
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
        authorization = request.headers.get("authorization", "")
        status, told = await run_in_threadpool(_answered, receiver, tokens, authorization, body)
        return JSONResponse(told, status)

    async def health(_: "Request") -> "Response":
        return JSONResponse(await run_in_threadpool(ledger.counts))

    return Starlette(routes=[Route("/push", push, methods=["POST"]), Route("/health", health)])


def _answered(
    receiver: PushReceiver, tokens: TokenCheck | None, authorization: str, body: bytes
) -> tuple[int, dict[str, object]]:
    """Answer a request: the status, and what is said."""
    try:
        if tokens is not None:
            tokens.check(authorization)
        messages, wrong = messages_in(body)
    except RefusedTokenError as error:
        _logger.warning("a push without a valid token: %s", error)
        return 401, {"error": "the token is not valid"}
    except InputError as error:
        _logger.error("a request holds no messages, and is left out: %s", error.what)  # noqa: TRY400 - a sentence says it
        return 202, {"error": error.what, "next": error.next_step}
    except TrunklineError as error:
        return 503, {"error": error.what}
    for said in wrong:
        _logger.error("a message cannot be read, and is left out: %s", said)
    counted = Counter({"unreadable": len(wrong)} if wrong else {})
    until = time.monotonic() + _PATIENCE_S
    for message in messages:
        # when time is up the sender sends all of them again, and those that were pushed cost nothing
        counted["again" if time.monotonic() > until else _taken(receiver, message)] += 1
    return 503 if counted["again"] else 200, {state: count for state, count in counted.items() if count}


def _taken(receiver: PushReceiver, message: Message) -> Received:
    try:
        return receiver.take(message)
    except UnknownNameError as error:
        _logger.error("a message can never be pushed here: %s", error.what)  # noqa: TRY400 - a sentence says it
        return receiver.give_up(message, "unknown use case")
    except TrunklineError as error:
        _logger.error("a message could not be taken: %s", error.what)  # noqa: TRY400 - likewise
        return "again"

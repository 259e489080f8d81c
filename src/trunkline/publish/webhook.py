"""A webhook as a sink: rows are posted to an address, piece by piece, signed, each with a key that names it for good.

A receiver that keeps the ``Idempotency-Key`` of what it took needs no more to take everything once: which rows it has
acknowledged is written down here, and the piece whose answer was lost comes again under the same key, which is made of
the ids of its rows. The ids go along, in the order of the rows.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trunkline.errors import InputError, MissingExtraError, UnavailableError
from trunkline.publish.messages import messages_of
from trunkline.publish.outbox import Memory
from trunkline.publish.protocol import Capabilities, Delivery, Latest, Rows, Target
from trunkline.settings.drills import point
from trunkline.spec.rest import address_fault

if TYPE_CHECKING:
    from httpx2 import Client, Response

__all__ = ["CRASH_POINTS", "WebhookSink", "signature"]

CRASH_POINTS: Final = ("publish.webhook.before_post", "publish.webhook.after_post", "publish.webhook.noted")
"""Points at which a drill kills the publishing process."""

_AGAIN: Final = "nothing is lost: the next delivery brings what is owed, under the same keys"
_TRIED_AGAIN: Final = frozenset((408, 409, 425, 429))


def signature(secret: bytes, *, at: int, key: str, body: bytes) -> str:
    """Sign what is posted: HMAC-SHA256 over instant, idempotency key and body, with full stops between.

    Args:
        secret: The key that sender and receiver share.
        at: Seconds since 1970, as the header ``Trunkline-Timestamp`` says.
        key: As the header ``Idempotency-Key`` says.
        body: The body as it is sent.

    >>> signature(b"secret", at=1, key="k", body=b"{}")
    'sha256=69f6425977b5eb3005d9c788858d3d88b24fed54691ed8a22f629c9ddb622f6a'
    """
    signed = b".".join((str(at).encode(), key.encode(), body))
    return f"sha256={hmac.new(secret, signed, hashlib.sha256).hexdigest()}"


class WebhookSink:
    """An address that takes rows; see :class:`~trunkline.publish.protocol.Sink`.

    Args:
        url: The address; without TLS only this machine is reached.
        memory: Which rows were acknowledged.
        secret: Signs what is posted; empty signs nothing.
        headers: Further headers, e.g. an API key.
        timeout_s: Longest wait for an answer (seconds).
        now: The clock of the signature, seconds since 1970.

    Raises:
        InputError: The address is malformed.
        MissingExtraError: The client is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        memory: Memory,
        secret: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        try:
            import httpx2
        except ModuleNotFoundError:
            raise MissingExtraError("httpx2", extra="rest") from None
        if fault := address_fault(url, allow_http=False):
            raise InputError(f"the address of the webhook cannot be used: {fault}", where="`url` of the sink")
        self._url, self._memory, self._secret, self._now = url, memory, secret.encode(), now
        self._client: Client = httpx2.Client(timeout=timeout_s, headers=dict(headers or {}), follow_redirects=False)

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others."""
        return Capabilities(name="webhook", modes=frozenset(("append",)), remembers=False, views=False, keeps=False)

    @property
    def shown(self) -> str:
        """Host and path; a query may hold a token."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def check(self) -> None:
        """Post nothing: whether the receiver takes rows is known when it has taken some."""

    def held(self, target: Target) -> str | None:  # noqa: ARG002 - as the protocol says
        """Nobody can say what a receiver kept."""
        return None

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Post the rows that were not acknowledged yet.

        Raises:
            InputError: The receiver refuses them for good.
            UnavailableError: It did not answer, or wants to be asked later.
        """
        count = 0
        for place, piece in enumerate(rows()):
            batch = self._memory.lacks(piece)
            if not batch.num_rows:
                continue
            messages = list(messages_of(delivery.target, batch))
            ids = [one.message_id for one in messages]
            key = hashlib.sha256("".join(ids).encode()).hexdigest()[:32]
            body = self._body(delivery, place, ids, [one.body for one in messages])
            point("publish.webhook.before_post")
            self._post(key, body)
            point("publish.webhook.after_post")
            self._memory.add(delivery, batch)
            point("publish.webhook.noted")
            count += batch.num_rows
        return count

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say what would be posted."""
        return (f"POST {self.shown}: rows of {delivery.target.name}, Idempotency-Key made of the ids of the rows",)

    def show(self, latest: Latest) -> None:
        """A receiver has no views."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- inside

    def _body(self, delivery: Delivery, place: int, ids: list[str], rows: list[bytes]) -> bytes:
        target = delivery.target
        head = {
            "target": target.name,
            "usecase": target.usecase,
            "batch_id": delivery.batch_id,
            "piece": place,
            "key": target.key,
            "whole": delivery.whole,
            "run_id": delivery.run_id,
            "ids": ids,
        }
        return json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"rows":[' + b",".join(rows) + b"]}"

    def _post(self, key: str, body: bytes) -> None:
        import httpx2

        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if self._secret:
            at = int(self._now())
            headers["Trunkline-Timestamp"] = str(at)
            headers["Trunkline-Signature"] = signature(self._secret, at=at, key=key, body=body)
        try:
            answer: Response = self._client.post(self._url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            raise UnavailableError(
                f"the receiver did not answer ({type(error).__name__})", where=self.shown, next_step=_AGAIN
            ) from None
        if answer.is_success:
            return
        if answer.status_code in _TRIED_AGAIN or answer.status_code >= 500:
            raise UnavailableError(
                f"the receiver could not take rows (status {answer.status_code})", where=self.shown, next_step=_AGAIN
            )
        raise InputError(
            f"the receiver refuses rows (status {answer.status_code})",
            where=self.shown,
            next_step="check address, `secret` and `options` of the sink; redirections are not followed",
        )

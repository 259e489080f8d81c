"""The live page: one picture, renewed every second by server-sent events.

The page has a script of its own, a few lines that put what the server rendered in its place; its policy lets nothing
else run. A stream of events ends after some seconds and the browser asks again, so that a server can be stopped while
somebody looks. All who look share one picture: the lake is read once a second, however many they are.
"""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from trunkline.console.live import Live
from trunkline.console.live_charts import reading_chart
from trunkline.console.sparkline import sparkline
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    import jinja2

__all__ = ["LivePage", "LiveReader"]

_EVERY_S: Final = 1.0
_EVENTS: Final = 10
_MOST_VIEWERS: Final = 50
_SCRIPT: Final = """
const place = document.getElementById("live"), state = document.getElementById("state");
const events = new EventSource("/console/live/events");
const lag = document.getElementById("lag");
events.onmessage = async (event) => {
  place.innerHTML = JSON.parse(event.data);
  state.textContent = "live";
  const found = await (await fetch("/v2/health/ready")).json();
  lag.textContent = found.log.waiting.toLocaleString("en");
};
events.onerror = () => { state.textContent = "connecting"; };
"""


class LiveReader(Protocol):
    """Reads what comes in."""

    def live(self) -> Live:
        """Read it now."""
        ...


class LivePage:
    """The page and its events.

    Args:
        reader: Reads what is shown.
        environment: Has the templates.
    """

    def __init__(self, reader: LiveReader, *, environment: "Callable[[], jinja2.Environment]") -> None:
        self._reader = reader
        self._environment = environment
        self._lock = threading.Lock()
        self._read_at = -_EVERY_S
        self._picture = ""
        self._viewers = 0

    def page(self, rendered: Callable[[dict[str, object]], str]) -> Response:
        """Give the page with the first picture.

        Args:
            rendered: Renders the page's template with facts.
        """
        nonce = secrets.token_urlsafe(12)
        script = Markup('<script nonce="{}">{}</script>').format(nonce, Markup(_SCRIPT))  # noqa: S704 - written above
        text = rendered({"picture": Markup(self.picture()), "script": script})  # noqa: S704 - rendered with escapes
        policy = (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": policy})

    def picture(self) -> str:
        """Render what comes in; at most once a second, for all who look."""
        with self._lock:
            if time.monotonic() - self._read_at >= _EVERY_S:
                try:
                    facts: dict[str, object] = {"live": self._reader.live(), "error": None}
                except TrunklineError as error:
                    facts = {"live": None, "error": error}
                template = self._environment().get_template("live_picture.html.j2")
                self._picture = template.render(facts, age=age, clock=clock, sparkline=sparkline, chart=reading_chart)
                self._read_at = time.monotonic()
            return self._picture

    def events(self, request: Request) -> Response:
        """Give the pictures of some seconds as server-sent events."""
        if self._viewers >= _MOST_VIEWERS:
            return Response("too many are looking", status_code=503, headers={"Retry-After": "10"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
        return StreamingResponse(self._events(request), media_type="text/event-stream", headers=headers)

    async def _events(self, request: Request) -> AsyncIterator[str]:
        self._viewers += 1
        try:
            yield "retry: 500\n\n"
            for _ in range(_EVENTS):
                if await request.is_disconnected():
                    return
                picture = await asyncio.to_thread(self.picture)
                yield f"data: {json.dumps(picture)}\n\n"
                await asyncio.sleep(_EVERY_S)
        finally:
            self._viewers -= 1


def age(seconds: float) -> str:
    """Say how long ago something was.

    >>> age(3.4), age(75)
    ('3 s', '1 min')
    """
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f} min"


def clock(at: datetime) -> str:
    """Say a time of day."""
    return f"{at:%H:%M:%S}"

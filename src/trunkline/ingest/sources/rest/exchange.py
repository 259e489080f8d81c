"""What goes to a server and comes back, as values; and the clocks that a pull goes by."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["Answer", "Asked", "Timing", "plain", "real_timing", "retry_after_s"]


@dataclass(frozen=True)
class Timing:
    """What is not the same twice, handed in so that tests can hold it still.

    Attributes:
        now: Gives the current instant, UTC.
        monotonic: Seconds on a clock that never goes back.
        sleep: Waits for so many seconds.
        draw: Gives a number in [0, 1).
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    draw: Callable[[], float]


def real_timing() -> Timing:
    """Give the machine's clocks."""
    return Timing(lambda: datetime.now(UTC), time.monotonic, time.sleep, random.SystemRandom().random)


@dataclass(frozen=True)
class Asked:
    """A request without credentials.

    Attributes:
        url: Its address, perhaps with a query.
        method: GET or POST.
        params: More parameters of the query.
        headers: Headers of this request alone.
        json: JSON body; None for none.
        form: Form body; None for none.
        accepts: Statuses other than 2xx that are no fault.
    """

    url: str
    method: str = "GET"
    params: Mapping[str, str | int | float | bool] | None = None
    headers: Mapping[str, str] | None = None
    json: object | None = None
    form: Mapping[str, str] | None = None
    accepts: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Answer:
    """A page.

    Attributes:
        status: 2xx, or one of the accepted.
        document: Its JSON; None where it has no body.
        next_link: Address behind ``rel="next"`` of its header ``Link``, as it stands there; empty for none.
        url: Address that answered; relative links start from it.
    """

    status: int
    document: object
    next_link: str
    url: str


def plain(url: str) -> str:
    """Give an address without its query, in which credentials may stand."""
    return url.partition("?")[0].partition("#")[0]


def retry_after_s(text: str | None, *, now: datetime) -> float | None:
    """Read ``Retry-After`` (RFC 9110, section 10.2.3): seconds, or a date."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())

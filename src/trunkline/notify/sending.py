"""The door to Apprise: says something to one target, or why it could not.

Apprise speaks with e-mail, chats, SMS and webhooks by one URL each. It is imported at the first notice and logs
nothing of its own, for its log may hold addresses: what it says of a failure is told without them. A target that
answers in time with success has taken the notice; everything else may be tried again.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, MissingExtraError
from trunkline.notify.notices import Notice
from trunkline.notify.words import Words
from trunkline.settings.notify import NotifyTarget, Severity

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Sender"]

_LOG: Final = logging.getLogger("apprise")
_ADDRESS: Final = re.compile(r"\S*@\S*|\S*://\S*|#\S+|\+?\d[\d ()-]{5,}\d")
_LONGEST: Final = 200
_LONGEST_PAUSE_S: Final = 5.0
_LINES: Final[ContextVar[list[str] | None]] = ContextVar("what Apprise logs", default=None)
_TYPES: Final[dict[Severity, str]] = {
    "info": "info",
    "warning": "warning",
    "minor": "warning",
    "major": "failure",
    "critical": "failure",
}


class Sender:
    """Sends to one target.

    Args:
        name: Its name, for messages.
        target: Its URL.

    Raises:
        MissingExtraError: Apprise is not installed.
        InputError: Apprise does not know such a URL.
    """

    def __init__(self, name: str, target: NotifyTarget) -> None:
        try:
            import apprise
        except ModuleNotFoundError:
            raise MissingExtraError("apprise", extra="notify") from None
        _listen()
        self._apprise = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Trunkline", secure_logging=True))
        if not self._apprise.add(target.url.get_secret_value()):
            scheme = target.url.get_secret_value().partition("://")[0]
            raise InputError(
                f"Apprise does not know such a URL ({scheme}://...)",
                where=f"notify.targets.{name}.url",
                allowed=("mailto://", "slack://", "msteams://", "tgram://", "json://", "and others of Apprise"),
                next_step="see docs/notify.md",
            )

    def send(self, notice: Notice, words: Words) -> str | None:
        """Say it.

        Returns:
            None where it was taken, else why not, in one line without addresses.
        """
        import apprise

        kind = apprise.NotifyType(_TYPES[notice.severity])
        with _heard() as lines:
            taken = self._apprise.notify(title=words.title, body=words.text, notify_type=kind, body_format="text")
        if taken:
            return None
        return _without_addresses(lines[0]) if lines else "Apprise says no more than that it was not taken"

    def insist(self, notice: Notice, words: Words, *, attempts: int) -> tuple[str | None, int]:
        """Say it until it is taken, with growing pauses of some seconds.

        Args:
            notice: The notice.
            words: As it is said.
            attempts: How often at most.

        Returns:
            As :meth:`send` of the last try; and how often it was tried.
        """
        from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential_jitter

        tries = Retrying(
            retry=retry_if_result(lambda reason: reason is not None),
            stop=stop_after_attempt(attempts),
            wait=wait_exponential_jitter(initial=0.2, max=_LONGEST_PAUSE_S),
            retry_error_callback=_last_reason,
        )
        reason = tries(self.send, notice, words)
        return reason, int(tries.statistics["attempt_number"])


def _last_reason(state: "RetryCallState") -> str | None:
    assert state.outcome is not None, "it was tried"
    reason: str | None = state.outcome.result()
    return reason


class _Listener(logging.Handler):
    """Hands what is logged to whoever sends in this thread, and to nobody else."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _LINES.get()
        if lines is not None:
            lines.append(record.getMessage())


def _listen() -> None:
    """Let nobody but the sender see what Apprise logs."""
    if not any(isinstance(handler, _Listener) for handler in _LOG.handlers):
        _LOG.addHandler(_Listener())
    _LOG.propagate = False
    _LOG.setLevel(logging.WARNING)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Hear what Apprise has to say of a failure of this thread."""
    lines: list[str] = []
    token = _LINES.set(lines)
    try:
        yield lines
    finally:
        _LINES.reset(token)


def _without_addresses(line: str) -> str:
    """Hide addresses: words with an ``@``, URLs, channels, and numbers as long as those of telephones.

    >>> _without_addresses("Failed to send SMS to +4915112345678 by https://user:x@host/y: Not Found, error=404.")
    'Failed to send SMS to ... by ... Not Found, error=404.'
    """
    return _ADDRESS.sub("...", " ".join(line.split()))[:_LONGEST]

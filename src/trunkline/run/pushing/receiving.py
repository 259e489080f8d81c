"""Makes pushes of messages: consent, cap and validity are asked once more, and nobody gets a message twice.

Between the decision and the push a customer may have taken consent back, or had other messages. What is refused for
good is taken and dropped; what the push service did not take is left to the sender, who sends it again, and is a dead
letter after a number of times.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from pydantic import SecretStr

from trunkline.errors import InputError
from trunkline.notify import Notice, Sender, Words
from trunkline.run.contacting import consents_of
from trunkline.run.pushing.ledger import PushLedger
from trunkline.run.pushing.reading import Message
from trunkline.run.workspace import Workspace
from trunkline.settings.notify import NotifyTarget

if TYPE_CHECKING:
    from trunkline.settings.messages import MessageSettings

__all__ = ["PushReceiver", "Received"]

Received = Literal["pushed", "dropped", "again", "dead"]
"""What became of a message: ``again`` where its sender has to send it once more."""

_CONSENTS_LIVE: Final = timedelta(seconds=30)
_logger = logging.getLogger(__name__)


class PushReceiver:
    """Takes messages, from any thread, one at a time.

    Args:
        workspace: Opens the workspace; called for each reading of consents.
        ledger: What was pushed.
        clock: Gives the current instant, UTC.

    Raises:
        InputError: The settings name no push service, one that Apprise does not know, or words that cannot be made.
        MissingExtraError: Apprise is not installed.
    """

    def __init__(
        self, workspace: Callable[[], Workspace], *, ledger: PushLedger, clock: Callable[[], datetime]
    ) -> None:
        self._open, self._ledger, self._clock = workspace, ledger, clock
        with workspace() as opened:
            self._settings: MessageSettings = opened.settings.messages
        if self._settings.push.url is None:
            raise InputError(
                "no push service is named",
                where="messages.push.url",
                next_step='e.g. TRUNKLINE_MESSAGES__PUSH__URL="jsons://push.example.org/devices/{entity_key}"',
            )
        self._try_out()
        self._agreed: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def take(self, message: Message) -> Received:
        """Push a message, or say why not.

        Raises:
            UnknownNameError: There is no such use case.
            UnavailableError: The lake or the ledger did not answer.
        """
        now, settings = self.now(), self._settings
        known = self._ledger.outcome(message.message_id)
        if known is not None:
            return known
        reason = self._refusal(message, now)
        if reason:
            self._ledger.settle(message.message_id, message.entity_key, "dropped", reason=reason, now=now)
            return "dropped"
        since = now - timedelta(days=settings.cap_days)
        found = self._ledger.claim(message.message_id, message.entity_key, cap=settings.cap, since=since, now=now)
        if found == "capped":
            self._ledger.settle(message.message_id, message.entity_key, "dropped", reason="capped", now=now)
            return "dropped"
        if found != "claimed":
            return "again" if found == "busy" else found  # type: ignore[return-value]  # a state for good
        taken, deliveries, most = False, 0, settings.push.give_up_after
        try:
            taken = self._pushed(message)
        finally:
            if taken:
                self._ledger.settle(message.message_id, message.entity_key, "pushed", now=now)
            else:
                deliveries = self._ledger.release(message.message_id, give_up_after=most, now=now)
        if taken:
            return "pushed"
        return "dead" if deliveries >= most else "again"

    def give_up(self, message: Message, reason: str) -> Received:
        """Write a message down as a dead letter."""
        self._ledger.settle(message.message_id, message.entity_key, "dead", reason=reason, now=self.now())
        return "dead"

    def now(self) -> datetime:
        """The current instant, UTC."""
        return self._clock()

    def _refusal(self, message: Message, now: datetime) -> str:
        if message.channel != self._settings.channel:
            return "another channel"
        if message.valid_until < now:
            return "expired"
        return "" if message.entity_key in self._consenting(message.usecase, now) else "no_consent"

    def _consenting(self, usecase: str, now: datetime) -> frozenset[str]:
        """Who agrees to the channel, as of some seconds ago."""
        with self._lock:
            read_at, known = self._agreed.get(usecase, (None, frozenset[str]()))
            if read_at is not None and now - read_at < _CONSENTS_LIVE:
                return known
            with self._open() as workspace:
                consents = consents_of(workspace, workspace.usecase(usecase))
            rows = [] if consents is None else consents.to_pylist()
            agreed = frozenset(str(row["entity_key"]) for row in rows if row["given"])
            self._agreed[usecase] = now, agreed
            return agreed

    def _pushed(self, message: Message) -> bool:
        sender = self._sender(message)
        notice = Notice(
            notice_id=f"message:{message.message_id}",
            kind="audience.ready",
            usecase=message.usecase,
            severity="info",
            title=message.offer,
            text=message.offer,
            at=self._clock(),
            run_id=message.campaign,
        )
        refusal, _ = sender.insist(notice, self._words(message), attempts=self._settings.push.attempts)
        if refusal is not None:
            _logger.warning("the push service did not take a message: %s", refusal, extra={"usecase": message.usecase})
        return refusal is None

    def _sender(self, message: Message) -> Sender:
        url = self._settings.push.url
        assert url is not None, "refused when it was made"
        said = url.get_secret_value().replace("{entity_key}", quote(message.entity_key, safe=""))
        said = said.replace("{message_id}", quote(message.message_id, safe=""))
        return Sender("push", NotifyTarget(url=SecretStr(said)))

    def _try_out(self) -> None:
        """Make the push of a message that nobody gets: what is wrong with the settings shows before the first one."""
        tried = Message(
            message_id="m", usecase="u", campaign="c", entity_key="k", offer="o", channel="push", valid_until=self.now()
        )
        self._sender(tried)
        try:
            self._words(tried)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            raise InputError(
                f"the words of a push cannot be made: {error}",
                where="messages.push.title, messages.push.text",
                allowed=Message.model_fields,
            ) from None

    def _words(self, message: Message) -> Words:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        known = message.model_dump()
        push = self._settings.push
        return Words(*(environment.from_string(said).render(known) for said in (push.title, push.text)))

"""The door to Apprise: says something to one target, or why it could not.

Apprise speaks with e-mail, chats, SMS and webhooks by one URL each. It is imported at the first notice and logs
nothing of its own, for its log may hold addresses. A target that answers in time with success has taken the notice;
everything else is tried again by the caller.
"""

import logging
from typing import Final

from trunkline.errors import InputError, MissingExtraError
from trunkline.notify.notices import Notice
from trunkline.notify.words import Words
from trunkline.settings.notify import NotifyTarget, Severity

__all__ = ["Sender"]

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
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._apprise = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Trunkline", secure_logging=True))
        if not self._apprise.add(target.url.get_secret_value()):
            scheme = target.url.get_secret_value().partition("://")[0]
            raise InputError(
                f"Apprise does not know such a URL ({scheme}://...)",
                where=f"notify.targets.{name}.url",
                allowed=("mailto://", "slack://", "msteams://", "tgram://", "json://", "and others of Apprise"),
                next_step="see docs/notify.md",
            )

    def send(self, notice: Notice, words: Words) -> bool:
        """Say it; tells whether it was taken."""
        import apprise

        kind = apprise.NotifyType(_TYPES[notice.severity])
        return bool(self._apprise.notify(title=words.title, body=words.text, notify_type=kind, body_format="text"))

"""Values of the durable log under encryption, bound to the log and the topic that they are in."""

from typing import TYPE_CHECKING, Final

from trunkline.checks.sealing import MARK, is_sealed
from trunkline.errors import InputError

if TYPE_CHECKING:
    from trunkline.lake import Keyring

__all__ = ["SealedValues"]

_CLEAR: Final = b"\x00TC1"
"""Stands before a value in clear that begins like one that is encrypted, or like this."""


class SealedValues:
    """Seals values that are written and opens those that are read; values in clear are read as they are.

    Args:
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether new values are encrypted.
        where: The log, for messages.
        log_id: Names the log.
    """

    def __init__(self, keys: "Keyring | None", *, seals: bool, where: str, log_id: str) -> None:
        self._sealer = None if keys is None else keys.sealer("durable log")
        self.seals = seals and keys is not None
        self._where, self._log_id = where, log_id

    def sealed(self, topic: str, value: bytes) -> bytes:
        """Give the value to write; an empty one says nothing and stays.

        Raises:
            InputError: The keys cannot be read or made.
        """
        if not self.seals or self._sealer is None or not value:
            return _CLEAR + value if value.startswith((MARK, _CLEAR)) else value
        return self._sealer.seal(value, bound=self._bound(topic))

    def opened(self, topic: str, value: bytes) -> bytes:
        """Give a value that was written.

        Raises:
            InputError: It is encrypted, and there are no keys.
            TamperedError: Its key is lost, or it was changed.
        """
        if not is_sealed(value):
            return value.removeprefix(_CLEAR)
        if self._sealer is None:
            raise InputError("the durable log is encrypted, and it was opened without keys", where=self._where)
        return self._sealer.open(value, bound=self._bound(topic))

    def _bound(self, topic: str) -> str:
        return f"durable log|{self._log_id}|{topic}"

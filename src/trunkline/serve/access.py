"""Who may ask what: API keys and their roles.

Takes the headers of a request, gives the role of its sender. Without keys everybody on loopback is an admin, but not
the pages of other sites that a browser on this machine shows; binding wider without a key is refused before the socket
is opened.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from trunkline.errors import InputError
from trunkline.serve.refusals import RefusedRequestError
from trunkline.settings.serve import ApiKey, Role

__all__ = ["Access", "Holder", "is_loopback", "refuse_open_binding"]

_MOST_HOSTS: Final = 64
_RANK: Final[dict[Role, int]] = {"reader": 1, "operator": 2, "admin": 3}


class Holder(NamedTuple):
    """Who asks.

    Attributes:
        name: The name of the key; ``loopback`` where no key is asked for.
        role: What the key allows.
    """

    name: str
    role: Role


_LOOPBACK: Final = Holder("loopback", "admin")


class Access:
    """The keys of one server.

    Args:
        keys: All keys; none lets everybody do everything.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        # Digests are looked up, so that the time of a comparison says nothing about a key.
        self._holders = {key.sha256: Holder(key.name, key.role) for key in keys}
        self._hosts: set[bytes] = set()

    @property
    def is_open(self) -> bool:
        """Whether everybody may do everything."""
        return not self._holders

    def refuse_strangers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Where no key is asked for, refuse what a page of another site made a browser send.

        Whoever reaches loopback may do everything then, and any page that is open in a browser on this machine reaches
        loopback: under a name of its own that it lets point there (seen by ``host``), or directly (seen by ``origin``).

        Args:
            headers: The request's headers, names in lower case.

        Raises:
            RefusedRequestError: 421 when the request is for another host, 403 when it comes from another site.
        """
        if self._holders:
            return
        host = origin = None
        for name, value in headers:
            if name == b"host":
                host = value
                if value not in self._hosts:
                    self._meet(value)
            elif name == b"origin":
                origin = value
        if origin is not None and (host is None or origin.partition(b"://")[2].lower() != host.lower()):
            raise RefusedRequestError(
                "a page of another site may not ask here", status=403, next_step="set an API key and send it"
            )

    def _meet(self, value: bytes) -> None:
        """Remember a host header that names loopback; refuse others."""
        text = value.decode("latin-1").lower()
        host = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
        if not is_loopback(host):
            raise RefusedRequestError(
                "without API keys this server answers only under a loopback name",
                status=421,
                next_step="ask for 127.0.0.1, or set an API key",
            )
        if len(self._hosts) >= _MOST_HOSTS:
            self._hosts.clear()
        self._hosts.add(value)

    def require(self, role: Role, *, headers: Sequence[tuple[bytes, bytes]]) -> Holder:
        """Let a request pass or refuse it.

        Args:
            role: The least role that may do it.
            headers: The request's headers, names in lower case: ``authorization: Bearer KEY`` or ``x-api-key: KEY``.

        Returns:
            Who asks.

        Raises:
            RefusedRequestError: 401 without a known key, 403 when its role is not enough.
        """
        if not self._holders:
            return _LOOPBACK
        holder = None
        for name, value in headers:
            if name == b"x-api-key":
                holder = self._holders.get(_digest(value))
                break
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                holder = self._holders.get(_digest(value[7:].strip()))
                break
        if holder is None:
            raise RefusedRequestError(
                "an API key is needed", status=401, next_step="send the header: authorization: Bearer KEY"
            )
        if _RANK[holder.role] < _RANK[role]:
            raise RefusedRequestError(f"this needs the role {role}", status=403, next_step="ask for another key")
        return holder


def refuse_open_binding(host: str, *, keys: Sequence[ApiKey]) -> None:
    """Refuse to listen beyond this machine without a key.

    Args:
        host: The address to bind.
        keys: The keys that would be asked for.

    Raises:
        InputError: The address is wider than loopback and there is no key.
    """
    if keys or is_loopback(host):
        return
    raise InputError(
        "binding wider than loopback needs an API key",
        where=f"serve.host = {host}",
        allowed=("127.0.0.1", "::1", "localhost"),
        next_step='set TRUNKLINE_SERVE__API_KEYS=\'[{"name": "...", "role": "reader", "key_sha256": "..."}]\'',
    )


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()

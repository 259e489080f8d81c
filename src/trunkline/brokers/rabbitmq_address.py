"""A RabbitMQ server as one URL.

Takes ``amqp://[user:password@]host[:5672][/vhost]``, ``amqps://`` for TLS (port 5671), and options of the settings:
``tls.ca``, ``tls.certificate``, ``tls.key``, ``tls.key_password``. Gives what a client is configured with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from trunkline.errors import InputError

__all__ = ["AMQP_SCHEMES", "RabbitAddress", "rabbit_address"]

AMQP_SCHEMES: Final = ("amqp://", "amqps://")
"""How addresses of RabbitMQ servers begin."""

_FORM: Final = "amqp[s]://[user:password@]host[:port][/vhost]"
_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_OPTIONS: Final = ("tls.ca", "tls.certificate", "tls.key", "tls.key_password")


@dataclass(frozen=True)
class RabbitAddress:
    """Where a server is and how it is spoken to.

    Attributes:
        host: Name or address.
        port: Port.
        vhost: The virtual host.
        is_tls: Whether the connection is encrypted.
        user: Who asks.
        password: Proves it; not shown.
        files: Files of TLS, and the password of the key; not shown.
    """

    host: str
    port: int
    vhost: str
    is_tls: bool
    user: str
    password: str = field(repr=False)
    files: Mapping[str, str] = field(repr=False)

    @property
    def where(self) -> str:
        """The server, for messages: nothing secret."""
        return f"{self.host}:{self.port}/{self.vhost.removeprefix('/')}"


def rabbit_address(url: str, options: Mapping[str, SecretStr] | None = None) -> RabbitAddress:
    """Take a URL apart.

    Args:
        url: The URL.
        options: Files of TLS.

    Raises:
        InputError: It is malformed, or an option is unknown.

    >>> found = rabbit_address("amqp://ann:p%40w@rabbit/north")
    >>> found.where, found.user, found.is_tls
    ('rabbit:5672/north', 'ann', False)
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError("the address is malformed", where="broker.url", allowed=(_FORM,)) from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise InputError("this is no address of a RabbitMQ server", where="broker.url", allowed=(_FORM,))
    files = {name: value.get_secret_value() for name, value in (options or {}).items()}
    unknown = sorted(set(files) - set(_OPTIONS))
    if unknown:
        raise InputError(f"{unknown[0][:60]!r} is no option of RabbitMQ", where="broker.options", allowed=_OPTIONS)
    if files and parts.scheme != "amqps":
        raise InputError("files of TLS belong to amqps://", where="broker.options")
    return RabbitAddress(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        vhost=unquote(parts.path.removeprefix("/")) or "/",
        is_tls=parts.scheme == "amqps",
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        files=files,
    )

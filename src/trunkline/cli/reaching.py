"""Whether a declared source could be asked: which extra its reader needs, and whether anybody listens at its address.

Nobody logs in anywhere: a connection is opened and closed again. Stores of clouds and files have no address to try.
"""

import socket
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from trunkline.spec.sources import AnySource, FolderSource

__all__ = ["extra_of", "reached"]

_LONGEST_S: Final = 2.0
_EXTRAS: Final = {
    "sql": "sql",
    "postgres_changes": "sql",
    "mariadb_changes": "sql",
    "rest": "rest",
    "mongodb": "mongodb",
    "dynamodb": "dynamodb",
    "bigquery": "bigquery",
    "kafka": "kafka",
    "mqtt": "mqtt",
    "mqtts": "mqtt",
}
_PORTS: Final = {
    "postgresql": 5432,
    "mariadb": 3306,
    "mysql": 3306,
    "mongodb": 27017,
    "https": 443,
    "http": 80,
    "kafka": 9092,
    "mqtt": 1883,
    "mqtts": 8883,
}


def extra_of(declared: AnySource) -> str | None:
    """Name the extra of the package that the source's reader needs; None where it needs none."""
    return _EXTRAS.get(declared.kind) or _EXTRAS.get(_scheme(declared))


def reached(declared: AnySource) -> tuple[bool, str]:
    """Try whether a source is there.

    Returns:
        False where nobody listens or a folder is not there; and what was tried, without credentials.
    """
    if isinstance(declared, FolderSource):
        return declared.path.is_dir(), f"folder {declared.path}"
    scheme = _scheme(declared)
    if scheme not in _PORTS:
        return True, "declared; its address is not tried"
    # of a cluster of brokers the first is as good as any
    first = urlsplit(f"//{urlsplit(_url(declared)).netloc.rpartition('@')[2].partition(',')[0]}")
    try:
        host, port = first.hostname or "127.0.0.1", first.port or _PORTS[scheme]
    except ValueError:
        return False, "its address has no port that is a number"
    try:
        with socket.create_connection((host, port), timeout=_LONGEST_S):
            return True, f"{host}:{port} answers"
    except OSError as error:
        return False, f"{host}:{port} does not answer: {error.strerror or type(error).__name__}"


def _scheme(declared: AnySource) -> str:
    return urlsplit(_url(declared)).scheme.partition("+")[0] if "+srv" not in _url(declared) else ""


def _url(declared: AnySource) -> str:
    said = getattr(declared, "url", "")
    return said.get_secret_value() if isinstance(said, SecretStr) else str(said)

"""Where a database of MongoDB is: a URL in, an address that can be shown and one that can be opened out."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from trunkline.errors import InputError, MissingExtraError
from trunkline.ingest.sources.mongodb.faults import malformed
from trunkline.ingest.sources.url_options import UrlOptions
from trunkline.spec.stores import MongoSource

__all__ = ["Address", "declared_from_url", "opened_address"]

_OPTIONS: Final = UrlOptions(
    ("collection", "cursor", "mode", "overlap_s", "piece_rows"),
    example="mongodb://user@host/db?collection=tickets&cursor=updated_at",
)
_SCHEMES: Final = ("mongodb", "mongodb+srv")


@dataclass(frozen=True)
class Address:
    """A database's address.

    Attributes:
        url: Opened by pymongo; holds the password.
        database: The database.
        shown: For messages: neither user, password nor options.
    """

    url: str
    database: str
    shown: str


def opened_address(text: str) -> Address:
    """Read a URL.

    Raises:
        MissingExtraError: pymongo is not installed.
        InputError: It is malformed, or names no database.
    """
    try:
        import pymongo  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError("pymongo", extra="mongodb") from None
    try:
        parts = urlsplit(text)
        hosts = parts.netloc.rpartition("@")[2]
    except ValueError:
        raise malformed("it is no address") from None
    if parts.scheme not in _SCHEMES or not hosts:
        raise malformed("it must begin with mongodb:// or mongodb+srv:// and a host")
    database = unquote(parts.path.strip("/"))
    if not database or "/" in database:
        raise InputError("the URL of MongoDB names no database", next_step="add it: mongodb://host/DATABASE")
    return Address(text, database, f"{parts.scheme}://{hosts}/{database}")


def declared_from_url(text: str, *, usecase: str, dataset: str | None) -> MongoSource:
    """Read what to pull from one URL, for sources that are named once, on the command line.

    Args:
        text: A database's URL with ``collection=``, and perhaps ``cursor=`` (the pull is then incremental), ``mode=``,
            ``overlap_s=`` (seconds) and ``piece_rows=``; other options are the driver's.
        usecase: The use case its rows belong to.
        dataset: The dataset; None is the main one.

    Raises:
        InputError: It is malformed, or says too little or too much.
    """
    try:
        parts = urlsplit(text)
        ours, others = _OPTIONS.split(parts.query)
    except ValueError:
        raise malformed("it is no address") from None
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(others), ""))
    said = {"kind": "mongodb", "url": SecretStr(bare), "usecase": usecase, "dataset": dataset, **ours}
    return _OPTIONS.declared(MongoSource, said)

"""Where a database is: a URL in, an address that can be shown and one that can be opened out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from trunkline.errors import InputError, MissingExtraError
from trunkline.ingest.sources.url_options import UrlOptions
from trunkline.spec.sources import SqlSource

if TYPE_CHECKING:
    from sqlalchemy import URL

__all__ = ["Address", "DatabaseName", "declared_from_url", "opened_address"]

DatabaseName = Literal["postgresql", "mariadb", "sqlite"]
"""The databases that are read; MySQL is read as MariaDB."""

_SCHEMES: Final[Mapping[str, tuple[DatabaseName, str]]] = {
    "postgresql": ("postgresql", "psycopg"),
    "postgres": ("postgresql", "psycopg"),
    "mysql": ("mariadb", "pymysql"),
    "mariadb": ("mariadb", "pymysql"),
    "sqlite": ("sqlite", "sqlite3"),
}
_DIALECTS: Final[Mapping[DatabaseName, str]] = {
    "postgresql": "postgresql+psycopg",
    "mariadb": "mysql+pymysql",  # which tells MariaDB from MySQL by what answers; `mariadb+` refuses MySQL
    "sqlite": "sqlite+pysqlite",
}
_OPTIONS: Final = UrlOptions(
    ("table", "query", "cursor", "mode", "overlap_s", "piece_rows"),
    example="postgresql://user@host/db?table=public.calls&cursor=updated_at",
)


@dataclass(frozen=True)
class Address:
    """A database's address.

    Attributes:
        database: Which database it is.
        url: Opened by SQLAlchemy; holds the password.
        shown: For messages: no password, no options.
    """

    database: DatabaseName
    url: "URL"
    shown: str


def opened_address(text: str) -> Address:
    """Read a URL.

    Args:
        text: ``postgresql://user:password@host/db``, ``mysql://...``, ``mariadb://...`` or ``sqlite:///path``. Without
            a password the environment's counts: PGPASSWORD, MYSQL_PWD.

    Raises:
        MissingExtraError: SQLAlchemy or the driver is not installed.
        InputError: It is malformed, or names another database.
    """
    try:
        import sqlalchemy
    except ModuleNotFoundError:
        raise MissingExtraError("sqlalchemy", extra="sql") from None
    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # whose text may show the password
        raise _malformed() from None
    scheme, _, driver = url.drivername.partition("+")
    if scheme not in _SCHEMES:
        raise InputError(
            f"{scheme[:40]!r} is no database that can be read", allowed=("postgresql", "mariadb", "mysql", "sqlite")
        )
    database, module = _SCHEMES[scheme]
    if driver and driver not in {module, "pysqlite"}:
        raise InputError(f"{database} is read by the driver {module}, not {driver[:40]!r}", allowed=(module,))
    if not url.database:
        raise InputError("the URL of a database names none", next_step="add it: .../DATABASE")
    if find_spec(module) is None:
        raise MissingExtraError(module, extra="sql")
    shown = url.set(drivername=database, query={}).render_as_string(hide_password=True)
    url = url.set(drivername=_DIALECTS[database])
    if database == "sqlite":
        file = quote(str(Path(url.database or "").absolute()))
        url = url.set(database=f"file:{file}", query={"mode": "ro", "uri": "true"})
    elif database == "mariadb" and url.password is None and "MYSQL_PWD" in os.environ:
        url = url.set(password=os.environ["MYSQL_PWD"])
    return Address(database, url, shown)


def declared_from_url(text: str, *, usecase: str, dataset: str | None = None) -> SqlSource:
    """Read what to pull from one URL, for sources that are named once, on the command line.

    Args:
        text: A database's URL with ``table=`` or ``query=``, and perhaps ``cursor=`` (the pull is then incremental),
            ``mode=``, ``overlap_s=`` (seconds) and ``piece_rows=``; other options are the driver's.
        usecase: The use case its rows belong to.
        dataset: The dataset; None is the main one.

    Returns:
        The declaration.

    Raises:
        InputError: It is malformed, or says too little or too much.
    """
    try:
        parts = urlsplit(text)
        ours, others = _OPTIONS.split(parts.query)
    except ValueError:
        raise _malformed() from None
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(others), ""))
    if parts.scheme.startswith("sqlite") and not parts.netloc:
        bare = f"{parts.scheme}://{parts.path}"  # urlunsplit drops the empty host of sqlite:///relative.db
    said = {"kind": "sql", "url": SecretStr(bare), "usecase": usecase, "dataset": dataset, **ours}
    return _OPTIONS.declared(SqlSource, said)


def _malformed() -> InputError:
    return InputError(
        "the URL of a database cannot be read",
        next_step="write postgresql://user:password@host:port/database; signs like @ : / in a password as %40 %3A %2F",
    )

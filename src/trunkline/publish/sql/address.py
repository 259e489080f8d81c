"""Where rows are written: a URL in, an address that can be shown and one that can be opened for writing out."""

from pathlib import Path
from urllib.parse import quote

from trunkline.errors import InputError
from trunkline.ingest.sources.sql.address import Address, opened_address

__all__ = ["Address", "writable_address"]


def writable_address(text: str) -> Address:
    """Read a URL.

    Args:
        text: ``mariadb://user:password@host/db`` (or ``mysql://``, for MariaDB as well), ``postgresql://...`` or
            ``sqlite:///path``; without a password the environment's counts: MYSQL_PWD, PGPASSWORD.

    Raises:
        MissingExtraError: SQLAlchemy or the driver is not installed.
        InputError: It is malformed, or the folder of the SQLite file does not exist.
    """
    address = opened_address(text)
    if address.database == "mariadb":  # whose tables have what MySQL has not: texts that end in spaces as keys
        return Address("mariadb", address.url.set(drivername="mariadb+pymysql"), address.shown)
    if address.database != "sqlite":
        return address
    file = Path(address.shown.removeprefix("sqlite:///")).absolute()
    if not file.parent.is_dir():
        raise InputError(
            "the folder of the SQLite file does not exist",
            where=str(file.parent),
            next_step="make it, or name another: sqlite:///PATH",
        )
    url = address.url.set(database=f"file:{quote(str(file))}", query={"mode": "rwc", "uri": "true"})
    return Address("sqlite", url, address.shown)

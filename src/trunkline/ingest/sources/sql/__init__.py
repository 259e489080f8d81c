"""Tables and queries of databases as a source: everything, or what lies after the newest value of a cursor.

Read through SQLAlchemy by the drivers psycopg 3, PyMySQL and sqlite3, in one read-only transaction a pull, with a
cursor that stays on the server, so that memory is bounded whatever the table holds. Every value becomes the text a CSV
of it would hold, because the contract judges texts: what a database knows and Python does not (year 10000, infinity,
0000-00-00) reaches the quarantine instead of ending the pull.
"""

from trunkline.ingest.sources.sql.address import declared_from_url, opened_address
from trunkline.ingest.sources.sql.reading import SqlReader
from trunkline.spec.sources import SqlSource

__all__ = ["SqlReader", "declared_from_url", "open_source"]


def open_source(name: str, declared: SqlSource) -> SqlReader:
    """Make a source from its declaration; nothing is asked of the database yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Returns:
        The source.

    Raises:
        MissingExtraError: SQLAlchemy or the driver is not installed.
        InputError: The URL is malformed, or names a database that is not known here.
    """
    return SqlReader(name, declared, opened_address(declared.url.get_secret_value()))

"""Collections of MongoDB as a source: everything, or what lies after the newest value of a cursor.

Read by pymongo as a stream, so that memory is bounded whatever the collection holds. A document lands as one line of
JSON; objects inside it become columns with dotted names, lists stay JSON. What BSON knows and JSON does not is said in
:mod:`trunkline.ingest.sources.mongodb.values`.
"""

from trunkline.ingest.sources.mongodb.address import declared_from_url, opened_address
from trunkline.ingest.sources.mongodb.reading import MongoReader
from trunkline.spec.stores import MongoSource

__all__ = ["MongoReader", "declared_from_url", "open_source"]


def open_source(name: str, declared: MongoSource) -> MongoReader:
    """Make a source from its declaration; nothing is asked of the database yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Raises:
        MissingExtraError: pymongo is not installed.
        InputError: The URL or the filter is malformed.
    """
    return MongoReader(name, declared, opened_address(declared.url.get_secret_value()))

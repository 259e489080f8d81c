"""Tables of DynamoDB as a source: everything, or what lies behind the newest value of a cursor.

A table is scanned in parallel segments, page by page. A scan has no order, so a pull that was cut goes on in each
segment where it stood, and the cursor moves on when all segments are through.
"""

from trunkline.ingest.sources.dynamodb.address import declared_from_url
from trunkline.ingest.sources.dynamodb.reading import DynamoReader
from trunkline.spec.stores import DynamoSource

__all__ = ["DynamoReader", "declared_from_url", "open_source"]


def open_source(name: str, declared: DynamoSource) -> DynamoReader:
    """Make a source from its declaration; nothing is asked of the table yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Raises:
        MissingExtraError: boto3 is not installed.
    """
    return DynamoReader(name, declared)

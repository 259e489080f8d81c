"""Tables and queries of BigQuery as a source: everything, or what lies after the newest value of a cursor.

Rows come as Arrow from the Storage Read API. A query is asked for its bytes first, by a dry run, and is not started
where it would read more than the declaration allows; BigQuery holds it to the same limit.
"""

from trunkline.ingest.sources.bigquery.address import declared_from_url
from trunkline.ingest.sources.bigquery.reading import BigQueryReader
from trunkline.spec.stores import BigQuerySource

__all__ = ["BigQueryReader", "declared_from_url", "open_source"]


def open_source(name: str, declared: BigQuerySource) -> BigQueryReader:
    """Make a source from its declaration; nothing is asked of BigQuery yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Raises:
        MissingExtraError: Google's libraries are not installed.
    """
    return BigQueryReader(name, declared)

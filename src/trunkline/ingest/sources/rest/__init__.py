"""REST APIs as a pulled source: pages of JSON, or one file behind an address."""

from trunkline.ingest.sources.protocol import Source
from trunkline.ingest.sources.rest.exchange import Timing, real_timing
from trunkline.spec.sources import RestSource

__all__ = ["Timing", "open_source"]


def open_source(name: str, declared: RestSource, *, timing: Timing | None = None) -> Source:
    """Make a source from its declaration; nothing is asked of it yet.

    Args:
        name: Its name.
        declared: What is said of it.
        timing: Clocks, sleep and chance; None takes the real ones.

    Raises:
        MissingExtraError: The HTTP library is not installed.
        InputError: A header cannot be sent, or the address of a file does not tell its form.
    """
    if declared.answer == "file":
        from trunkline.ingest.sources.rest.download import RestFile

        return RestFile(name, declared, timing=timing or real_timing())
    from trunkline.ingest.sources.rest.pages import RestPages

    return RestPages(name, declared, timing=timing or real_timing())

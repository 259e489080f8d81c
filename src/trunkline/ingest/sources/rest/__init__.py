"""REST APIs as a pulled source: pages of JSON, or one file behind an address."""

from typing import TYPE_CHECKING, Literal

from trunkline.errors import InputError
from trunkline.ingest.sources.protocol import Source
from trunkline.ingest.sources.rest.exchange import Timing, plain, real_timing
from trunkline.spec.rest import address_fault
from trunkline.spec.sources import RestSource

if TYPE_CHECKING:
    from trunkline.spec import Unwrap

__all__ = ["Timing", "declared_from_url", "open_source"]


def open_source(
    name: str, declared: RestSource, *, timing: Timing | None = None, unwrap: "Unwrap | None" = None
) -> Source:
    """Make a source from its declaration; nothing is asked of it yet.

    Args:
        name: Its name.
        declared: What is said of it.
        timing: Clocks, sleep and chance; None takes the real ones.
        unwrap: Takes records apart that hold several rows each, such as `metric-data` items of a monitoring API.

    Raises:
        MissingExtraError: The HTTP library is not installed.
        InputError: A header cannot be sent, or the address of a file does not tell its form.
    """
    if declared.answer == "file":
        from trunkline.ingest.sources.rest.download import RestFile

        return RestFile(name, declared, timing=timing or real_timing())
    from trunkline.ingest.sources.rest.pages import RestPages

    return RestPages(name, declared, timing=timing or real_timing(), unwrap=unwrap)


def declared_from_url(text: str, *, usecase: str, dataset: str | None) -> RestSource:
    """Declare one file (the address ends in the suffix of a form), or one page of JSON with its only list of records.

    Raises:
        InputError: The address is malformed, or leads off this machine without TLS.
    """
    from trunkline.ingest.sources.rest.download import file_suffix

    if fault := address_fault(text, allow_http=False):
        raise InputError(f"the address cannot be asked: {fault}", where=plain(text)[:200] if "@" not in text else "")
    answer: Literal["records", "file"] = "file" if file_suffix(text) else "records"
    return RestSource(kind="rest", usecase=usecase, dataset=dataset, url=text, answer=answer)

"""From a URL to an open sink: which class knows its scheme. Nothing is asked of the other side yet."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from trunkline.errors import InputError
from trunkline.publish.outbox import Memory
from trunkline.publish.protocol import Sink
from trunkline.settings.publish import PublishSettings, SinkSettings

__all__ = ["SCHEMES", "open_sink"]

Opening = Callable[[SinkSettings, PublishSettings, Memory], Sink]


def open_sink(said: SinkSettings, *, settings: PublishSettings, memory: Memory) -> Sink:
    """Open a sink.

    Args:
        said: What the settings say of it.
        settings: Of publishing as a whole.
        memory: Which parts of deliveries it has.

    Raises:
        InputError: The URL is malformed, or of no known scheme.
        MissingExtraError: What reaches it is not installed.
    """
    try:
        scheme = urlsplit(said.url.get_secret_value()).scheme
    except ValueError:
        scheme = ""
    opening = SCHEMES.get(scheme.partition("+")[0])
    if opening is None:
        raise InputError(
            f"nothing can be published to {scheme[:20]!r}" if scheme else "the URL of the sink names no scheme",
            where="`url` of [publish.sinks.NAME]",
            allowed=SCHEMES,
            next_step="e.g. sqlite:///published.db, file:///folder, postgresql://user:password@host/db",
        )
    return opening(said, settings, memory)


def _sql(said: SinkSettings, settings: PublishSettings, _: Memory) -> Sink:
    from trunkline.publish.sql import SqlSink

    prefix = settings.prefix if said.prefix is None else said.prefix
    return SqlSink(said.url.get_secret_value(), prefix=prefix, timeout_s=settings.timeout_s)


def _search(said: SinkSettings, settings: PublishSettings, _: Memory) -> Sink:
    from trunkline.publish.search import SearchSink

    options = {name: value.get_secret_value() for name, value in said.options.items()}
    return SearchSink(said.url.get_secret_value(), options=options, timeout_s=settings.timeout_s)


SCHEMES: Final[Mapping[str, Opening]] = {
    **dict.fromkeys(("mariadb", "mysql", "postgresql", "postgres", "sqlite"), _sql),
    **dict.fromkeys(("elasticsearch", "opensearch"), _search),
}
"""What opens a sink, by the scheme of its URL."""

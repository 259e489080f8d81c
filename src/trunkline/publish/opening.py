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


def _files(said: SinkSettings, _: PublishSettings, __: Memory) -> Sink:
    from trunkline.publish.files import FileSink

    return FileSink(said.url.get_secret_value(), said.options)


def _webhook(said: SinkSettings, settings: PublishSettings, memory: Memory) -> Sink:
    from trunkline.publish.webhook import WebhookSink

    return WebhookSink(
        said.url.get_secret_value(),
        memory=memory,
        secret="" if said.secret is None else said.secret.get_secret_value(),
        headers=_plain(said),
        timeout_s=settings.timeout_s,
    )


def _pubsub(said: SinkSettings, settings: PublishSettings, memory: Memory) -> Sink:
    from trunkline.publish.pubsub import PubSubSink

    return PubSubSink(said.url.get_secret_value(), memory=memory, options=_plain(said), timeout_s=settings.timeout_s)


def _bigquery(said: SinkSettings, settings: PublishSettings, _: Memory) -> Sink:
    from trunkline.publish.bigquery import BigQuerySink

    return BigQuerySink(said.url.get_secret_value(), options=_plain(said), timeout_s=settings.timeout_s)


def _plain(said: SinkSettings) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in said.options.items()}


SCHEMES: Final[Mapping[str, Opening]] = {
    **dict.fromkeys(("mariadb", "mysql", "postgresql", "postgres", "sqlite"), _sql),
    **dict.fromkeys(("file", "s3", "gs", "abfss", "abfs"), _files),
    **dict.fromkeys(("https", "http"), _webhook),
    "pubsub": _pubsub,
    "bigquery": _bigquery,
    **dict.fromkeys(("elasticsearch", "opensearch"), _search),
}
"""What opens a sink, by the scheme of its URL."""

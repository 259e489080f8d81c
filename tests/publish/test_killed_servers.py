"""Kills over Pub/Sub, OpenSearch and BigQuery: of the publishing process, and of the server, at every named point.

After one more publish all is there, and once. Pub/Sub's emulator keeps messages in memory: there the publisher alone is
killed.
"""

import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest
from tests.publish.conftest import Put, Trunkline
from tests.publish.test_killed import killed_at_each
from tests.publish.test_other_sinks import Topic, _client

from trunkline.publish import bigquery, search
from trunkline.publish.bigquery import CRASH_POINTS as BIGQUERY
from trunkline.publish.pubsub import CRASH_POINTS as PUBSUB
from trunkline.publish.search import CRASH_POINTS as SEARCH

pytestmark = pytest.mark.servers

Found = Callable[[], Counter[object]]


class Killable(Protocol):
    """A server that keeps its rows."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sequence[str]]:
    """Name a sink of the calls in the settings; gives the options of the command that publishes there."""

    def named(url: str, **options: str) -> Sequence[str]:
        monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__THERE__URL", url)
        monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__THERE__TABLES", "call_log")
        for name, value in options.items():
            monkeypatch.setenv(f"TRUNKLINE_PUBLISH__SINKS__THERE__OPTIONS__{name.upper()}", value)
        return ("--sink", "there")

    return named


def in_bigquery(endpoint: str) -> Found:
    """Make the dataset; gives what counts the rows there."""
    client = _client(endpoint)
    client.create_dataset("killed", exists_ok=True, timeout=10)

    def found() -> Counter[object]:
        rows = client.query("SELECT call_id FROM `local.killed.call_log`", job_retry=None).result(timeout=30)
        return Counter(row["call_id"] for row in rows)

    return found


def in_search(url: str) -> Found:
    """Give what counts the rows of the index."""

    def found() -> Counter[object]:
        with urllib.request.urlopen(f"{url}/call_log/_search?size=1000", timeout=30) as answer:
            hits = json.load(answer)["hits"]["hits"]
        return Counter(hit["_source"]["call_id"] for hit in hits)

    return found


@pytest.fixture
def search_url(opensearch_url: str) -> str:
    """Where the node is; the index of the calls is not there."""
    pytest.importorskip("httpx2", reason="the extra rest is not installed")
    request = urllib.request.Request(f"{opensearch_url}/call_log*", method="DELETE")
    urllib.request.urlopen(request, timeout=30).close()
    return opensearch_url


def test_a_subscriber_that_looks_at_the_ids_gets_every_row_once(
    put: Put, sink: Callable[..., Sequence[str]], trunkline: Trunkline, pubsub_emulator: str
) -> None:
    topic, points = Topic(pubsub_emulator), (*PUBSUB, "publish.delivered")

    def found() -> Counter[object]:
        return Counter(row["call_id"] for _, row in topic.kept())

    to = sink(f"pubsub://local/{topic.name}", emulator=pubsub_emulator)
    killed_at_each(points, to, found, put, trunkline)
    # what was sent and not noted is sent again, under its ids; nothing else is
    assert topic.deliveries == 2 * len(points) + 2


def test_bigquery_has_every_row_once(
    put: Put,
    sink: Callable[..., Sequence[str]],
    trunkline: Trunkline,
    bigquery_emulator: Any,  # noqa: ANN401 - of a fixture
) -> None:
    to = sink("bigquery://local/killed", endpoint=bigquery_emulator.endpoint)
    killed_at_each((*BIGQUERY, "publish.delivered"), to, in_bigquery(bigquery_emulator.endpoint), put, trunkline)


def test_an_index_has_every_row_once(
    put: Put, sink: Callable[..., Sequence[str]], trunkline: Trunkline, search_url: str
) -> None:
    killed_at_each(
        (*SEARCH, "publish.delivered"), sink(f"opensearch+{search_url}"), in_search(search_url), put, trunkline
    )


def server_killed_at_each(
    points: Sequence[str],
    to: Sequence[str],
    found: Found,
    put: Put,
    *,
    server: Killable,
    module: object,
    trunkline: Trunkline,
) -> None:
    """Add two calls, publish them while the server is killed at a point, start it, publish again, and count."""
    there: Counter[object] = Counter()
    for number, target in enumerate(points):
        new = [f"c{number}a", f"c{number}b"]
        put("calls", ("call_id,caller,minutes,called_on", *(f"{name},0170 1,3,2026-01-01" for name in new)))
        there.update(new)
        reached: list[str] = []

        def killing(name: str, target: str = target, reached: list[str] = reached) -> None:
            if name == target and not reached:
                reached.append(name)
                server.kill()

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, "point", killing)
            patched.setenv("TRUNKLINE_PUBLISH__TIMEOUT_S", "1")  # nobody answers
            trunkline("publish", "lines", *to)
        assert reached == [target], f"nothing was killed at {target}"
        server.start()
        code, _, err = trunkline("publish", "lines", *to)
        assert code == 0, f"after a kill at {target}: {err}"
        assert found() == there, f"after a kill at {target}"


def test_a_node_that_is_killed_half_way_has_every_row_once(
    put: Put,
    sink: Callable[..., Sequence[str]],
    trunkline: Trunkline,
    request: pytest.FixtureRequest,
) -> None:
    node = request.getfixturevalue("opensearch")
    url = request.getfixturevalue("search_url")
    if node.url != url:
        pytest.skip("ELASTICSEARCH_URL names a server that is not ours to kill")
    to = sink(f"opensearch+{url}")
    try:
        server_killed_at_each(SEARCH, to, in_search(url), put, server=node, module=search, trunkline=trunkline)
    finally:
        node.start()


def test_a_bigquery_that_is_killed_half_way_has_every_row_once(
    put: Put,
    sink: Callable[..., Sequence[str]],
    trunkline: Trunkline,
    kept_bigquery: Any,  # noqa: ANN401 - of a fixture
) -> None:
    to = sink("bigquery://local/killed", endpoint=kept_bigquery.url)
    found = in_bigquery(kept_bigquery.url)
    server_killed_at_each(BIGQUERY, to, found, put, server=kept_bigquery, module=bigquery, trunkline=trunkline)

"""The conformance suite over a real node of OpenSearch (or what ``ELASTICSEARCH_URL`` names), and what is its own."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("httpx2", reason="the extra rest is not installed")
from trunkline.errors import InputError, UnavailableError
from trunkline.publish import Delivery, Latest, Rows, Sink, Target, TargetColumn
from trunkline.publish.search import SearchSink
from trunkline.testing import SINK_CHECKS, SinkCheck, SinkStage

_NUMBERS = itertools.count()
_AWAY = "opensearch+http://127.0.0.1:9/"


def ask(url: str, path: str, *, method: str = "GET", body: object = None) -> Any:  # noqa: ANN401 - JSON
    """Ask the server without the sink's client; None for what is not there."""
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url}{path}", data=sent, method=method, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


@dataclass
class SearchStage:
    """A cluster, read by plain calls."""

    url: str
    opened: list[SearchSink] = field(default_factory=list)
    number: int = field(default_factory=lambda: next(_NUMBERS))

    def open(self) -> Sink:
        self.opened.append(SearchSink(f"opensearch+{self.url}"))
        return self.opened[-1]

    def name(self, name: str) -> str:
        return f"c{self.number}_{name}"

    def rows(self, target: Target) -> Sequence[dict[str, object]] | None:
        return self.read(target.name, target.columns)

    def shown(self, latest: Latest) -> Sequence[dict[str, object]] | None:
        return self.read(latest.name, latest.target.columns)

    def read(self, name: str, columns: Sequence[TargetColumn]) -> list[dict[str, object]] | None:
        found = ask(self.url, f"/{name}/_search", method="POST", body={"size": 1000})
        if found is None:
            return None
        kinds = {column.name: column.kind for column in columns}
        return [
            {column: _python(value, kinds[column]) for column, value in hit["_source"].items()}
            for hit in found["hits"]["hits"]
        ]

    def drop(self, target: Target) -> None:
        for index in ask(self.url, f"/_alias/{target.name}"):
            ask(self.url, f"/{index}", method="DELETE")

    def unavailable(self) -> Sink:
        return SearchSink(_AWAY, timeout_s=2)

    def close(self) -> None:
        for sink in self.opened:
            sink.close()


def _python(value: Any, kind: str) -> object:  # noqa: ANN401 - JSON
    if value is None:
        return None
    if kind == "day":
        return date.fromisoformat(value)
    if kind == "instant":
        return datetime.fromisoformat(value)
    return float(value) if kind == "number" else value


@pytest.fixture
def stage(opensearch_url: str) -> Iterator[SearchStage]:
    made = SearchStage(opensearch_url)
    yield made
    made.close()


@pytest.mark.servers
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_search_server_keeps_every_promise(check: SinkCheck, stage: SearchStage) -> None:
    kept: SinkStage = stage
    check(kept)


TARGET = Target(
    "t",
    "checks",
    (TargetColumn("id", "text", nullable=False), TargetColumn("usecase", "text", nullable=False)),
    ("id",),
    "upsert",
)


def delivery(target: Target, batch: str, *, whole: bool) -> Delivery:
    return Delivery(target, batch, whole, "run-1", {"checks.rows": 1}, datetime(2026, 3, 1, tzinfo=UTC))


def given(*ids: str, usecase: str = "checks") -> Rows:
    return lambda: iter([pa.RecordBatch.from_pylist([{"id": one, "usecase": usecase} for one in ids])])


@pytest.mark.servers
def test_types_are_those_of_the_contract_and_one_index_stands_behind_a_name(stage: SearchStage) -> None:
    sink, columns = stage.open(), (*TARGET.columns, TargetColumn("at", "instant", nullable=True))
    target = replace(TARGET, name=stage.name("typed"), columns=columns, mode="replace")
    for batch in ("one", "two"):
        sink.deliver(delivery(target, batch, whole=True), given("a"))
    ((index, found),) = ask(stage.url, f"/{target.name}/_mapping").items()
    assert index == f"{target.name}--two"
    mapping = found["mappings"]
    assert mapping["properties"]["id"]["type"] == "keyword"
    assert mapping["properties"]["at"]["type"] == "date"
    assert mapping["_meta"]["made_by"] == "trunkline"
    assert [one["index"] for one in ask(stage.url, f"/_cat/indices/{target.name}*?format=json")] == [index]


@pytest.mark.servers
def test_of_a_shared_table_only_the_rows_of_the_use_case_are_replaced(stage: SearchStage) -> None:
    sink, mine = stage.open(), replace(TARGET, name=stage.name("shared"), shared=True)
    others = replace(mine, usecase="others")
    sink.deliver(delivery(mine, "m1", whole=True), given("a", "b"))
    sink.deliver(delivery(others, "o1", whole=True), given("x", usecase="others"))
    sink.deliver(delivery(mine, "m2", whole=True), given("b", "c"))
    rows = stage.rows(mine)
    assert rows is not None
    assert sorted(str(row["id"]) for row in rows) == ["b", "c", "x"]


@pytest.mark.servers
def test_a_name_that_is_an_index_is_refused(stage: SearchStage) -> None:
    name = stage.name("index")
    ask(stage.url, f"/{name}/_doc?refresh=true", method="POST", body={"theirs": 1})
    with pytest.raises(InputError, match="an index has the name"):
        stage.open().deliver(delivery(replace(TARGET, name=name), "one", whole=True), given("a"))
    found = ask(stage.url, f"/{name}/_search")
    assert found["hits"]["hits"][0]["_source"] == {"theirs": 1}


@pytest.mark.servers
def test_the_first_row_of_a_shared_table_goes_as_well(stage: SearchStage) -> None:
    sink, mine = stage.open(), replace(TARGET, name=stage.name("first"), shared=True)
    sink.deliver(delivery(mine, "m1", whole=True), given("a"))
    sink.deliver(delivery(mine, "m2", whole=True), given("b"))
    rows = stage.rows(mine)
    assert rows is not None
    assert [row["id"] for row in rows] == ["b"]


@pytest.mark.servers
def test_an_alias_of_somebody_elses_index_is_refused(stage: SearchStage) -> None:
    name, theirs = stage.name("alias"), stage.name("customers_v7")
    ask(stage.url, f"/{theirs}/_doc?refresh=true", method="POST", body={"theirs": 1})
    actions = [{"add": {"index": theirs, "alias": name}}]
    ask(stage.url, "/_aliases", method="POST", body={"actions": actions})
    target = replace(TARGET, name=name, mode="replace")
    with pytest.raises(InputError, match="was not made by Trunkline"):
        stage.open().deliver(delivery(target, "one", whole=True), given("a"))
    with pytest.raises(InputError, match="was not made by Trunkline"):
        stage.open().show(Latest(name, replace(target, name=stage.name("day"))))
    found = ask(stage.url, f"/{name}/_search")
    assert [hit["_source"] for hit in found["hits"]["hits"]] == [{"theirs": 1}]


@pytest.mark.servers
def test_a_batch_that_comes_again_after_others_takes_their_place(stage: SearchStage) -> None:
    sink, target = stage.open(), replace(TARGET, name=stage.name("back"))
    sink.deliver(delivery(target, "one", whole=True), given("a"))
    sink.deliver(delivery(target, "two", whole=False), given("b"))
    assert sink.held(target) == "two"
    sink.deliver(delivery(target, "one", whole=True), given("a"))
    rows = stage.rows(target)
    assert rows is not None
    assert [row["id"] for row in rows] == ["a"]
    assert stage.open().held(target) == "one"


@pytest.mark.parametrize("url", ["elasticsearch://host:9200", "opensearch+ftp://host", "opensearch+http:///"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="malformed"):
        SearchSink(url)


def test_a_password_is_not_shown() -> None:
    sink = SearchSink("elasticsearch+https://user:n0t-shown@host:9200/", options={"api_key": "n0t-shown-either"})
    assert sink.shown == "elasticsearch+https://host:9200"
    sink.close()
    with pytest.raises(InputError, match="certificate authority"):
        SearchSink("elasticsearch+https://host/", options={"ca_file": "/nowhere"})


def test_a_server_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = SearchSink(_AWAY, timeout_s=2)
    with pytest.raises(UnavailableError, match="did not answer"):
        sink.check()
    sink.close()

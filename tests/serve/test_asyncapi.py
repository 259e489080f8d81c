"""The AsyncAPI document names every topic, its references lead somewhere, its schemas judge as the contracts do."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from trunkline.brokers import EmbeddedLog, Message
from trunkline.contracts import Contract, Number, Table, Text, field
from trunkline.engine import open_engine
from trunkline.errors import InputError
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake, topic_of
from trunkline.lake import Lake
from trunkline.notify.cloud_events import EVENT_SCHEMA, event_bytes
from trunkline.notify.notices import Notice
from trunkline.plugins import load_usecases
from trunkline.serve.asyncapi import OtherTopics, asyncapi_document
from trunkline.serve.recording import TOPICS
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings
from trunkline.spec.sources import TopicSource

USECASES = load_usecases(plugin_dir=None).usecases


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi_document(USECASES, version="1")


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def found(document: dict[str, Any], reference: str) -> Any:  # noqa: ANN401 - any part of a document
    part: Any = document
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def test_every_topic_and_every_stream_has_a_channel(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    topics = {topic_of(name, dataset) for name, usecase in USECASES.items() for dataset in usecase.datasets}
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert topics | set(TOPICS) == {address for address in addresses if not address.startswith("/")}
    assert {
        f"/v1/ingest/{name}/{dataset}/stream" for name, usecase in USECASES.items() for dataset in usecase.datasets
    } == {address for address in addresses if address.startswith("/")}


def test_references_lead_to_what_they_should(document: dict[str, Any]) -> None:
    own = {key: value for key, value in document.items() if key != "components"}
    own["messages"] = document["components"]["messages"]
    assert len([found(document, reference) for reference in references(own)]) > 4 * len(USECASES)
    for name, operation in document["operations"].items():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        messages = [*operation["messages"], *operation.get("reply", {}).get("messages", [])]
        for message in messages:  # of the operation's own channel, as the specification asks
            assert message["$ref"].startswith(f"{channel}/messages/"), name


def test_schemas_take_a_good_record_and_refuse_another(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(document["components"]["schemas"]["sensors.readings"])
    good = {"device_id": "d", "session_id": "s", "sensor": "battery", "read_at": "2026-01-01T00:00:00Z"}
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "battery_level": 7})


def source(url: str, **more: object) -> TopicSource:
    return TopicSource.model_validate({"kind": "topic", "usecase": "sensors", "url": url, **more})


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The document of a workspace that declares a topic of Kafka, one of MQTT, one of a stranger, and events."""
    sources = {
        "phones": source("kafka://user:hidden@secret-host:9092/Phones", dead_letters="phones.dead"),
        "routers": source(
            "mqtts://secret-host/$share/lake/routers/+/readings/#", options={"password": "hidden", "username": "u"}
        ),
        "others": source("kafka://secret-host/others").model_copy(update={"usecase": "not_here"}),
    }
    others = OtherTopics(sources=sources, events="trunkline.events", event_schema=EVENT_SCHEMA)
    return asyncapi_document(USECASES, version="1", others=others)


def test_declared_topics_dead_letters_and_events_are_in_it(document: dict[str, Any], whole: dict[str, Any]) -> None:
    more = {name: one for name, one in whole["channels"].items() if name not in document["channels"]}
    assert {name: one["address"] for name, one in more.items()} == {
        "source.phones": "Phones",
        "dead-letters.phones": "phones.dead",
        "source.routers": "routers/{level2}/readings/{rest}",
        "trunkline.events": "trunkline.events",
    }
    assert set(more["source.routers"]["parameters"]) == {"level2", "rest"}
    assert set(more["source.routers"]["bindings"]) == {"mqtt"}
    assert "secret-host" not in json.dumps(whole)
    assert "hidden" not in json.dumps(whole)
    actions = {name: one["action"] for name, one in whole["operations"].items() if name not in document["operations"]}
    assert actions == {
        "source.phones.take": "receive",
        "dead-letters.phones.write": "send",
        "source.routers.take": "receive",
        "trunkline.events.write": "send",
    }
    test_references_lead_to_what_they_should(whole)
    test_schemas_take_a_good_record_and_refuse_another(whole)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="filter"):
        asyncapi_document(USECASES, version="1", others=OtherTopics(sources={"a": source("mqtt://host/a#")}))


def payload(document: dict[str, Any], channel: str) -> jsonschema.Draft202012Validator:
    """Judges what goes over a channel."""
    (message,) = document["channels"][channel]["messages"].values()
    reference = found(document, message["$ref"])["payload"]["$ref"]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(found(document, reference), format_checker=checker)


class Level(Contract):
    """One row per meter; nobody is named."""

    table = Table(key=("meter",))

    meter: Text = field()
    level: Number = field(minimum=0)


def test_the_dead_letter_that_is_sent_is_as_the_document_says(whole: dict[str, Any], tmp_path: Path) -> None:
    def clock() -> datetime:
        return datetime.now(UTC)

    log = EmbeddedLog(tmp_path / "log.db", settings=BrokerSettings(), clock=clock)
    intake = TopicIntake(log, Target("meters", "levels", Level), clock=clock, dead_letters="dead")
    log.publish({intake.topic: [Message(b'{"meter": "a", "level": -1}'), Message(b"no json")]})
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(tmp_path / "lake", engine=engine, settings=LakeSettings(), clock=clock)
        assert [one.receipt.quarantined for one in intake.drain(lake)] == [2]
    letters = [json.loads(record.value) for record in log.read("dead", after=0, limit=9)]
    log.close()
    judge = payload(whole, "dead-letters.phones")
    assert len(letters) == 2
    for letter in letters:
        judge.validate(letter)
        assert not judge.is_valid({**letter, "reasons": []})


def test_the_event_that_is_sent_is_as_the_document_says(whole: dict[str, Any]) -> None:
    notice = Notice(
        notice_id="alert:a",
        kind="alert",
        usecase="sensors",
        severity="minor",
        title="t",
        text="x",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        run_id="r",
    )
    judge = payload(whole, "trunkline.events")
    event = json.loads(event_bytes(notice))
    judge.validate(event)
    assert not judge.is_valid({**event, "type": "trunkline.other"})

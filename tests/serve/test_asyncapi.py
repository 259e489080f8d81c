"""The AsyncAPI document names every topic, its references lead somewhere, its schemas judge as the contracts do."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from trunkline.ingest.streams import topic_of
from trunkline.plugins import load_usecases
from trunkline.serve.asyncapi import asyncapi_document
from trunkline.serve.recording import TOPICS

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

"""The AsyncAPI document: every topic and stream of a workspace, and what its messages hold, from the contracts.

Takes what is served and what the settings declare beside it. Hosts of brokers, users and options are not in it.

Source of the form: AsyncAPI Specification 3.0.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.mqtt_address import MQTT_SCHEMES, mqtt_address
from trunkline.checks import json_schema
from trunkline.contracts import Contract
from trunkline.ingest.dead_letters import DEAD_LETTER_SCHEMA
from trunkline.ingest.streams import topic_of
from trunkline.serve.recording import TOPICS
from trunkline.spec import UseCase
from trunkline.spec.sources import TopicSource

__all__ = ["OtherTopics", "asyncapi_document"]

_ANY: Final = "One record as JSON, an array of them, NDJSON, or an envelope that the use case takes apart."
_ONE_LINE = "One or more records, each the JSON of its schema on a line of its own."
_VERDICT: dict[str, object] = {
    "type": "object",
    "required": ["message", "status"],
    "properties": {
        "message": {"type": "integer", "minimum": 1, "description": "Number of the message on this connection"},
        "status": {"type": "integer", "description": "As of HTTP; the records are durable when it is 200"},
        "request_id": {"type": "string"},
        "read": {"type": "integer", "minimum": 0},
        "accepted": {"type": "integer", "minimum": 0},
        "refused": {"type": "integer", "minimum": 0},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"row": {"type": "integer"}, "reasons": {"type": "array", "items": {"type": "string"}}},
            },
        },
        "error": {"type": "string"},
        "next": {"type": "string"},
    },
}


@dataclass(frozen=True, kw_only=True)
class OtherTopics:
    """Topics beside those of what is served.

    Attributes:
        sources: Topics that others write to and the platform takes in, by the name of the source.
        events: Topic of the broker that notices go to as CloudEvents; empty for none.
        event_schema: JSON Schema of such an event.
    """

    sources: Mapping[str, TopicSource] = field(default_factory=dict)
    events: str = ""
    event_schema: Mapping[str, object] = field(default_factory=dict)


def asyncapi_document(
    usecases: Mapping[str, UseCase], *, version: str, others: OtherTopics | None = None
) -> dict[str, object]:
    """Write the document.

    Args:
        usecases: What is served, by name.
        version: Trunkline's version.
        others: Topics that the settings declare; those of use cases that are not served are left out.

    Returns:
        The document, ready for JSON: channels are the topics of the broker, the WebSockets of the edge, declared
        topics of other brokers with their dead letters, and the topic of events.

    Raises:
        InputError: The address of a declared topic is malformed.
    """
    channels: dict[str, object] = {}
    operations: dict[str, object] = {}
    messages: dict[str, object] = {}
    schemas: dict[str, object] = {"verdict": _VERDICT}
    messages["verdict"] = _message("Verdict", "verdict", "The answer to one message, when its records are durable.")
    for name, usecase in sorted(usecases.items()):
        for dataset, contract in sorted(usecase.datasets.items()):
            topic, record = topic_of(name, dataset), f"{name}.{dataset}"
            schemas[record] = json_schema(contract)
            messages[record] = _message(f"{usecase.title}: {dataset}", record, _ONE_LINE)
            channels[topic] = _channel(topic, _about(contract), record)
            operations[f"{topic}.take"] = _operation("receive", topic, record, "Trunkline takes them into the lake.")
            stream = f"stream.{record}"
            channels[stream] = {
                **_channel(f"/v1/ingest/{name}/{dataset}/stream", "A WebSocket of the edge.", record, "verdict"),
                "bindings": {"ws": {}},
            }
            operations[f"{stream}.take"] = {
                **_operation("receive", stream, record, "Each message is answered by a verdict."),
                "reply": {
                    "channel": _ref("channels", stream),
                    "messages": [_ref("channels", stream, "messages", "verdict")],
                },
            }
    for topic, (table, contract) in sorted(TOPICS.items()):
        schemas[topic] = json_schema(contract)
        messages[topic] = _message(topic.capitalize(), topic, _ONE_LINE)
        channels[topic] = _channel(topic, f"{_about(contract)} Kept in {table}.", topic)
        operations[f"{topic}.write"] = _operation("send", topic, topic, "The server writes them as it answers.")
    parts = _Parts(channels, operations, messages, schemas)
    others = others or OtherTopics()
    for name, declared in sorted(others.sources.items()):
        if declared.usecase in usecases:
            _add_source(parts, name, declared, usecases[declared.usecase])
    if others.events:
        schemas["event"] = dict(others.event_schema)
        messages["event"] = {
            **_message("Event", "event", "A notice of a run, a gate, an alert or an audience."),
            "contentType": "application/cloudevents+json",
        }
        channels[others.events] = _channel(others.events, "Notices as CloudEvents 1.0, structured JSON.", "event")
        operations[f"{others.events}.write"] = _operation(
            "send", others.events, "event", "What is told to people is written there, each notice under one id."
        )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trunkline",
            "version": version,
            "description": "Topics of the workspace's broker (a prefix of the settings comes before their names), "
            "WebSockets of the edge, and topics of other brokers that are declared as sources.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


@dataclass(frozen=True)
class _Parts:
    """The parts of a document that is being written."""

    channels: dict[str, object]
    operations: dict[str, object]
    messages: dict[str, object]
    schemas: dict[str, object]


def _add_source(parts: _Parts, name: str, declared: TopicSource, usecase: UseCase) -> None:
    """Add a topic that others write to, and its dead letters."""
    url, dataset = declared.url.get_secret_value(), declared.dataset or usecase.main
    channel, record = f"source.{name}", f"{usecase.name}.{dataset}"
    is_mqtt = url.startswith(MQTT_SCHEMES)
    if is_mqtt:
        address, parameters = _mqtt_channel(mqtt_address(url, declared.options).filter)
    else:
        address, parameters = kafka_address(url, declared.options).topic, {}
    others, message = "Others write to it, on a broker of their own.", f"{record}.sent"
    parts.messages[message] = _message(f"{usecase.title}: {dataset}, as sent", record, _ANY)
    parts.channels[channel] = {
        **_channel(address, others, message),
        **({"parameters": parameters} if parameters else {}),
        "bindings": {"mqtt" if is_mqtt else "kafka": {}},
    }
    parts.operations[f"{channel}.take"] = _operation("receive", channel, message, "Trunkline takes them into the lake.")
    if declared.dead_letters:
        letters = f"dead-letters.{name}"
        parts.schemas["dead_letter"] = DEAD_LETTER_SCHEMA
        parts.messages["dead_letter"] = _message(
            "Dead letter", "dead_letter", "A row that broke its contract, as it is in the quarantine."
        )
        parts.channels[letters] = {
            **_channel(declared.dead_letters, f"What was refused of the source {name}.", "dead_letter"),
            "bindings": {"kafka": {}},
        }
        parts.operations[f"{letters}.write"] = _operation(
            "send", letters, "dead_letter", "Sent at least once; quarantine_id tells a repeat."
        )


def _mqtt_channel(wanted: str) -> tuple[str, dict[str, object]]:
    """Give the address of a filter, its wildcards as parameters, and those."""
    levels = wanted.split("/")[2:] if wanted.startswith("$share/") else wanted.split("/")
    parameters: dict[str, object] = {}
    for place, level in enumerate(levels):
        if level in ("+", "#"):
            name = f"level{place + 1}" if level == "+" else "rest"
            parameters[name] = {"description": "One level" if level == "+" else "Any levels that follow"}
            levels[place] = f"{{{name}}}"
    return "/".join(levels), parameters


def _channel(address: str, description: str, *messages: str) -> dict[str, object]:
    return {
        "address": address,
        "description": description,
        "messages": {name: _ref("components", "messages", name) for name in messages},
    }


def _operation(action: str, channel: str, message: str, summary: str) -> dict[str, object]:
    return {
        "action": action,
        "summary": summary,
        "channel": _ref("channels", channel),
        "messages": [_ref("channels", channel, "messages", message)],
    }


def _message(title: str, schema: str, summary: str) -> dict[str, object]:
    return {
        "title": title,
        "summary": summary,
        "contentType": "application/json",
        "payload": _ref("components", "schemas", schema),
    }


def _about(contract: type[Contract]) -> str:
    """First line of what a contract says of itself."""
    return (contract.__doc__ or contract.__name__).strip().split("\n", maxsplit=1)[0]


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}

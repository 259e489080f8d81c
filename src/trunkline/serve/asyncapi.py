"""The AsyncAPI document: every topic and stream of a workspace, and what its messages hold, from the contracts.

Source of the form: AsyncAPI Specification 3.0.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

from collections.abc import Mapping

from trunkline.checks import json_schema
from trunkline.contracts import Contract
from trunkline.ingest.streams import topic_of
from trunkline.serve.recording import TOPICS
from trunkline.spec import UseCase

__all__ = ["asyncapi_document"]

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


def asyncapi_document(usecases: Mapping[str, UseCase], *, version: str) -> dict[str, object]:
    """Write the document.

    Args:
        usecases: What is served, by name.
        version: Trunkline's version.

    Returns:
        The document, ready for JSON: channels are the topics of the broker, and the WebSockets of the edge.
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
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trunkline",
            "version": version,
            "description": "Topics of the workspace's broker (a prefix of the settings comes before their names) and "
            "WebSockets of the edge.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


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

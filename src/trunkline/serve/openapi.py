"""The OpenAPI document: FastAPI's own, with the bare ASGI routes described from the contracts."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from trunkline.checks import json_schema
from trunkline.contracts import Contract
from trunkline.serve.recording import OutcomeMessage
from trunkline.spec import UseCase

__all__ = ["describe"]

_Document = dict[str, Any]  # an OpenAPI document, whose shape is FastAPI's business

_HINTS: _Document = {
    "type": "object",
    "description": "Reason to what would have been accepted",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "allowed": {"type": "array", "items": {"type": "string"}},
            "limit": {"type": "number"},
            "unit": {"type": "string"},
            "pattern": {"type": "string"},
            "rule": {"type": "string"},
        },
    },
}

_ROW_ERRORS: _Document = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "row": {"type": "integer"},
            "reasons": {"type": "array", "items": {"type": "string"}},
        },
    },
}

_REFUSED: _Document = {
    "description": "Rows break their contract; nothing was done. `errors` names each such row and all its reasons, "
    "`hints` what would have been accepted.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "error": {"type": "string"},
                    "next": {"type": "string"},
                    "errors": _ROW_ERRORS,
                    "hints": _HINTS,
                },
            }
        }
    },
}

_ANSWER: _Document = {
    "type": "object",
    "properties": {
        "request_id": {"type": "string"},
        "usecase": {"type": "string"},
        "model_version": {"type": "string"},
        "alias": {"type": "string"},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "prediction_id": {"type": "string"},
                    "score": {"type": "number"},
                    "decision": {"type": ["boolean", "null"]},
                    "reasons": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"feature": {"type": "string"}, "contribution": {"type": "number"}},
                        },
                    },
                },
            },
        },
    },
}

_ACCEPTED: _Document = {
    "type": "object",
    "properties": {
        "request_id": {"type": "string"},
        "usecase": {"type": "string"},
        "accepted": {"type": "integer"},
        "outcome_ids": {"type": "array", "items": {"type": "string"}},
    },
}

_TAKEN: _Document = {
    "type": "object",
    "properties": {
        "request_id": {"type": "string"},
        "read": {"type": "integer"},
        "accepted": {"type": "integer"},
        "refused": {"type": "integer"},
        "errors": _ROW_ERRORS,
        "hints": _HINTS,
    },
}

_INFERENCE: _Document = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "datatype": {"type": "string"},
                    "data": {"type": "array", "items": {}},
                },
            },
        },
    },
}


def describe(app: FastAPI, *, usecases: Mapping[str, UseCase]) -> None:
    """Make the application's OpenAPI document speak of the routes that FastAPI does not know.

    Args:
        app: The application.
        usecases: What it serves.
    """
    of_fastapi = app.openapi

    def document() -> _Document:
        if app.openapi_schema is None:
            found = of_fastapi()
            for name, usecase in usecases.items():
                if usecase.answers_rows:
                    found["paths"][f"/v1/{name}/predict"] = _predict(usecase)
                    found["paths"][f"/v1/{name}/outcomes"] = _outcomes(name)
                for dataset, contract in usecase.datasets.items():
                    found["paths"][f"/v1/ingest/{name}/{dataset}"] = _ingest(usecase, contract, dataset)
            found["paths"]["/v2/models/{model}/infer"] = _infer()
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way FastAPI's documentation tells to extend it


def _predict(usecase: UseCase) -> _Document:
    label = () if usecase.task is None else (usecase.task.label,)
    operation = _operation(
        f"Ask {usecase.title}",
        usecase.question,
        tag=usecase.name,
        body=_one_or_many(_row(usecase.contract, without=label)),
        answer=_ANSWER,
    )
    operation["parameters"] = [
        {
            "name": "reasons",
            "in": "query",
            "description": "Features to name per row, those that moved the score most (SHAP values)",
            "schema": {"type": "integer", "minimum": 0, "maximum": 50, "default": 0},
        }
    ]
    return {"post": operation}


def _outcomes(name: str) -> _Document:
    return {
        "post": _operation(
            "Send outcomes",
            "Ground truth of entities that were predicted; joined to the predictions by key.",
            tag=name,
            body=_one_or_many(_row(OutcomeMessage, without=())),
            answer=_ACCEPTED,
        )
    }


def _ingest(usecase: UseCase, contract: type[Contract], dataset: str) -> _Document:
    said = "Each record has a verdict of its own: good ones go to the lake within seconds, others to the quarantine."
    if dataset in usecase.envelopes:
        said += " Messages that hold several records are taken apart."
    operation = _operation(
        f"Send {dataset}", said, tag=usecase.name, body=_one_or_many(_row(contract, without=())), answer=_TAKEN
    )
    del operation["responses"]["422"]
    return {"post": operation}


def _infer() -> _Document:
    operation = _operation(
        "Infer",
        "Named tensors, one per column of the use case's contract.",
        tag="open inference protocol",
        body=_INFERENCE,
        answer={"type": "object"},
    )
    operation["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {"post": operation}


def _operation(summary: str, description: str, *, tag: str, body: _Document, answer: _Document) -> _Document:
    return {
        "summary": summary,
        "description": description,
        "tags": [tag],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "Done and durable", "content": {"application/json": {"schema": answer}}},
            "422": _REFUSED,
        },
    }


def _row(contract: type[Contract], *, without: tuple[str, ...]) -> _Document:
    schema: _Document = dict(json_schema(contract))
    schema.pop("$schema", None)
    schema["properties"] = {name: shape for name, shape in schema["properties"].items() if name not in without}
    schema["required"] = [name for name in schema["required"] if name not in without]
    return schema


def _one_or_many(row: _Document) -> _Document:
    many = {"type": "array", "items": row}
    return {"anyOf": [row, many, {"type": "object", "properties": {"rows": many}, "required": ["rows"]}]}

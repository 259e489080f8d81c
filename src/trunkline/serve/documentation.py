"""The page at ``/docs``: the OpenAPI document as plain HTML.

Takes the document, gives one page without scripts that loads nothing from anywhere, so that it reads the same on a
machine without the internet and tells nobody that it was opened.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

from trunkline import __version__
from trunkline.serve.asyncapi import OtherTopics, asyncapi_document
from trunkline.spec import UseCase

__all__ = ["PAGE_HEADERS", "add_documentation", "documentation_page"]

_Document = Mapping[str, Any]  # parts of an OpenAPI document, whose shape is FastAPI's business

PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
}
"""What a browser is told about the page: that it may load nothing."""

_STYLE: Final = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .4rem 0 } code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .25rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .25rem .75rem
.25rem 0; border-bottom: 1px solid #8884 } details { border-bottom: 1px solid #8884 } .method { font-weight: 600 }
"""
_LIMITS: Final = ("minimum", "maximum", "maxLength", "pattern", "x-unit")
_EXAMPLES: Final[Mapping[str, object]] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def add_documentation(app: FastAPI, usecases: Mapping[str, UseCase], topics: OtherTopics | None) -> None:
    """Add the page, and the document of topics.

    Args:
        app: The application.
        usecases: What is served, by name.
        topics: Topics beside those of what is served.
    """

    @app.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi() -> JSONResponse:
        return JSONResponse(asyncapi_document(usecases, version=__version__, others=topics))

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(documentation_page(app.openapi()), headers=PAGE_HEADERS)


def documentation_page(document: _Document) -> str:
    """Render an OpenAPI document.

    Args:
        document: The document, as FastAPI makes it.

    Returns:
        One HTML page.
    """
    info = document["info"]
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append("".join(_operation(path, method, operation, document)))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(operations)}" for tag, operations in by_tag.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} API</h1><p>{escape(info.get('description', ''))} "
        f'For programs: <a href="openapi.json">openapi.json</a>.</p>{body}</body></html>'
    )


def _operation(path: str, method: str, operation: _Document, document: _Document) -> Iterator[str]:
    yield (
        f'<details><summary><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary><p>{escape(operation.get('description', ''))}</p>"
    )
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<h3>Parameters</h3>"
        yield _table(
            (f"{one['name']} ({one['in']})", _described({**one.get("schema", {}), **_only_description(one)}))
            for one in parameters
        )
    body = operation.get("requestBody")
    if body:
        schema = _one_row(_resolved(body["content"]["application/json"]["schema"], document))
        yield f"<h3>Body</h3>{_fields(schema)}"
        example = json.dumps(_example(schema), ensure_ascii=False)
        yield (
            f"<pre>curl -X {escape(method.upper())} http://127.0.0.1:8321{escape(path)} "
            f"-H 'content-type: application/json' \\\n  -d {escape(_quoted(example))}</pre>"
        )
    yield "<h3>Answers</h3>"
    yield _table(
        (status, escape(answer.get("description", "")) + _fields(_answer_schema(answer, document)))
        for status, answer in operation.get("responses", {}).items()
    )
    yield "</details>"


def _only_description(parameter: _Document) -> dict[str, object]:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _answer_schema(answer: _Document, document: _Document) -> _Document:
    content = answer.get("content", {}).get("application/json", {})
    return _resolved(content.get("schema", {}), document)


def _resolved(schema: _Document, document: _Document) -> _Document:
    """Follow a reference into the document's components."""
    reference = schema.get("$ref", "")
    found: _Document = document["components"]["schemas"][reference.rsplit("/", 1)[-1]] if reference else schema
    return found


def _one_row(schema: _Document) -> _Document:
    """Of a body that may be one row or many, the one row."""
    found: _Document = schema["anyOf"][0] if "anyOf" in schema else schema
    return found


def _fields(schema: _Document) -> str:
    properties = schema.get("properties")
    if not properties:
        return ""
    required = schema.get("required", ())
    return _table(
        (name + (" *" if name in required else ""), _described(shape)) for name, shape in properties.items()
    ) + ("<p>* needed</p>" if required else "")


def _described(shape: _Document) -> str:
    """Type, limits and meaning of one field."""
    may_be_null = {"type": "null"} in shape.get("anyOf", ())
    shape = _first_form(shape)
    kinds = shape.get("type", "")
    parts = [" or ".join([kinds] if isinstance(kinds, str) else kinds) + (" or null" if may_be_null else "")]
    if "enum" in shape:
        parts.append("one of " + ", ".join(str(value) for value in shape["enum"] if value is not None))
    parts += [f"{limit.removeprefix('x-')} {shape[limit]}" for limit in _LIMITS if limit in shape]
    text = escape("; ".join(part for part in parts if part))
    return f"{text}<br>{escape(shape['description'])}" if shape.get("description") else text


def _first_form(shape: _Document) -> _Document:
    """Of a field that may be written in several ways (a number, its text, null), the first, with what holds for all."""
    return {**shape["anyOf"][0], **shape} if shape.get("anyOf") else shape


def _example(schema: _Document) -> dict[str, object]:
    """A row with the fields that are needed."""
    properties = schema.get("properties", {})
    return {name: _example_value(name, properties.get(name, {})) for name in schema.get("required", ())}


def _example_value(name: str, shape: _Document) -> object:
    shape = _first_form(shape)
    if shape.get("enum"):
        return shape["enum"][0]
    kinds = shape.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "string":
        return {"date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31"}.get(str(shape.get("format")), name)
    return shape.get("minimum", _EXAMPLES.get(kind))


def _quoted(text: str) -> str:
    """A text as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _table(rows: Iterator[tuple[str, str]]) -> str:
    """A table of names, which are escaped here, and cells, which are HTML already."""
    cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{cell}</td></tr>" for name, cell in rows)
    return f"<table>{cells}</table>"

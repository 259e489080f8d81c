"""A contract as an Arrow schema, as a JSON Schema, and rows of Python values as an Arrow table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline.checks.typed import grammar_of
from trunkline.contracts import Column, Contract
from trunkline.contracts.kinds import KindName

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_schema", "arrow_type", "json_schema", "table_from_rows"]


def arrow_type(kind: KindName) -> "pa.DataType":
    """Give the Arrow type of a kind: instants in UTC microseconds, whole numbers in 64 bits."""
    import pyarrow as pa

    types: dict[KindName, pa.DataType] = {
        "text": pa.string(),
        "category": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "instant": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
    }
    return types[kind]


def arrow_schema(contract: type[Contract]) -> "pa.Schema":
    """Give the Arrow schema of a contract's table; see :func:`arrow_type`."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, arrow_type(column.kind), nullable=True) for column in contract.columns])


def json_schema(contract: type[Contract]) -> dict[str, object]:
    """Give the JSON Schema (2020-12) of one row as people read it, with units and text grammars as annotations.

    It leaves out trimming, null tokens and what else :func:`trunkline.checks.exact_json_schema` says for programs.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.__name__,
        "description": (contract.__doc__ or "").strip(),
        "type": "object",
        "properties": {column.name: _property(column) for column in contract.columns},
        "required": [
            column.name for column in contract.columns if column.is_needed and not contract.table.spares(column.name)
        ],
        "additionalProperties": False,
    }


def table_from_rows(contract: type[Contract], rows: Sequence[Mapping[str, object]]) -> "pa.Table":
    """Put validated rows into an Arrow table of the contract's schema; absent fields become null.

    Raises:
        pyarrow.ArrowInvalid: A value is not of its field's type, that is, the rows were not validated.
    """
    import pyarrow as pa

    schema = arrow_schema(contract)
    return pa.table({name: pa.array([row.get(name) for row in rows], schema.field(name).type) for name in schema.names})


def _property(column: Column) -> dict[str, object]:
    json_type = {
        "text": "string",
        "category": "string",
        "integer": "integer",
        "number": "number",
        "flag": "boolean",
        "instant": "string",
        "day": "string",
    }[column.kind]
    shape: dict[str, object] = {"type": json_type}
    grammar = grammar_of(column)
    if column.written is not None:
        shape["pattern"] = grammar
    elif column.kind == "instant":
        shape["format"] = "date-time"
    if column.minimum is not None:
        shape["minimum"] = column.minimum
    if column.maximum is not None:
        shape["maximum"] = column.maximum
    if column.values:
        shape["enum"] = [*column.values, *column.mapping]
    if column.max_length is not None:
        shape["maxLength"] = column.max_length
    if column.pattern is not None:
        shape["pattern"] = column.pattern
    options: list[dict[str, object]] = [shape]
    if grammar is not None and json_type != "string":
        options.append({"type": "string", "pattern": grammar})
    if column.nullable:
        options.append({"type": "null"})
    described: dict[str, object] = shape if len(options) == 1 else {"anyOf": options}
    if column.description:
        described["description"] = column.description
    if column.unit:
        described["x-unit"] = column.unit
    return described

"""From a contract to things that check: edge validator, vectorised split, Arrow and JSON schemas, samples."""

from trunkline.checks.columns import Resolution, resolve_columns
from trunkline.checks.edge import EdgeValidator, Judged, edge_validator
from trunkline.checks.schemas import arrow_schema, json_schema, table_from_rows
from trunkline.checks.split import ROW, Split, split_expression, unfused

__all__ = [
    "ROW",
    "EdgeValidator",
    "Judged",
    "Resolution",
    "Split",
    "arrow_schema",
    "edge_validator",
    "json_schema",
    "resolve_columns",
    "split_expression",
    "table_from_rows",
    "unfused",
]

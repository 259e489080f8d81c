"""From a contract to things that check: edge validator, vectorised split, Arrow and JSON schemas, samples."""

from trunkline.checks.arrays import TextReader, TypedTexts, text_readers
from trunkline.checks.blocks import BlockJudge, JudgedBlock
from trunkline.checks.columns import Resolution, claimed_columns, dialect_hint, resolve_columns
from trunkline.checks.edge import EdgeValidator, Judged, edge_validator
from trunkline.checks.json_schema import exact_json_schema, format_checker
from trunkline.checks.json_schema_import import contract_from_json_schema
from trunkline.checks.pseudonyms import Originals, Pseudonyms, protected_columns
from trunkline.checks.references import missing_rows
from trunkline.checks.schemas import arrow_schema, arrow_type, json_schema, table_from_rows
from trunkline.checks.split import ROW, Split, split_expression, unfused

__all__ = [
    "ROW",
    "BlockJudge",
    "EdgeValidator",
    "Judged",
    "JudgedBlock",
    "Originals",
    "Pseudonyms",
    "Resolution",
    "Split",
    "TextReader",
    "TypedTexts",
    "arrow_schema",
    "arrow_type",
    "claimed_columns",
    "contract_from_json_schema",
    "dialect_hint",
    "edge_validator",
    "exact_json_schema",
    "format_checker",
    "json_schema",
    "missing_rows",
    "protected_columns",
    "resolve_columns",
    "split_expression",
    "table_from_rows",
    "text_readers",
    "unfused",
]

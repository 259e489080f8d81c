"""The fields that a JSON Schema describes, as the columns of a draft.

Takes a file; gives its document where it is a JSON Schema (2020-12), and the fields of the contract that it becomes. It
refuses what a contract cannot say, see :mod:`trunkline.checks.json_schema_import`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from trunkline.checks import contract_from_json_schema
from trunkline.errors import SourceError
from trunkline.plugins.guessing import Guess
from trunkline.plugins.personal import looks_personal

__all__ = ["members", "schema_of"]

_SUFFIX: Final = ".schema.json"
_DIALECT: Final = "json-schema.org"
_MOST_BYTES: Final = 4 << 20
_LIMITS: Final = ("minimum", "maximum", "max_length", "pattern")


def schema_of(source: Path) -> Mapping[str, object] | None:
    """Give the document of a JSON Schema; None for a file of rows.

    Args:
        source: The file. It is a schema by its name, or by the dialect that it names under ``$schema``.

    Raises:
        SourceError: It is a schema by its name, and no object of JSON.
    """
    import orjson

    is_named = source.name.lower().endswith(_SUFFIX)
    if not is_named and source.suffix.lower() != ".json":
        return None
    document = None
    try:
        if source.stat().st_size <= _MOST_BYTES:
            document = orjson.loads(source.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        document = None
    if isinstance(document, dict) and (is_named or _DIALECT in str(document.get("$schema", ""))):
        return document
    if is_named:
        raise SourceError(
            "the file is no JSON Schema", where=str(source), allowed=("an object of JSON in UTF-8, of 4 MiB at most",)
        )
    return None


def members(document: Mapping[str, object], *, source: Path) -> list[Guess]:
    """Give the fields of the contract that a JSON Schema becomes.

    Raises:
        ContractError: It demands what a contract cannot say.
    """
    contract = contract_from_json_schema(document, name=source.name)
    return [
        Guess(
            column.name,
            column.name,
            column.kind,
            nullable=column.nullable,
            unique=False,
            values=column.values,
            personal=looks_personal(column.name.lower(), ()),
            description=column.description,
            said={name: value for name in _LIMITS if (value := getattr(column, name)) is not None},
        )
        for column in contract.columns
    ]

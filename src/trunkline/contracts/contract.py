"""The specification language: what a table or a message must look like.

A use case writes one frozen Pydantic class per table. The class carries everything that can be said about its rows:
kinds, units, ranges, key, event time, aliases of real-world column names, cleansing and rules. ``trunkline.checks``
turns a contract into an Arrow schema, a vectorised split and an edge validator; all of them, and ``model_validate``,
give the same verdict on a row.

Refused when the class is made (``ContractError``): unknown kinds, two fields that claim one column name, a key or
event time that is not a field, rules over unknown columns, patterns that engines read differently, and Pydantic
validators (free Python would give verdicts that an engine cannot repeat).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from trunkline.contracts.columns import LONGEST_TEXT, NULL_TOKENS, Column, Keep, Reference, Rule, Table, field
from trunkline.contracts.definition import column_of, refuse_contradictions, refuse_validators
from trunkline.contracts.judging import RowJudge, broken_limits, names_of

__all__ = [
    "LONGEST_TEXT",
    "NULL_TOKENS",
    "Column",
    "Contract",
    "Keep",
    "Reference",
    "Rule",
    "Table",
    "broken_limits",
    "column_names",
    "field",
    "with_table",
]


class Contract(BaseModel):
    """Base of all contracts: a frozen model whose class describes one table or message.

    Attributes:
        table: What is said of the table as a whole; a subclass sets it.
        columns: Its columns, read off the class.
        fingerprint: Hash of everything that verdicts and types depend on; descriptions are left out.
    """

    # Most processes make no instance of most contracts: Pydantic builds their validators when the first one is made.
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="null", hide_input_in_errors=True, defer_build=True
    )

    table: ClassVar[Table] = Table()
    columns: ClassVar[tuple[Column, ...]] = ()
    fingerprint: ClassVar[str] = ""
    _row_judge: ClassVar[RowJudge | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **_kwargs: object) -> None:
        """Read the columns off the class, and refuse what cannot be checked on every engine."""
        refuse_validators(cls)
        cls.columns = tuple(column_of(cls, name, info) for name, info in cls.model_fields.items())
        refuse_contradictions(cls)
        cls.fingerprint = _fingerprint(cls)
        cls._row_judge = None

    @model_validator(mode="wrap")
    @classmethod
    def _judge(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Judge a message; all reasons of a row are reported at once, as ``trunkline.checks`` names them.

        A row that says that its key is gone may be null where others are not.
        """
        if not isinstance(data, Mapping):
            return handler(data)
        if cls._row_judge is None:
            cls._row_judge = RowJudge(cls.columns, cls.table)
        judged = cls._row_judge.judge(data)
        if judged.reasons:
            raise PydanticCustomError("contract", "{reasons}", {"reasons": ", ".join(judged.reasons)})
        deleted = cls.table.deleted
        if deleted is not None and judged.row[deleted] is True:
            return cast("Self", cls.model_construct(set(judged.row), **judged.row))
        return handler(dict(judged.row))


def with_table(contract: type[Contract], **changes: Any) -> type[Contract]:  # noqa: ANN401 - as of the table
    """Give a contract of the same name and fields, whose table is told otherwise.

    Args:
        contract: The contract; it stays as it is.
        changes: Attributes of :class:`~trunkline.contracts.columns.Table`.
    """
    table = replace(contract.table, **changes)
    return type(contract.__name__, (contract,), {"table": table, "__doc__": contract.__doc__})


def column_names(contract: type[Contract]) -> Mapping[str, str]:
    """Give every lower-case name (own and alias) under which a column may arrive, and the field it means."""
    return names_of(contract.columns)


def _said_of(column: Column) -> dict[str, object]:
    said = {**vars(column), "description": ""}
    if not column.is_protected:  # left out, so that batches of before have the ids that they had
        for name in ("keep", "form", "country"):
            del said[name]
    for name in ("written", "decimal", "thousands"):
        if said[name] is None:
            del said[name]
    return said


def _fingerprint(cls: type[Contract]) -> str:
    description = {
        "columns": [_said_of(column) for column in cls.columns],
        "key": cls.table.key,
        "event_at": cls.table.event_at,
        "keep": cls.table.keep,
        "null_tokens": cls.table.null_tokens,
        "rules": [[rule.name, rule.condition.to_data()] for rule in cls.table.rules],
    }
    if cls.table.unique != "batch":  # left out otherwise, so that batches of before have the ids that they had
        description["unique"] = cls.table.unique
    for name in ("ordered_by", "deleted"):
        if getattr(cls.table, name) is not None:
            description[name] = getattr(cls.table, name)
    if cls.table.references:
        description["references"] = [asdict(reference) for reference in cls.table.references]
    if cls.table.on_missing_column == "quarantine":
        description["on_missing_column"] = cls.table.on_missing_column
    text = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The specification language: what a table or a message must look like.

A use case writes one frozen Pydantic class per table. The class carries everything that can be said about its rows:
kinds, units, ranges, key, event time, aliases of real-world column names, cleansing and rules. Nothing is executed here;
``trunkline.checks`` turns a contract into an Arrow schema, a vectorised split and an edge validator.

Refused when the class is made (``ContractError``): unknown kinds, two fields that claim one column name, a key or
event time that is not a field, rules over unknown columns, and Pydantic validators (free Python would give verdicts that
an engine cannot repeat).
"""

import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field as dataclass_field
from typing import Any, ClassVar, Final, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from trunkline.contracts.expressions import Expr, row_function
from trunkline.contracts.kinds import Kind, KindName, Malformed, parse
from trunkline.errors import ContractError

NULL_TOKENS: Final = ("", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "?")
"""Texts that mean null unless a table says otherwise; compared after trimming."""

LONGEST_TEXT: Final = 10_000
"""Characters (code points) a text may have unless its field says otherwise."""

Keep = Literal["first", "last"]


@dataclass(frozen=True)
class Rule:
    """A condition over the columns of one row.

    Attributes:
        name: Identifies the rule in reasons; unique within its contract.
        condition: Broken where it is false; null passes.
        message: What a person reads in the quarantine.
    """

    name: str
    condition: Expr
    message: str = ""


@dataclass(frozen=True)
class Table:
    """What is said of the table as a whole.

    Attributes:
        key: Fields that identify a row; empty when rows have no identity.
        event_at: The instant field that orders versions of a row; None when the order of arrival does.
        keep: Which of several rows with one key in a batch is kept; the others count as duplicates.
        null_tokens: Texts that mean null.
        rules: Conditions over several fields.
    """

    key: tuple[str, ...] = ()
    event_at: str | None = None
    keep: Keep = "last"
    null_tokens: tuple[str, ...] = NULL_TOKENS
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Column:
    """One field of a contract, read off its class.

    Attributes:
        name: The field's name, also the column's name in the lake.
        kind: The kind of its values.
        nullable: Whether null is allowed; a column that is not nullable must be present in a source.
        description: What it means, for people.
        unit: Unit of a number, e.g. ``months``, ``Mbit/s``; empty for pure numbers.
        minimum: Smallest allowed number, inclusive.
        maximum: Largest allowed number, inclusive.
        max_length: Most characters of a text.
        pattern: Anchored regular expression a text must match, in the subset RE2, Rust and Java share.
        values: The closed set of a category.
        aliases: Other names under which real-world sources carry the column; matched ignoring case.
        null_tokens: Texts that mean null in this column, beside the table's.
        mapping: Texts replaced before the grammar applies, e.g. ``{"Two year": "two_year"}``.
        impute: Value that replaces null after the checks; None imputes nothing.
        scale: Factor from the source's unit to ``unit``.
        zone: IANA zone of instants without an offset.
        pii: Identifier type of personal data (``subscriber``, ``phone``, ...); empty for none.
    """

    name: str
    kind: KindName
    nullable: bool
    description: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    null_tokens: tuple[str, ...] = ()
    mapping: Mapping[str, str] = dataclass_field(default_factory=dict)
    impute: str | int | float | bool | None = None
    scale: float | None = None
    zone: str | None = None
    pii: str = ""


@dataclass(frozen=True)
class _Said:
    """What ``field`` was told, before the annotation is known."""

    unit: str
    minimum: float | None
    maximum: float | None
    max_length: int | None
    pattern: str | None
    aliases: tuple[str, ...]
    null_tokens: tuple[str, ...]
    mapping: Mapping[str, str]
    impute: str | int | float | bool | None
    scale: float | None
    zone: str | None
    pii: str


def field(  # noqa: PLR0913 - one keyword per thing that can be said of a column
    description: str = "",
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    aliases: Sequence[str] = (),
    null_tokens: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    impute: str | int | float | bool | None = None,
    scale: float | None = None,
    zone: str | None = None,
    pii: str = "",
) -> Any:  # noqa: ANN401 - like pydantic.Field, it stands where a value of the field's type is expected
    """Say more about a field than its type does; see :class:`Column` for each keyword.

    A nullable field (``Number | None``) may be absent from a source or message and is null then.
    """
    said = _Said(
        unit=unit,
        minimum=minimum,
        maximum=maximum,
        max_length=max_length,
        pattern=pattern,
        aliases=tuple(aliases),
        null_tokens=tuple(null_tokens),
        mapping=dict(mapping or {}),
        impute=impute,
        scale=scale,
        zone=zone,
        pii=pii,
    )
    info: Any = Field(description=description or None)
    info.metadata.append(said)
    return info


class Contract(BaseModel):
    """Base of all contracts: a frozen model whose class describes one table or message."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", hide_input_in_errors=True)

    table: ClassVar[Table] = Table()
    columns: ClassVar[tuple[Column, ...]] = ()
    fingerprint: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **_kwargs: object) -> None:
        """Read the columns off the class, and refuse what cannot be checked on every engine."""
        _refuse_validators(cls)
        cls.columns = tuple(_column(cls, name, info) for name, info in cls.model_fields.items())
        _refuse_contradictions(cls)
        cls.fingerprint = _fingerprint(cls)

    @model_validator(mode="before")
    @classmethod
    def _cleanse(cls, data: object) -> object:
        """Bring a message's fields to their contract names, trim, apply null tokens, mappings and scales."""
        if not isinstance(data, Mapping):
            return data
        names = column_names(cls)
        by_name = {column.name: column for column in cls.columns}
        cleansed: dict[str, object] = {column.name: None for column in cls.columns if column.nullable}
        for key, value in data.items():
            name = names.get(str(key).strip().lower(), str(key))
            column = by_name.get(name)
            cleansed[name] = value if column is None else _cleanse_value(cls, column, value)
        return cleansed

    @model_validator(mode="after")
    def _obey_columns_and_rules(self) -> Self:
        """Apply ranges, lengths, patterns and rules; all failures of a row are reported at once."""
        row = {column.name: getattr(self, column.name) for column in type(self).columns}
        reasons = [
            f"{column.name}.{code}"
            for column in type(self).columns
            if row[column.name] is not None
            for code in broken_limits(column, row[column.name])
        ]
        reasons += [rule.name for rule, holds in _compiled_rules(type(self)) if holds(row) is False]
        if reasons:
            raise PydanticCustomError("contract", "{reasons}", {"reasons": ", ".join(reasons)})
        return self


def column_names(contract: type[Contract]) -> Mapping[str, str]:
    """Give every lower-case name (own and alias) under which a column may arrive, and the field it means."""
    cached: Mapping[str, str] | None = contract.__dict__.get("_column_names")
    if cached is None:
        cached = {
            name.strip().lower(): column.name
            for column in contract.columns
            for name in (*column.aliases, column.name)
        }
        contract._column_names = cached  # type: ignore[attr-defined]  # a cache beside the class it belongs to
    return cached


def broken_limits(column: Column, value: object) -> list[str]:
    """Name the limits of a column (``minimum``, ``maximum``, ``length``, ``pattern``, ``category``) a value breaks."""
    import re

    broken = []
    if isinstance(value, int | float) and not isinstance(value, bool):
        if column.minimum is not None and value < column.minimum:
            broken.append("minimum")
        if column.maximum is not None and value > column.maximum:
            broken.append("maximum")
    if isinstance(value, str):
        if column.kind == "category" and value not in column.values:
            broken.append("category")
        if len(value) > (column.max_length or LONGEST_TEXT):
            broken.append("length")
        if column.pattern and not re.fullmatch(column.pattern, value):
            broken.append("pattern")
    return broken


def _cleanse_value(contract: type[Contract], column: Column, value: object) -> object:
    """Trim, null tokens, mapping, scale and zone; anything odd is left for the field's own validator to refuse."""
    if isinstance(value, str):
        value = value.strip(" \t\n\r\v\f")
        if value in contract.table.null_tokens or value in column.null_tokens:
            value = None
        elif column.mapping:
            value = column.mapping.get(value, value)
    if value is None:
        return column.impute
    try:
        if column.scale is not None:
            return float(parse("number", value)) * column.scale
        if column.zone is not None:
            return parse("instant", value, zone=column.zone)
    except Malformed:
        return value
    return value


def _compiled_rules(contract: type[Contract]) -> tuple[tuple[Rule, Any], ...]:
    cached: tuple[tuple[Rule, Any], ...] | None = contract.__dict__.get("_rules")
    if cached is None:
        cached = tuple((rule, row_function(rule.condition)) for rule in contract.table.rules)
        contract._rules = cached  # type: ignore[attr-defined]  # a cache beside the class it belongs to
    return cached


def _refuse_validators(cls: type[Contract]) -> None:
    decorators = cls.__pydantic_decorators__
    own = [
        name
        for group in (decorators.field_validators, decorators.validators, decorators.root_validators)
        for name in group
    ]
    own += [name for name in decorators.model_validators if name not in ("_cleanse", "_obey_columns_and_rules")]
    if own:
        raise ContractError(
            f"contract {cls.__name__} has free Python validators: {', '.join(own)}",
            where=f"{cls.__module__}.{cls.__qualname__}",
            next_step="write the condition as a Rule over col(...), which every engine can evaluate",
        )


def _column(cls: type[Contract], name: str, info: FieldInfo) -> Column:
    where = f"{cls.__module__}.{cls.__qualname__}.{name}"
    annotation, nullable = _without_none(info.annotation)
    marks = [mark for mark in info.metadata if isinstance(mark, Kind)]
    if get_origin(annotation) is typing.Annotated:
        base, *rest = get_args(annotation)
        marks += [mark for mark in rest if isinstance(mark, Kind)]
        annotation = base
    values: tuple[str, ...] = ()
    if get_origin(annotation) is Literal:
        values = tuple(str(value) for value in get_args(annotation))
        kind: KindName = "category"
    elif marks:
        kind = marks[0].name
    else:
        raise ContractError(
            "a field must have one of the kinds of a contract",
            where=where,
            allowed=("Text", "Integer", "Number", "Flag", "Instant", "Day", "Literal[...]", "each with | None"),
        )
    said = next((mark for mark in info.metadata if isinstance(mark, _Said)), None)
    if said is None:
        return Column(name, kind, nullable, description=info.description or "", values=values)
    return Column(
        name,
        kind,
        nullable,
        description=info.description or "",
        values=values,
        **{key: getattr(said, key) for key in said.__dataclass_fields__},
    )


def _without_none(annotation: object) -> tuple[object, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            return parts[0], True
    return annotation, False


def _refuse_contradictions(cls: type[Contract]) -> None:
    where = f"{cls.__module__}.{cls.__qualname__}"
    names = {column.name for column in cls.columns}
    claimed: dict[str, str] = {}
    for column in cls.columns:
        for alias in {alias.strip().lower() for alias in (column.name, *column.aliases)}:
            if alias in claimed:
                raise ContractError(f"{claimed[alias]!r} and {column.name!r} both claim {alias!r}", where=where)
            claimed[alias] = column.name
    missing = [name for name in (*cls.table.key, *filter(None, [cls.table.event_at])) if name not in names]
    if missing:
        raise ContractError(f"key or event time is not a field: {', '.join(missing)}", where=where, allowed=names)
    for rule in cls.table.rules:
        unknown = sorted(rule.condition.columns() - names)
        if unknown:
            raise ContractError(f"rule {rule.name!r} reads unknown columns: {', '.join(unknown)}", where=where)
    nullable_key = [column.name for column in cls.columns if column.name in cls.table.key and column.nullable]
    if nullable_key:
        raise ContractError(f"key fields may not be null: {', '.join(nullable_key)}", where=where)


def _fingerprint(cls: type[Contract]) -> str:
    description = {
        "columns": [asdict(column) for column in cls.columns],
        "key": cls.table.key,
        "event_at": cls.table.event_at,
        "keep": cls.table.keep,
        "null_tokens": cls.table.null_tokens,
        "rules": [[rule.name, rule.condition.to_data()] for rule in cls.table.rules],
    }
    text = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

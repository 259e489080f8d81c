"""Reads the columns off a contract's class, and refuses what cannot be checked on every engine."""

import re
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic.fields import FieldInfo

from trunkline.contracts.columns import Column, Said
from trunkline.contracts.judging import broken_limits, names_of
from trunkline.contracts.kinds import WHITE_SPACE, Kind, KindName, Malformed, parse
from trunkline.contracts.patterns import outside_subset
from trunkline.contracts.privacy import Form, Kept
from trunkline.contracts.rule_types import refuse_mistyped
from trunkline.contracts.written import DECIMALS, THOUSANDS, WRITTEN
from trunkline.errors import ContractError

if TYPE_CHECKING:
    from trunkline.contracts.contract import Contract

__all__ = ["column_of", "refuse_contradictions", "refuse_validators"]

OWN_VALIDATOR = "_judge"
"""The one model validator that a contract has."""

_KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def refuse_validators(cls: "type[Contract]") -> None:
    """Refuse free Python validators: an engine cannot repeat their verdicts.

    Raises:
        ContractError: The class has one.
    """
    decorators = cls.__pydantic_decorators__
    own = [
        name
        for group in (decorators.field_validators, decorators.validators, decorators.root_validators)
        for name in group
    ]
    own += [name for name in decorators.model_validators if name != OWN_VALIDATOR]
    if own:
        raise ContractError(
            f"contract {cls.__name__} has free Python validators: {', '.join(own)}",
            where=_where(cls),
            next_step="write the condition as a Rule over col(...), which every engine can evaluate",
        )


def column_of(cls: "type[Contract]", name: str, info: FieldInfo) -> Column:
    """Read one column off its annotation and what ``field`` was told.

    Raises:
        ContractError: The annotation is not one of the kinds, or says what its kind cannot have.
    """
    where = f"{_where(cls)}.{name}"
    annotation, nullable = _without_none(info.annotation)
    marks = [mark for mark in info.metadata if isinstance(mark, Kind)]
    if get_origin(annotation) is typing.Annotated:
        base, *rest = get_args(annotation)
        marks += [mark for mark in rest if isinstance(mark, Kind)]
        annotation = base
    values: tuple[str, ...] = ()
    if get_origin(annotation) is Literal and all(isinstance(value, str) for value in get_args(annotation)):
        values = get_args(annotation)
        kind: KindName = "category"
    elif marks:
        kind = marks[0].name
    else:
        raise ContractError(
            "a field must have one of the kinds of a contract",
            where=where,
            allowed=("Text", "Integer", "Number", "Flag", "Instant", "Day", "Literal[texts]", "each with | None"),
        )
    if not info.is_required():
        raise ContractError(
            "a field has no default", where=where, next_step="field(impute=...) replaces null; `| None` allows it"
        )
    said = next((mark for mark in info.metadata if isinstance(mark, Said)), None)
    told = {} if said is None else {key: getattr(said, key) for key in said.__dataclass_fields__}
    column = Column(name, kind, nullable, description=info.description or "", values=values, **told)
    _refuse_misfits(column, where)
    _refuse_cleansing(cls, column, where)
    _refuse_unprotectable(cls, column, where)
    return column


def _without_none(annotation: object) -> tuple[object, bool]:
    import types

    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            return parts[0], True
    return annotation, False


def _refuse_misfits(column: Column, where: str) -> None:
    """Refuse what is said of a kind that cannot have it."""
    kinds: dict[str, tuple[KindName, ...]] = {
        "minimum": ("integer", "number"),
        "maximum": ("integer", "number"),
        "scale": ("integer", "number"),
        "max_length": ("text",),
        "pattern": ("text",),
        "zone": ("instant",),
        "written": ("day", "instant"),
        "decimal": ("integer", "number"),
        "thousands": ("integer", "number"),
    }
    for said, fitting in kinds.items():
        if getattr(column, said) is not None and column.kind not in fitting:
            raise ContractError(f"{said} is said of a {column.kind}", where=where, allowed=fitting)
    if column.pattern is not None and (outside := outside_subset(column.pattern)):
        raise ContractError(
            f"the pattern holds {outside}",
            where=where,
            allowed=("what RE2, Rust and Java read alike: literals, classes, groups, alternatives, repetitions",),
        )
    _refuse_forms(column, where)
    if column.zone is not None:
        try:
            ZoneInfo(column.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ContractError(
                f"there is no time zone {column.zone!r}", where=where, allowed=("IANA names, e.g. Europe/Berlin",)
            ) from None


def _refuse_forms(column: Column, where: str) -> None:
    """Refuse unknown ways to write a value, and marks that would mean two things."""
    if column.written is not None:
        if column.written not in WRITTEN[column.kind]:
            raise ContractError(
                f"a {column.kind} cannot be written {column.written!r}", where=where, allowed=WRITTEN[column.kind]
            )
        if column.zone is not None and column.written.startswith("epoch_"):
            raise ContractError("a count since 1970 has no time zone", where=where, next_step="leave the zone out")
    if column.decimal is not None and column.decimal not in DECIMALS:
        raise ContractError(f"a decimal mark cannot be {column.decimal!r}", where=where, allowed=DECIMALS)
    if column.thousands is not None and column.thousands not in THOUSANDS:
        raise ContractError(
            f"thousands cannot be marked by {column.thousands!r}", where=where, allowed=map(repr, THOUSANDS)
        )
    if column.thousands is not None and column.thousands == (column.decimal or "."):
        raise ContractError(
            f"{column.thousands!r} marks both thousands and decimals",
            where=where,
            allowed=('decimal=","', 'thousands=","'),
        )


def _refuse_unprotectable(cls: "type[Contract]", column: Column, where: str) -> None:
    """Refuse policies of personal data that could not be kept."""
    if column.keep not in get_args(Kept):
        raise ContractError(f"personal data cannot be kept as {column.keep!r}", where=where, allowed=get_args(Kept))
    if not column.is_protected:
        return
    if column.form not in get_args(Form):
        raise ContractError(f"there is no form {column.form!r}", where=where, allowed=get_args(Form))
    if not _KIND.fullmatch(column.pii):
        raise ContractError(
            f"{column.pii!r} cannot be an identifier type with keys",
            where=where,
            allowed=("lower-case letters, digits, _ and -, at most 40",),
        )
    if column.kind != "text":
        raise ContractError(
            f"a pseudonym is a text, and the field is a {column.kind}",
            where=where,
            next_step="declare the identifier as Text: its digits are no quantity",
        )
    if column.country and (column.form != "e164" or not re.fullmatch(r"[1-9][0-9]{0,2}", column.country)):
        raise ContractError(
            f"{column.country!r} is no calling code of telephone numbers", where=where, allowed=("e.g. 49", "e.g. 1")
        )
    if column.name in (cls.table.event_at, cls.table.ordered_by):
        raise ContractError("what orders the versions of a row cannot be a pseudonym", where=where)


def _refuse_cleansing(cls: "type[Contract]", column: Column, where: str) -> None:
    """Refuse mappings, null tokens and imputed values that could never count, or would break their own contract."""
    nulls = {*cls.table.null_tokens, *column.null_tokens}
    for text in (*nulls, *column.mapping, *column.mapping.values(), *column.values):
        if text != text.strip(WHITE_SPACE):
            raise ContractError(f"{text!r} has white space around it, which is trimmed from values", where=where)
    if lost := sorted(nulls & {*column.mapping, *column.values}):
        raise ContractError(
            f"{', '.join(map(repr, lost))} means null here and can be neither mapped nor a category", where=where
        )
    if column.kind == "category" and (odd := sorted({*column.mapping.values()} - {*column.values})):
        raise ContractError(f"mapped to {', '.join(map(repr, odd))}", where=where, allowed=column.values)
    if column.impute is None:
        return
    try:
        broken = broken_limits(column, parse(column.kind, column.impute, zone=column.zone))
    except Malformed:
        broken = ["type"]
    if broken:
        raise ContractError(f"the imputed value {column.impute!r} breaks: {', '.join(broken)}", where=where)


def refuse_contradictions(cls: "type[Contract]") -> None:
    """Refuse what the columns and the table say against each other.

    Raises:
        ContractError: Two fields claim one name; key, event time or a rule is wrong.
    """
    where = _where(cls)
    kinds = {column.name: column.kind for column in cls.columns}
    names = names_of(cls.columns)
    for column in cls.columns:
        for name in (column.name, *column.aliases):
            claimed = names[name.strip().lower()]
            if claimed != column.name:
                raise ContractError(f"{claimed!r} and {column.name!r} both claim {name!r}", where=where)
    said = (cls.table.event_at, cls.table.ordered_by, cls.table.deleted)
    missing = [name for name in (*cls.table.key, *filter(None, said)) if name not in kinds]
    if missing:
        raise ContractError(f"what the table names is not a field: {', '.join(missing)}", where=where, allowed=kinds)
    if cls.table.event_at and kinds[cls.table.event_at] not in ("instant", "day"):
        raise ContractError(f"the event time {cls.table.event_at!r} is neither an instant nor a day", where=where)
    _refuse_changes(cls, kinds, where)
    if cls.table.unique == "table" and not cls.table.key:
        raise ContractError("rows without a key cannot be unique in their table", where=where)
    if cls.table.reject_budget is not None and not 0 <= cls.table.reject_budget <= 1:
        raise ContractError("the reject budget is a share in [0, 1]", where=where)
    nullable_key = [column.name for column in cls.columns if column.name in cls.table.key and column.nullable]
    if nullable_key:
        raise ContractError(f"key fields may not be null: {', '.join(nullable_key)}", where=where)
    if cls.table.most_malformed is not None and not 0 <= cls.table.most_malformed <= 1:
        raise ContractError("the largest share of malformed rows is a share in [0, 1]", where=where)
    _refuse_references(cls, kinds, where)
    _refuse_retention(cls, where)
    rules: set[str] = set()
    for rule in cls.table.rules:
        if rule.name in rules or not rule.name or "." in rule.name:
            raise ContractError(
                f"a rule cannot be called {rule.name!r}", where=where, allowed=("a name of its own, without a dot",)
            )
        rules.add(rule.name)
        refuse_mistyped(rule.condition, kinds=kinds, where=f"{where}, rule {rule.name}")


def _refuse_changes(cls: "type[Contract]", kinds: Mapping[str, KindName], where: str) -> None:
    """Refuse an order of versions, or a mark of deletions, that could not do its work."""
    table = cls.table
    if (table.ordered_by or table.deleted) and not table.key:
        raise ContractError("rows without a key have no versions, and cannot be deleted by a row", where=where)
    if table.ordered_by and kinds[table.ordered_by] in ("flag", "category"):
        raise ContractError(f"a {kinds[table.ordered_by]} puts versions of a row in no order", where=where)
    if table.deleted and (kinds[table.deleted] != "flag" or table.deleted in table.key):
        raise ContractError("what marks deletions is a Flag, and no part of the key", where=where)


def _refuse_retention(cls: "type[Contract]", where: str) -> None:
    kept = cls.table.keep_rows
    if kept is not None and not kept.days > 0:
        raise ContractError("rows are kept for more than 0 days", where=where)
    if kept is not None and kept.by == "event" and not cls.table.event_at:
        raise ContractError(
            "rows cannot age by their event time: the table has none", where=where, allowed=("by='ingestion'",)
        )


def _refuse_references(cls: "type[Contract]", kinds: Mapping[str, KindName], where: str) -> None:
    reasons: set[str] = set()
    for reference in cls.table.references:
        here = f"{where}, {reference.reason}"
        if not reference.columns or len(reference.columns) != len(reference.to):
            raise ContractError("a reference has as many fields here as there, and one at least", where=here)
        if unknown := [name for name in reference.columns if name not in kinds]:
            raise ContractError(f"a reference reads the unknown field {unknown[0]!r}", where=here, allowed=kinds)
        if reference.reason in reasons or "." in reference.reason.removeprefix("reference."):
            raise ContractError("a reference has a name of its own, without a dot", where=here)
        reasons.add(reference.reason)


def _where(cls: "type[Contract]") -> str:
    return f"{cls.__module__}.{cls.__qualname__}"

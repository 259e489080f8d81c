"""The vectorised split: one query that types a batch of texts and names every reason a row fails for.

Takes a raw table whose columns are text (plus ``_row``) and gives an expression with the contract's typed columns and
bit masks of failed checks: a row is good where all masks are zero. Nothing is executed here; the engine that owns the
table computes it, so the same expression runs on DuckDB and on Spark.

Only columns that the source has are judged; the others become typed NULLs (or their imputed value) at the end. Each of
the three selects stands on the one before: run them with ``unfused``, or Ibis writes them into one another and every
text is trimmed and cast once per check.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add, or_
from typing import TYPE_CHECKING, ClassVar, Final, cast

from trunkline.checks.columns import Resolution
from trunkline.checks.rules import ibis_value
from trunkline.checks.typed import grammar_of, matches, typed_value
from trunkline.contracts import Column, Contract
from trunkline.contracts.contract import LONGEST_TEXT
from trunkline.contracts.judging import limit_of
from trunkline.contracts.kinds import WHITE_SPACE, parse
from trunkline.contracts.patterns import without_anchors, without_dots

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["ROW", "Split", "split_expression", "unfused"]

ROW: Final = "_row"
"""Column with the 1-based position of the row in its batch."""

_IBIS_TYPES: Final = {
    "text": "string",
    "category": "string",
    "integer": "int64",
    "number": "float64",
    "flag": "boolean",
    "instant": "timestamp('UTC', 6)",
    "day": "date",
}


@dataclass(frozen=True)
class Split:
    """A batch with its verdicts, not yet computed.

    Attributes:
        table: ``_row``, the contract's columns, and the mask columns.
        masks: Names of the mask columns, int64; bit ``i`` of mask ``m`` stands for ``reasons[m * 60 + i]``.
        reasons: Reason codes, ``field.check`` or a rule's name.
    """

    table: "ir.Table"
    masks: tuple[str, ...]
    reasons: tuple[str, ...]

    BITS: ClassVar[int] = 60
    """Reasons per mask."""

    def good(self) -> "ir.BooleanValue":
        """Condition: the row broke nothing."""
        condition = self.table[self.masks[0]] == 0
        for mask in self.masks[1:]:
            condition = condition & (self.table[mask] == 0)
        return cast("ir.BooleanValue", condition)

    def decode(self, masks: Sequence[int]) -> list[str]:
        """Name the reasons of one row from the values of its masks."""
        return [
            self.reasons[position * self.BITS + bit]
            for position, mask in enumerate(masks)
            for bit in range(self.BITS)
            if mask >> bit & 1
        ]


@contextmanager
def unfused() -> Iterator[None]:
    """Let Ibis keep the selects of a split apart while an expression over it is compiled."""
    import ibis

    before = ibis.options.sql.fuse_selects
    ibis.options.sql.fuse_selects = False
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = before


def split_expression(contract: type[Contract], raw: "ir.Table", resolution: Resolution) -> Split:
    """Write the query that types and judges a batch.

    Args:
        contract: What the rows must look like.
        raw: Text columns under the source's names, and ``_row``.
        resolution: Which source column is which field.

    Returns:
        The split; each failing check of each row sets its bit, without a cap.
    """
    present = [column for column in contract.columns if column.name in resolution.source_of]
    said = [_coalesced(contract, column, raw, resolution) for column in present]
    cleaned = [_cleaned(contract, column, text) for column, (text, _) in zip(present, said, strict=True)]
    twice = {_twice_name(column): both for column, (_, both) in zip(present, said, strict=True) if both is not None}
    texts = raw.select(
        raw[ROW],
        **{_text_name(column): text for column, (text, _) in zip(present, cleaned, strict=True)},
        **twice,
        **{
            _known_name(column): known for column, (_, known) in zip(present, cleaned, strict=True) if known is not None
        },
    )
    typed = texts.select(
        texts[ROW],
        **{_text_name(column): texts[_text_name(column)] for column in present},
        **{name: texts[name] for name in twice},
        **{column.name: _typed(column, texts) for column in present},
    )
    read = frozenset[str]().union(*(rule.condition.columns() for rule in contract.table.rules))
    absent = {column.name: _absent(column) for column in contract.columns if column not in present}
    read_absent = {name: value for name, value in absent.items() if name in read}
    whole = typed.mutate(**read_absent) if read_absent else typed
    states = {column.name: _state_of_text(column, whole) for column in present}
    both = ((f"{column.name}.twice", whole[name]) for column in present if (name := _twice_name(column)) in twice)
    checks = [
        *both,
        *_missing(contract, resolution, whole),
        *_checks(contract, present, whole, states, optional=resolution.optional),
    ]
    masks = _masks(checks)
    final = {name: absent[name] if name in absent else whole[name] for name in contract.model_fields}
    return Split(whole.select(whole[ROW], **final, **masks), tuple(masks), tuple(reason for reason, _ in checks))


def _must_be_there(contract: type[Contract], column: Column, typed: "ir.Table") -> "ir.BooleanValue":
    """Say of which rows a needed field must not be null: of all but those that say that their key is gone."""
    import ibis

    said = contract.table
    if said.deleted not in typed.columns or not said.spares(column.name):
        return cast("ir.BooleanValue", ibis.literal(value=True))
    return cast("ir.BooleanValue", ~cast("ir.BooleanValue", typed[said.deleted]).fill_null(False))


def _missing(
    contract: type[Contract], resolution: Resolution, typed: "ir.Table"
) -> "Iterator[tuple[str, ir.BooleanValue]]":
    """Give the checks that every row fails, because its source lacks the column."""
    import ibis

    for column in contract.columns:
        if column.name in resolution.missing and column.impute is None:
            is_null = cast("ir.BooleanValue", ibis.literal(value=True))
            yield f"{column.name}.null", is_null & _must_be_there(contract, column, typed)


def _state_of_text(column: Column, typed: "ir.Table") -> "tuple[ir.BooleanValue, ir.BooleanValue]":
    text, value = typed[_text_name(column)], typed[column.name]
    return text.isnull(), cast("ir.BooleanValue", text.notnull() & value.isnull())


def _masks(checks: "Sequence[tuple[str, ir.BooleanValue]]") -> "dict[str, ir.Value]":
    return {
        f"_mask{position // Split.BITS}": _mask([failed for _, failed in checks[position : position + Split.BITS]])
        for position in range(0, max(len(checks), 1), Split.BITS)
    }


def _mask(failed: Sequence["ir.BooleanValue"]) -> "ir.Value":
    """Put conditions into one number, a bit each; null counts as false. Only rows that failed at all have bits."""
    import ibis

    if not failed:
        return cast("ir.Value", ibis.literal(0, type="int64"))
    zero = ibis.literal(0, type="int64")
    bits = [ibis.ifelse(one, ibis.literal(1 << bit, type="int64"), zero) for bit, one in enumerate(failed)]
    return cast("ir.Value", ibis.ifelse(reduce(or_, failed), reduce(add, bits), zero))


def _text_name(column: Column) -> str:
    return f"_text_{column.name}"


def _known_name(column: Column) -> str:
    return f"_known_{column.name}"


def _twice_name(column: Column) -> str:
    return f"_twice_{column.name}"


def _coalesced(
    contract: type[Contract], column: Column, raw: "ir.Table", resolution: Resolution
) -> "tuple[ir.Value, ir.BooleanValue | None]":
    """Take of the columns that mean a field, row by row, the first that says something.

    Returns:
        The text, and where more than one says something; None where the field has one column.
    """
    import ibis

    text = cast("ir.StringValue", raw[resolution.source_of[column.name]])
    if column.name not in resolution.others:
        return text, None
    nulls = [*contract.table.null_tokens, *column.null_tokens]

    def says(value: "ir.StringValue") -> "ir.BooleanValue":
        return cast("ir.BooleanValue", value.strip().notin(nulls).fill_null(False))

    said: list[ir.StringValue] = [text]
    said += [cast("ir.StringValue", raw[other]) for other in resolution.others[column.name]]
    both = reduce(add, [says(one).cast("int64") for one in said]) > 1
    return ibis.cases(*((says(one), one) for one in said), else_=text), cast("ir.BooleanValue", both)


def _cleaned(contract: type[Contract], column: Column, raw: "ir.Value") -> "tuple[ir.Value, ir.BooleanValue | None]":
    """Trim, apply null tokens and the field's mapping.

    Almost every value of a real source is as its contract wants it, and one look says so; the dear operations are left
    to the others, because engines evaluate the branches of a CASE only where they are taken.

    Returns:
        The text, and where it is known to match its kind's grammar; None where nothing is known.
    """
    import ibis

    text = cast("ir.StringValue", raw)
    nulls = (*contract.table.null_tokens, *column.null_tokens)
    grammar = grammar_of(column)
    if grammar is not None and not any(re.fullmatch(grammar, said) for said in (*nulls, *column.mapping)):
        known = matches(text, grammar).fill_null(False)
        return ibis.ifelse(known, text, _cleaned_slowly(column, text, nulls)), known
    # categories, and what is mapped, are trimmed and no null tokens, see contracts.definition
    as_they_are = [value for value in column.values if value not in column.mapping]
    branches = [(text.isin(as_they_are), text)] if as_they_are else []
    branches += [(text == said, ibis.literal(meant)) for said, meant in column.mapping.items()]
    slow = _cleaned_slowly(column, text, nulls)
    return (ibis.cases(*branches, else_=slow) if branches else slow), None


def _cleaned_slowly(column: Column, text: "ir.StringValue", nulls: Sequence[str]) -> "ir.Value":
    import ibis

    # trimming is dear and hardly ever needed; Ibis strips exactly the grammar's white space on every engine
    highest = ord(max(WHITE_SPACE))
    edged = (text.ascii_str() <= highest) | (text.right(1).ascii_str() <= highest)
    trimmed = cast("ir.StringValue", ibis.ifelse(edged, text.strip(), text))
    value = ibis.ifelse(trimmed.isin(list(nulls)), ibis.null("string"), trimmed)
    return value.cases(*column.mapping.items(), else_=value) if column.mapping else value


def _typed(column: Column, texts: "ir.Table") -> "ir.Value":
    """Type a text; what is imputed stands for null, not for what is malformed."""
    import ibis

    text = cast("ir.StringValue", texts[_text_name(column)])
    known = texts[_known_name(column)] if _known_name(column) in texts.columns else None
    value = typed_value(column, text, known=known)
    return value if column.impute is None else ibis.ifelse(text.isnull(), _absent(column), value)


def _absent(column: Column) -> "ir.Value":
    """The value of null: typed NULL, or what is imputed."""
    import ibis

    if column.impute is None:
        return cast("ir.Value", ibis.null(_IBIS_TYPES[column.kind]))
    return cast("ir.Value", ibis.literal(parse(column.kind, column.impute, zone=column.zone), _IBIS_TYPES[column.kind]))


def _checks(
    contract: type[Contract],
    present: Sequence[Column],
    typed: "ir.Table",
    states: "Mapping[str, tuple[ir.BooleanValue, ir.BooleanValue]]",
    *,
    optional: Sequence[str],
) -> "Iterator[tuple[str, ir.BooleanValue]]":
    """Give every check with the condition under which it *fails*; null does not fail.

    ``states`` says of each field where its text is null, and where it is malformed.
    """
    for column in present:
        value = typed[column.name]
        is_null, is_malformed = states[column.name]
        if column.is_needed and column.name not in optional:
            yield f"{column.name}.null", is_null & _must_be_there(contract, column, typed)
        yield f"{column.name}.type", is_malformed
        number, words = cast("ir.NumericValue", value), cast("ir.StringValue", value)
        if column.minimum is not None:
            yield f"{column.name}.minimum", number < limit_of(column, column.minimum)
        if column.maximum is not None:
            yield f"{column.name}.maximum", number > limit_of(column, column.maximum)
        if column.kind == "category":
            yield f"{column.name}.category", words.notin(list(column.values))
        if column.kind == "text":
            yield f"{column.name}.length", words.length() > (column.max_length or LONGEST_TEXT)
            if column.pattern:
                pattern = without_dots(without_anchors(column.pattern))
                yield f"{column.name}.pattern", ~words.re_search(rf"^(?:{pattern})\z")
    for rule in contract.table.rules:
        yield rule.name, ~cast("ir.BooleanValue", ibis_value(rule.condition, typed))

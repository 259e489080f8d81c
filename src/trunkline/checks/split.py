"""The vectorised split: one query that types a batch of texts and names every reason a row fails for.

Takes a raw table whose columns are text (plus ``_row``) and gives an expression with the contract's typed columns and
bit masks of failed checks: a row is good where all masks are zero. Nothing is executed here; the engine that owns the
table computes it, so the same expression runs on DuckDB and on Spark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks.columns import Resolution
from trunkline.checks.rules import ibis_value
from trunkline.contracts import Column, Contract
from trunkline.contracts.contract import LONGEST_TEXT
from trunkline.contracts.kinds import FALSE_TOKENS, GRAMMAR, LOCAL_INSTANT, TRUE_TOKENS

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["ROW", "Split", "split_expression"]

ROW: Final = "_row"
"""Column with the 1-based position of the row in its batch."""

_BITS: Final = 60

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

    def good(self) -> "ir.BooleanValue":
        """Condition: the row broke nothing."""
        condition = self.table[self.masks[0]] == 0
        for mask in self.masks[1:]:
            condition = condition & (self.table[mask] == 0)
        return cast("ir.BooleanValue", condition)

    def decode(self, masks: Sequence[int]) -> list[str]:
        """Name the reasons of one row from the values of its masks."""
        return [
            self.reasons[position * _BITS + bit]
            for position, mask in enumerate(masks)
            for bit in range(_BITS)
            if mask >> bit & 1
        ]


def split_expression(contract: type[Contract], raw: "ir.Table", resolution: Resolution) -> Split:
    """Write the query that types and judges a batch.

    Args:
        contract: What the rows must look like.
        raw: Text columns under the source's names, and ``_row``.
        resolution: Which source column is which field.

    Returns:
        The split; each failing check of each row sets its bit, without a cap.
    """
    import ibis

    texts = raw.select(
        raw[ROW], **{column.name: _text(contract, column, raw, resolution) for column in contract.columns}
    )
    typed = texts.select(
        texts[ROW],
        **{_text_name(column): texts[column.name] for column in contract.columns},
        **{column.name: _typed(column, texts[column.name]) for column in contract.columns},
    )
    checks = list(_checks(contract, typed))
    masks = {}
    for position in range(0, max(len(checks), 1), _BITS):
        mask: ir.Value = ibis.literal(0, type="int64")
        for bit, (_, failed) in enumerate(checks[position : position + _BITS]):
            mask = mask + ibis.ifelse(failed, ibis.literal(1 << bit, type="int64"), ibis.literal(0, type="int64"))  # type: ignore[operator]  # both int64
        masks[f"_mask{position // _BITS}"] = mask
    final = {column.name: _finished(column, typed[column.name]) for column in contract.columns}
    return Split(typed.select(typed[ROW], **final, **masks), tuple(masks), tuple(reason for reason, _ in checks))


def _text_name(column: Column) -> str:
    return f"_text_{column.name}"


def _text(contract: type[Contract], column: Column, raw: "ir.Table", resolution: Resolution) -> "ir.StringValue":
    """Trim, apply null tokens and the field's mapping."""
    import ibis

    source = resolution.source_of.get(column.name)
    if source is None:
        return cast("ir.StringValue", ibis.null("string"))
    # the white space stated in the grammar, and no more: engines' own strip() differ on what else they take away
    text = raw[source].cast("string").strip()
    null = text.isin([*contract.table.null_tokens, *column.null_tokens])
    value = ibis.ifelse(null, ibis.null("string"), text)
    if column.mapping:
        value = value.cases(*column.mapping.items(), else_=value)
    return cast("ir.StringValue", value)


def _typed(column: Column, text: "ir.Value") -> "ir.Value":
    """Match the grammar, then cast; null where either fails."""
    import ibis

    words = cast("ir.StringValue", text)
    kind = column.kind
    if kind in ("text", "category"):
        return text
    if kind == "flag":
        folded = words.lower()
        return cast(
            "ir.Value",
            ibis.cases(
                (folded.isin(list(TRUE_TOKENS)), ibis.literal(value=True)),
                (folded.isin(list(FALSE_TOKENS)), ibis.literal(value=False)),
                else_=ibis.null("boolean"),
            ),
        )
    grammar = LOCAL_INSTANT if kind == "instant" and column.zone else GRAMMAR[kind]
    if kind == "integer" and column.scale is not None:
        grammar = GRAMMAR["number"]
    matched = ibis.ifelse(words.re_search(grammar), words, ibis.null("string"))
    if kind == "day":
        compact = matched.length() != len("2026-11-22")
        dashed = matched.substr(0, 4) + "-" + matched.substr(4, 2) + "-" + matched.substr(6, 2)
        return cast("ir.Value", ibis.ifelse(compact, dashed, matched).try_cast("date"))
    if kind == "instant":
        return _instant(column, matched)
    number = matched.try_cast("int64" if kind == "integer" and column.scale is None else "float64")
    if kind == "number" or column.scale is not None:
        number = ibis.ifelse(number.isinf(), ibis.null("float64"), number)
    if column.scale is not None:
        number = number * column.scale
        if kind == "integer":
            number = ibis.ifelse(number == number.round(), number, ibis.null("float64")).cast("int64")
    return cast("ir.Value", number)


def _instant(column: Column, matched: "ir.StringValue") -> "ir.Value":
    import ibis

    moment = matched.try_cast("timestamp('UTC', 6)")
    if not column.zone:
        return cast("ir.Value", moment)
    has_offset = matched.re_search(r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$") & (matched.length() > len("2026-11-22"))
    local = matched.try_cast("timestamp(6)")
    in_zone = cast("ir.Value", _at_zone(local, ibis.literal(column.zone)))
    return cast("ir.Value", ibis.ifelse(has_offset, moment, in_zone))


def _at_zone(local: "ir.Value", zone: "ir.Value") -> "ir.Value":
    """Interpret a local timestamp in a zone (``timezone(zone, local)`` on DuckDB, PostgreSQL)."""
    import ibis

    @ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp(6)"), "timestamp('UTC', 6)"))
    def timezone(zone: str, local: object) -> object: ...  # type: ignore[empty-body]  # a builtin of the engine has no body here

    return cast("ir.Value", timezone(zone, local))


def _checks(contract: type[Contract], typed: "ir.Table") -> "Iterator[tuple[str, ir.BooleanValue]]":
    """Give every check with the condition under which it *fails*; never null."""
    for column in contract.columns:
        value = typed[column.name]
        text = typed[_text_name(column)]
        if not column.nullable and column.impute is None:
            yield f"{column.name}.null", text.isnull()
        if column.kind not in ("text", "category"):
            yield f"{column.name}.type", text.notnull() & value.isnull()
        if column.minimum is not None:
            yield f"{column.name}.minimum", _surely(cast("ir.NumericValue", value) < column.minimum)
        if column.maximum is not None:
            yield f"{column.name}.maximum", _surely(cast("ir.NumericValue", value) > column.maximum)
        if column.kind in ("text", "category"):
            words = cast("ir.StringValue", value)
            if column.kind == "category":
                yield f"{column.name}.category", _surely(~words.isin(list(column.values)))
            yield f"{column.name}.length", _surely(words.length() > (column.max_length or LONGEST_TEXT))
            if column.pattern:
                yield f"{column.name}.pattern", _surely(~words.re_search(rf"^(?:{column.pattern})$"))
    for rule in contract.table.rules:
        yield rule.name, _surely(~cast("ir.BooleanValue", ibis_value(rule.condition, typed)))


def _surely(condition: "ir.Value") -> "ir.BooleanValue":
    return cast("ir.BooleanValue", condition.fill_null(False))  # noqa: FBT003 - the value that replaces null


def _finished(column: Column, value: "ir.Value") -> "ir.Value":
    if column.impute is not None:
        value = value.fill_null(column.impute)  # type: ignore[arg-type]  # of the column's kind, by the contract
    return value.cast(_IBIS_TYPES[column.kind])



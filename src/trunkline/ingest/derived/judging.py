"""The rows that an expression gives, judged by the contract of the derived table.

Each value is judged by its text, as a cell of a typed file is, so that a derived row has the verdict that it would have
anywhere else. Rows are numbered in the order of their texts: the same rows have the same numbers.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from trunkline.checks import ROW, Resolution, Split, resolve_columns, split_expression, unfused
from trunkline.contracts import Contract
from trunkline.engine import Engine
from trunkline.errors import SchemaError, UseCaseError
from trunkline.ingest.derived.inputs import Input
from trunkline.spec.derived import Derived

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["JudgedRows", "RefusedRow", "judged", "recipe", "texts"]

_STREAMED_ROWS = 100_000
_REFUSED_ROWS = 20_000


@dataclass(frozen=True)
class RefusedRow:
    """One derived row that breaks the contract.

    Attributes:
        row_number: From 1.
        reasons: All of them.
        row: Its values as texts.
    """

    row_number: int
    reasons: list[str]
    row: dict[str, str | None]


@dataclass(frozen=True)
class JudgedRows:
    """Derived rows after the split.

    Attributes:
        engine: Holds the tables.
        texts: All rows as texts, and ``_row``.
        split: All rows typed, ``_row`` and masks.
        good: Rows that broke nothing and repeat no key.
        read: How many rows there are.
        accepted: How many of them are good and repeat no key.
        duplicates: How many are good and repeat one.
        absent: Nullable fields that the expression does not give.
        extra: Columns that no field claims.
    """

    engine: Engine
    texts: "ir.Table"
    split: Split
    good: "ir.Table"
    read: int
    accepted: int
    duplicates: int
    absent: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def quarantined(self) -> int:
        """Rows that broke the contract."""
        return self.read - self.accepted - self.duplicates

    def refused(self) -> Iterator[list[RefusedRow]]:
        """Give the refused rows in batches, by their numbers."""
        masks = self.split.table.filter(~self.split.good()).select(ROW, *self.split.masks)
        bad = self.texts.join(masks, ROW).order_by(ROW)
        names = [name for name in self.texts.columns if name != ROW]
        for batch in self.engine.batches(bad, rows=_REFUSED_ROWS):
            yield [
                RefusedRow(
                    int(row[ROW]),
                    self.split.decode([row[mask] for mask in self.split.masks]),
                    {name: row[name] for name in names},
                )
                for row in batch.to_pylist()
            ]


def texts(rows: "ir.Table") -> "ir.Table":
    """Give every value as the text by which it is judged."""
    return rows.select(**{name: _text(rows[name]) for name in rows.columns})


def _text(value: "ir.Value") -> "ir.Value":
    kind = value.type()
    if kind.is_timestamp():
        moment = cast("ir.TimestampValue", value)
        if kind.timezone is None:
            return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
        return cast("ir.TimestampValue", moment.cast("timestamp('UTC')")).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value if kind.is_string() else cast("ir.Value", value.cast("string"))


def judged(rows: "ir.Table", contract: type[Contract], *, engine: Engine, where: str) -> JudgedRows:
    """Compute the rows of an expression, once, and judge them.

    Args:
        rows: The expression.
        contract: What its rows must look like.
        engine: Computes it and holds the result.
        where: Names the table, for errors.

    Raises:
        UseCaseError: The expression lacks a needed column.
        FilesVanishedError: Files of an input were removed meanwhile.
    """
    import ibis

    resolution = _resolution(contract, rows, where)
    as_texts = texts(rows)
    numbered = as_texts.select(
        **{ROW: ibis.row_number().over(order_by=[as_texts[name] for name in as_texts.columns]) + 1},
        **{f"c{place}": as_texts[name] for place, name in enumerate(as_texts.columns)},
    )
    kept = engine.table(engine.batches(numbered, rows=_STREAMED_ROWS))
    places = {name: f"c{place}" for place, name in enumerate(as_texts.columns)}
    source_of = {name: places[column] for name, column in resolution.source_of.items()}
    others = {name: tuple(places[column] for column in more) for name, more in resolution.others.items()}
    split = split_expression(contract, kept, replace(resolution, source_of=source_of, others=others))
    with unfused():
        split = replace(split, table=engine.table(engine.batches(split.table, rows=_STREAMED_ROWS)))
    good = split.table.filter(split.good())
    unique = _first_of_key(good, contract) if contract.table.key else good
    (counts,) = engine.arrow(
        ibis.union(
            *(table.aggregate(n=table.count()).mutate(what=ibis.literal(what)) for what, table in
              (("read", split.table), ("good", good), ("accepted", unique)))
        ).pivot_wider(names_from="what", values_from="n", names=["read", "good", "accepted"], values_agg="max")
    ).to_pylist()  # fmt: skip
    return JudgedRows(
        engine,
        kept.select(kept[ROW], **{name: kept[place] for name, place in places.items()}),
        split,
        unique.select(ROW, *(column.name for column in contract.columns)),
        read=int(counts["read"]),
        accepted=int(counts["accepted"]),
        duplicates=int(counts["good"]) - int(counts["accepted"]),
        absent=resolution.absent,
        extra=resolution.extra,
    )


def _first_of_key(good: "ir.Table", contract: type[Contract]) -> "ir.Table":
    """Keep one row of each key: the newest event, or the first in the order of texts; ``keep`` says which end."""
    import ibis

    said = contract.table
    order = [good[name] for name in (*said.version_order, ROW)]
    ahead = [column.desc() for column in order] if said.keep == "last" else order
    rank = ibis.row_number().over(group_by=[good[name] for name in said.key], order_by=ahead)
    ranked = good.mutate(_rank=rank)
    return ranked.filter(ranked["_rank"] == 0).drop("_rank")


def _resolution(contract: type[Contract], rows: "ir.Table", where: str) -> Resolution:
    try:
        return resolve_columns(contract, rows.columns, where=where)
    except SchemaError as error:
        raise UseCaseError(
            f"the expression does not give what its contract wants: {error.what}", where=where, allowed=rows.columns
        ) from None


def recipe(derived: Derived, contracts: Mapping[str, type[Contract]], *, where: str) -> str:
    """Hash what a derived table's expression computes: its SQL over the contracts of its inputs, and its constants.

    Args:
        derived: The table.
        contracts: Contract of each of its inputs.
        where: Names the table, for errors.

    Raises:
        UseCaseError: The expression fails, or is no table.
    """
    import ibis
    import ibis.expr.operations as ops
    import ibis.expr.types as ir

    schemas = {name: Input(name, contracts[name], None, derived.in_order).schema for name in derived.inputs}
    unbound = {name: ibis.table(ibis.Schema.from_pyarrow(schema), name=name) for name, schema in schemas.items()}
    try:
        rows: object = derived.rows(unbound)
        if not isinstance(rows, ir.Table):
            raise UseCaseError(f"the expression gives {type(rows).__name__} instead of a table", where=where)
        text = str(ibis.to_sql(rows, dialect="duckdb"))
    except (ibis.IbisError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UseCaseError(
            f"the expression cannot be built: {type(error).__name__}: {str(error)[:160]}",
            where=where,
            allowed=derived.inputs,
            next_step="it takes the inputs by name, is lazy, and gives an Ibis table",
        ) from error
    digest = hashlib.sha256()
    for place, held in enumerate(rows.op().find(ops.InMemoryTable)):
        text = re.sub(rf"\b{re.escape(held.name)}\b", f"constant_{place}", text)
        digest.update(repr(held.data.to_pyarrow(held.schema).to_pylist()).encode())
    digest.update(text.encode())
    return digest.hexdigest()[:16]

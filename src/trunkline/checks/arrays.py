"""Texts as typed Arrow arrays: the same verdicts as the written grammars, block by block and without an engine.

Takes an array of raw texts of one column, gives typed values and which cells are malformed. Three ways, each exact:

1. *At a glance*: the bytes of the whole block are of a narrow alphabet and shape in which Arrow's own parser accepts
   nothing that the grammar refuses; then Arrow casts the block.
2. *By pattern*: the grammar itself is matched against each text; those that match are cast by Arrow.
3. *By value*: each distinct text is judged as at the edge (:func:`trunkline.contracts.judging.value_of`).

A column whose values are written in another form than its kind's is rewritten to that first, see
:mod:`trunkline.checks.rewriting`.

A way that does not apply to a block, or that Arrow refuses, leaves it to the next; the last applies to every text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from trunkline.checks.block_bytes import BlockBytes
from trunkline.checks.rewriting import rewritten_block
from trunkline.checks.schemas import arrow_type
from trunkline.checks.typed import grammar_of
from trunkline.contracts import Column, Contract, Table
from trunkline.contracts.judging import value_of
from trunkline.contracts.kinds import INTEGER_LIMIT, NUL, WHITE_SPACE, Malformed, Scalar, parse
from trunkline.contracts.written import Written, form_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["TextReader", "TypedTexts", "text_readers"]

_SAFE_DIGITS: Final = 18
_SAFE_NUMBER: Final = 40

_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_ZONES_FROM: Final = datetime(1970, 1, 2)  # noqa: DTZ001 - a clock's time, before its zone is applied
_ZONES_TO: Final = datetime(2037, 1, 1)  # noqa: DTZ001 - beyond it libraries extrapolate a zone's rules differently


@dataclass(frozen=True)
class TypedTexts:
    """A block of one column, typed.

    Attributes:
        values: Typed; null where the text meant null and nothing is imputed, and where it is malformed.
        malformed: Positions of the malformed cells, ascending; empty for most blocks.
    """

    values: "pa.Array"
    malformed: "npt.NDArray[np.int64]"


def text_readers(contract: type[Contract]) -> "Mapping[str, TextReader]":
    """Give a reader for each field of a contract."""
    return {column.name: TextReader(column, contract.table) for column in contract.columns}


class TextReader:
    """Types the texts of one column. It has no state that a block could change, so threads may share it.

    Args:
        column: Says the kind, scale, zone, mapping and what is imputed.
        table: Says which texts mean null.
    """

    def __init__(self, column: Column, table: Table) -> None:
        self._column = column
        self._type = arrow_type(column.kind)
        self._nulls = tuple(dict.fromkeys((*table.null_tokens, *column.null_tokens)))
        self._longest_null = max((len(token.encode()) for token in self._nulls), default=-1)
        grammar = grammar_of(column)
        self._grammar = None if grammar is None else grammar.removesuffix("$") + r"\z"
        said = (*self._nulls, *column.mapping)
        self._is_plain = grammar is not None and not any(re.fullmatch(grammar, text) for text in said)
        impute = column.impute
        self._imputed = None if impute is None else parse(column.kind, impute, zone=column.zone)
        self._form = form_of(column)
        if self._form is not None:
            plain = replace(column, written=None, decimal=None, thousands=None, impute=None, null_tokens=(), mapping={})
            self._usual = TextReader(plain, Table(null_tokens=()))
            if self._form.counts:
                self._counts = TextReader(replace(plain, kind="integer", zone=None), Table(null_tokens=()))

    def read(self, texts: "pa.Array") -> TypedTexts:
        """Type a block of texts.

        Args:
            texts: Of type ``string``; null means null.

        Returns:
            As many values.
        """
        typed = self._read(texts)
        if self._imputed is None or not typed.values.null_count:
            return typed
        return TypedTexts(self._with_imputed(typed), typed.malformed)

    def absent(self, rows: int) -> "pa.Array":
        """Give the values of a column that the source lacks: null, or what is imputed."""
        import pyarrow as pa

        if self._imputed is None:
            return pa.nulls(rows, self._type)
        return pa.repeat(pa.scalar(self._imputed, self._type), rows)

    def means_null(self, texts: "pa.Array") -> "pa.Array":
        """Say which texts mean null; null does."""
        import pyarrow as pa
        import pyarrow.compute as pc

        trimmed = pc.ascii_trim(texts, characters=WHITE_SPACE)
        return pc.is_in(trimmed, value_set=pa.array([*self._nulls, None], pa.string()))

    def _with_imputed(self, typed: TypedTexts) -> "pa.Array":
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        filled = typed.values.fill_null(pa.scalar(self._imputed, self._type))
        if not len(typed.malformed):
            return filled
        is_malformed = np.zeros(len(filled), dtype=bool)
        is_malformed[typed.malformed] = True
        return pc.if_else(pa.array(is_malformed), pa.scalar(None, self._type), filled)

    def _read(self, texts: "pa.Array") -> TypedTexts:
        kind = self._column.kind
        if kind in ("text", "category"):
            return self._words(texts)
        if self._form is not None:
            return self._rewritten(texts, self._form)
        if not self._is_plain or kind in ("flag", "day"):
            return self._by_value(texts)
        ways: tuple[Callable[[pa.Array], TypedTexts | None], ...] = (self._at_a_glance, self._by_pattern)
        for way in ways:
            typed = way(texts)
            if typed is not None:
                return typed
        return self._by_value(texts)

    # Words

    def _words(self, texts: "pa.Array") -> TypedTexts:
        """Trim, look for null tokens and apply the mapping; nothing else can happen to a text."""
        import pyarrow.compute as pc

        block = BlockBytes(texts)
        if block.has(ord(NUL)):
            return self._by_value(texts)
        words = pc.ascii_trim(texts, characters=WHITE_SPACE) if block.is_edged() else texts
        may_be_null = words is not texts or block.shortest <= self._longest_null
        return TypedTexts(self._meant(words, may_be_null=may_be_null), _none())

    # Other forms

    def _rewritten(self, texts: "pa.Array", form: Written) -> TypedTexts:
        """Rewrite what matches the form to the kind's own texts, and type those."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        words = self._meant(pc.ascii_trim(texts, characters=WHITE_SPACE))
        right = rewritten_block(form, words)
        if form.counts:
            instants = self._instants(right)
            others = self._usual.read(pc.if_else(pc.is_valid(right), pa.scalar(None, pa.string()), words))
            values = pc.coalesce(instants.values, others.values)
            return TypedTexts(values, np.union1d(instants.malformed, others.malformed))
        if form.also:
            return self._usual.read(pc.coalesce(right, words))
        typed = self._usual.read(right)
        if right.null_count == words.null_count:
            return typed
        outside = pc.and_(pc.is_valid(words), pc.is_null(right)).to_numpy(zero_copy_only=False)
        return TypedTexts(typed.values, np.union1d(typed.malformed, np.flatnonzero(outside)))

    def _instants(self, counts: "pa.Array") -> TypedTexts:
        """Read texts of whole numbers as microseconds since 1970."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self._counts.read(counts).values
        fits = pc.and_(pc.greater_equal(values, _micros(_FIRST)), pc.less_equal(values, _micros(_LAST)))
        beyond = np.flatnonzero(pc.invert(fits).fill_null(fill_value=False).to_numpy(zero_copy_only=False))
        return TypedTexts(pc.if_else(fits, values, pa.scalar(None, pa.int64())).cast(self._type), beyond)

    def _meant(self, words: "pa.Array", *, may_be_null: bool = True) -> "pa.Array":
        """Apply null tokens and the mapping to trimmed texts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if may_be_null:
            is_null = pc.is_in(words, value_set=pa.array(self._nulls, pa.string()))
            words = pc.if_else(is_null, pa.scalar(None, pa.string()), words)
        mapping = self._column.mapping
        if mapping:
            place = pc.index_in(words, value_set=pa.array(mapping.keys(), pa.string()))
            words = pc.coalesce(pa.array(mapping.values(), pa.string()).take(place), words)
        return words

    # Numbers and instants

    def _at_a_glance(self, texts: "pa.Array") -> TypedTexts | None:
        import pyarrow as pa

        block = BlockBytes(texts)
        if len(texts) == 0 or (block.shortest == 0 and "" not in self._nulls):
            return None
        if not (block.are_instants() if self._column.kind == "instant" else self._are_numbers(block)):
            return None
        try:
            return self._finished(block.without_empty().cast(self._parsed_type()), _none())
        except pa.ArrowInvalid:
            return None

    def _are_numbers(self, block: BlockBytes) -> bool:
        """Whether Arrow's parser and the grammar agree on all texts of a block.

        From "-" to "9" lie the digits, "-", "." and "/": without letters, signs of exponents, "+" and white space there
        is nothing that Arrow takes for a number and the grammar does not.
        """
        longest = _SAFE_DIGITS if self._is_whole() else _SAFE_NUMBER
        return block.longest <= longest and block.lies_within(ord("-"), ord("9"))

    def _by_pattern(self, texts: "pa.Array") -> TypedTexts | None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        trimmed = pc.ascii_trim(texts, characters=WHITE_SPACE)
        matches = pc.match_substring_regex(trimmed, pattern=self._grammar)
        is_null = pc.is_in(trimmed, value_set=pa.array([*self._nulls, None], pa.string()))
        is_right = pc.and_(matches.fill_null(fill_value=False), pc.invert(is_null))
        is_wrong = pc.invert(pc.or_(is_right, is_null))
        wrong = np.flatnonzero(is_wrong.to_numpy(zero_copy_only=False))
        if self._column.mapping and len(wrong):
            return None  # they may be mapped to what matches
        right = pc.if_else(is_right, trimmed, pa.scalar(None, pa.string()))
        try:
            return self._finished(self._cast(right), wrong)
        except pa.ArrowInvalid:
            return None

    def _is_whole(self) -> bool:
        return self._column.kind == "integer" and self._column.scale is None

    def _parsed_type(self) -> "pa.DataType":
        import pyarrow as pa

        return pa.float64() if self._column.scale is not None else self._type

    def _cast(self, right: "pa.Array") -> "pa.Array":
        """Cast texts that match the grammar, by rewriting the forms that Arrow does not read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._column.kind == "instant":
            if self._column.zone is None:
                return right.cast(self._type)
            return _in_zone(right.cast(pa.timestamp("us")), self._column.zone)
        block = BlockBytes(right)
        if block.has(ord("+")):
            right = pc.replace_substring_regex(right, pattern=r"^\+", replacement="")
        if self._is_whole() and block.has(ord(".")):
            right = pc.replace_substring_regex(right, pattern=r"\.0*$", replacement="")
        return right.cast(self._parsed_type())

    def _finished(self, values: "pa.Array", malformed: "npt.NDArray[np.int64]") -> TypedTexts:
        """Check what a cast gave.

        Raises:
            pyarrow.ArrowInvalid: A value is beyond what its kind can hold.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        kind, scale = self._column.kind, self._column.scale
        if values.null_count == len(values):
            return TypedTexts(values if values.type == self._type else values.cast(self._type), malformed)
        if kind == "instant":
            ends = pc.min_max(values)
            if not (
                pc.greater_equal(ends["min"], pa.scalar(_FIRST, self._type)).as_py()
                and pc.less_equal(ends["max"], pa.scalar(_LAST, self._type)).as_py()
            ):
                raise pa.ArrowInvalid("beyond the years 1 to 9999")
            return TypedTexts(values, malformed)
        if kind == "number" or scale is not None:
            if not pc.all(pc.is_finite(values)).as_py():
                raise pa.ArrowInvalid("overflow")
            if scale is not None:
                return self._scaled(values, malformed, scale=scale)
        return TypedTexts(values, malformed)

    def _scaled(self, values: "pa.Array", malformed: "npt.NDArray[np.int64]", *, scale: float) -> TypedTexts:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values.to_numpy(zero_copy_only=False) * float(scale)
            fits = np.isfinite(scaled)
            if self._column.kind == "integer":
                fits &= (scaled == np.floor(scaled)) & (np.abs(scaled) < INTEGER_LIMIT)
        is_there = pc.is_valid(values).to_numpy(zero_copy_only=False)
        lost = np.flatnonzero(is_there & ~fits)
        kept = np.where(fits, scaled, 0.0).astype(np.int64 if self._column.kind == "integer" else np.float64)
        return TypedTexts(
            pa.array(kept, self._type, mask=~(is_there & fits)), np.union1d(malformed, lost).astype(np.int64)
        )

    # Anything

    def _by_value(self, texts: "pa.Array") -> TypedTexts:
        import numpy as np
        import pyarrow as pa

        encoded = texts.dictionary_encode()
        values: list[Scalar | None] = []
        is_malformed = np.zeros(len(encoded.dictionary) + 1, dtype=bool)
        for place, text in enumerate(encoded.dictionary.to_pylist()):
            try:
                values.append(self._value(text))
            except Malformed:
                values.append(None)
                is_malformed[place] = True
        places = encoded.indices.fill_null(len(values))
        typed = pa.array([*values, None], self._type).take(places)
        return TypedTexts(typed, np.flatnonzero(is_malformed[places.to_numpy(zero_copy_only=False)]))

    def _value(self, text: str) -> Scalar | None:
        trimmed = text.strip(WHITE_SPACE)
        if trimmed in self._nulls:
            return None
        return value_of(self._column, self._column.mapping.get(trimmed, trimmed))


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _none() -> "npt.NDArray[np.int64]":
    import numpy as np

    return np.empty(0, dtype=np.int64)


def _in_zone(clock: "pa.Array", zone: str) -> "pa.Array":
    """Read a clock's times in their zone.

    Raises:
        pyarrow.ArrowInvalid: A time never was, or is of years in which not every library knows the zone alike.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pc.min_max(clock)
    if ends["min"].is_valid and (
        pc.less(ends["min"], pa.scalar(_ZONES_FROM, clock.type)).as_py()
        or pc.greater(ends["max"], pa.scalar(_ZONES_TO, clock.type)).as_py()
    ):
        raise pa.ArrowInvalid("beyond the known rules of zones")
    there = pc.assume_timezone(clock, timezone=zone, ambiguous="earliest", nonexistent="raise")
    return there.cast(pa.timestamp("us", tz="UTC"))

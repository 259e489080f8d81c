"""The verdict on one row, given as Python values: every reason, from the kinds' grammars, limits and rules.

``Contract.model_validate`` and the edge validator both judge here; the vectorised split gives the same verdicts. Built
once per contract: one closure per field, no reflection on the way of a row.

The order, per field: trim, null tokens, mapping, null (imputed or refused), grammar and scale, limits; then the rules,
which see imputed values, and null where a value was malformed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from trunkline.contracts.columns import LONGEST_TEXT, Column, Table
from trunkline.contracts.evaluation import RowValue, row_function
from trunkline.contracts.kinds import (
    INTEGER_LIMIT,
    WHITE_SPACE,
    Malformed,
    Scalar,
    canonical_text,
    parse,
    parse_micros,
    parse_scaled,
)
from trunkline.contracts.patterns import compiled
from trunkline.contracts.written import form_of

__all__ = [
    "Judged",
    "RowJudge",
    "broken_limits",
    "is_judged_by_text",
    "limit_of",
    "names_of",
    "ranks_of",
    "value_of",
]

_LONGEST_NAME: Final = 40
_REMEMBERED: Final = 500
_REMEMBERED_LENGTH: Final = 100
_PLAIN: Final[Mapping[str, type]] = {"number": float, "integer": int, "flag": bool}
_FieldCheck = Callable[[object, list[str]], Scalar | None]


class Judged(NamedTuple):
    """One row and the verdict on it.

    Attributes:
        row: Typed values by field; meaningless where there are reasons.
        reasons: Every broken check, ``field.check`` or a rule's name; empty for a good row.
    """

    row: Mapping[str, Scalar | None]
    reasons: tuple[str, ...]


class RowJudge:
    """Judges rows of one contract.

    Args:
        columns: The contract's columns.
        table: What is said of its table.
        optional: Fields that may be null although they are not nullable, e.g. the label of rows to predict.
    """

    def __init__(self, columns: Sequence[Column], table: Table, *, optional: Sequence[str] = ()) -> None:
        self._names = names_of(columns)
        self._ranks = ranks_of(columns)
        self._null_tokens = {column.name: {*table.null_tokens, *column.null_tokens} for column in columns}
        self._exact = {column.name: column.name for column in columns}
        self._checks: tuple[tuple[str, _FieldCheck], ...] = tuple(
            (column.name, _field_check(table, column, needed=column.name not in optional)) for column in columns
        )
        self._rules = tuple((rule.name, row_function(rule.condition)) for rule in table.rules)
        self._deleted = table.deleted
        self._spared = frozenset(f"{column.name}.null" for column in columns if table.spares(column.name))
        # For messages without a fault, which are most: what is good as it stands, what absent fields become, and which
        # may not be absent.
        self._quick_checks = {
            column.name: _quick_check(table, column, check)
            for column, (_, check) in zip(columns, self._checks, strict=True)
        }
        self._absent: dict[str, Scalar | None] = {}
        needed = []
        for name, check in self._checks:
            reasons: list[str] = []
            self._absent[name] = check(None, reasons)
            if reasons:
                needed.append(name)
        self._needed = frozenset(needed)

    def judge(self, message: object) -> Judged:
        """Judge one message.

        Args:
            message: A mapping whose keys are field names or aliases, ignoring case.

        Returns:
            The row with its verdict. Unknown keys are reasons (``name.unknown``), so that a misspelt field is not
            silently null.
        """
        if type(message) is dict:
            row = self._quick(message)
            if row is not None:
                return Judged(row, ())
        return self._judge_slowly(message)

    def _quick(self, message: dict[str, object]) -> dict[str, Scalar | None] | None:
        """Judge a message that has nothing to complain of and uses the fields' own names; None for any other."""
        row, checks = self._absent.copy(), self._quick_checks
        reasons: list[str] = []
        for name, value in message.items():
            found = checks.get(name)
            if found is None:
                return None
            kind, low, high, known, check = found
            if type(value) is kind:
                if kind is str:
                    meant = known.get(value)  # type: ignore[call-overload]  # it is text
                    if meant is not None:
                        row[name] = meant
                        continue
                elif low <= value <= high:  # type: ignore[operator]  # it is a number
                    row[name] = value  # type: ignore[assignment]  # as above
                    continue
            row[name] = check(value, reasons)
        if reasons or not self._needed <= message.keys():
            return None
        values = cast("Mapping[str, RowValue]", row)
        for _, holds in self._rules:
            if holds(values) is False:
                return None
        return row

    def _judge_slowly(self, message: object) -> Judged:
        if not isinstance(message, Mapping):
            return Judged({}, ("row.not_an_object",))
        reasons: list[str] = []
        twice: set[str] = set()
        given: dict[str, object] = {}
        keys: dict[str, str] = {}
        for key, value in message.items():
            name = self._exact.get(key) or self._names.get(str(key).strip().lower())
            if name is None:
                reasons.append(f"{str(key)[:_LONGEST_NAME]}.unknown")
            elif name not in given or self._means_null(name, given[name]):
                given[name], keys[name] = value, key
            elif not self._means_null(name, value):
                twice.add(name)
                if self._rank(key) < self._rank(keys[name]):
                    given[name], keys[name] = value, key
        reasons += [f"{name}.twice" for name, _ in self._checks if name in twice]
        row: dict[str, Scalar | None] = {}
        for name, check in self._checks:
            row[name] = check(given.get(name), reasons)
        if self._deleted is not None and row[self._deleted] is True:
            reasons = [reason for reason in reasons if reason not in self._spared]
        if self._rules:
            # rules over dates and instants only compare them, which works on the values
            values = cast("Mapping[str, RowValue]", row)
            reasons += [name for name, holds in self._rules if holds(values) is False]
        return Judged(row, tuple(reasons))

    def _rank(self, key: str) -> tuple[int, str]:
        return self._ranks[key.strip().lower()], key

    def _means_null(self, name: str, value: object) -> bool:
        if value is None:
            return True
        try:
            return canonical_text(value).strip(WHITE_SPACE) in self._null_tokens[name]
        except Malformed:
            return False


def ranks_of(columns: Sequence[Column]) -> dict[str, int]:
    """Give a rank to every lower-case name of a column: where a row has two, that of the lower rank is judged."""
    return {
        name.strip().lower(): rank
        for column in columns
        for rank, name in reversed([*enumerate((column.name, *column.aliases))])
    }


def names_of(columns: Sequence[Column]) -> dict[str, str]:
    """Give every lower-case name (own and alias) under which a column may arrive, and the field it means."""
    return {name.strip().lower(): column.name for column in columns for name in (*column.aliases, column.name)}


def value_of(column: Column, value: object) -> Scalar:
    """Cast one scalar, not null, to its column's kind: form, zone and scale applied, limits not.

    Raises:
        Malformed: It is outside the grammar of the kind, or of its form.
    """
    form = form_of(column)
    if form is not None:
        value = canonical_text(value).strip(WHITE_SPACE)
        rewritten = form.canonical(value)
        if rewritten is not None and form.counts:
            return parse_micros(rewritten)
        value = value if rewritten is None else rewritten
    if column.scale is not None:
        return parse_scaled(column.kind, value, scale=column.scale)
    return parse(column.kind, value, zone=column.zone)


def limit_of(column: Column, limit: float) -> float:
    """Give a numeric limit in the kind of its column, so that whole numbers beyond 2^53 are compared exactly.

    A limit that no whole number of a contract reaches becomes one that 64 bits hold.
    """
    if column.kind != "integer":
        return limit
    near = max(-INTEGER_LIMIT, min(INTEGER_LIMIT, limit))
    return int(near) if float(near).is_integer() else near


def broken_limits(column: Column, value: object) -> list[str]:
    """Name the limits of a column (``minimum``, ``maximum``, ``category``, ``length``, ``pattern``) a value breaks."""
    broken = []
    if isinstance(value, str):
        if column.kind == "category":
            return [] if value in column.values else ["category"]
        if len(value) > (column.max_length or LONGEST_TEXT):
            broken.append("length")
        if column.pattern and not compiled(column.pattern).fullmatch(value):
            broken.append("pattern")
    elif isinstance(value, int | float):
        if column.minimum is not None and value < limit_of(column, column.minimum):
            broken.append("minimum")
        if column.maximum is not None and value > limit_of(column, column.maximum):
            broken.append("maximum")
    return broken


def is_judged_by_text(table: Table, column: Column) -> bool:
    """Whether a typed scalar must go by its text, because a null token or a mapping may stand for it."""
    if column.scale is not None or column.thousands == ".":
        return True
    for text in (*table.null_tokens, *column.null_tokens, *column.mapping):
        if text in ("true", "false"):
            return True
        try:
            parse("number", text)
        except Malformed:
            continue
        return True
    return False


def _field_check(table: Table, column: Column, *, needed: bool) -> _FieldCheck:
    name, kind, impute, mapping = column.name, column.kind, column.impute, column.mapping
    null_tokens = frozenset((*table.null_tokens, *column.null_tokens))
    null_refused = needed and column.is_needed
    imputed = None if impute is None else parse(kind, impute, zone=column.zone)
    limited = column.minimum is not None or column.maximum is not None or kind in ("text", "category")
    by_text = is_judged_by_text(table, column)
    plain = _PLAIN.get(kind)

    def check(value: object, reasons: list[str]) -> Scalar | None:
        typed: Scalar
        if type(value) is plain and not by_text and _is_plain(value):
            typed = cast("Scalar", value)
        else:
            try:
                if value is not None:
                    value = canonical_text(value).strip(WHITE_SPACE)
                    if value in null_tokens:
                        value = None
                    elif mapping:
                        value = mapping.get(value, value)
                if value is None:
                    if null_refused:
                        reasons.append(f"{name}.null")
                    return imputed
                typed = value_of(column, value)
            except Malformed:
                reasons.append(f"{name}.type")
                return None
        if limited:
            reasons.extend(f"{name}.{limit}" for limit in broken_limits(column, typed))
        return typed

    return check


def _quick_check(
    table: Table, column: Column, check: _FieldCheck
) -> tuple[type | None, float, float, Mapping[str, Scalar], _FieldCheck]:
    """Say which values of a field are good as they stand, see :func:`_as_it_is`, and what decides on the others.

    Free texts that were good are remembered, some hundred of each field: devices, sensors and states come again.
    """
    if column.kind != "text":
        return *_as_it_is(table, column), check
    good: dict[str, Scalar] = {}
    check_text = _quick_text_check(table, column, check)

    def remember(value: object, reasons: list[str]) -> Scalar | None:
        broken = len(reasons)
        typed = check_text(value, reasons)
        if typed is not None and type(value) is str and len(value) <= _REMEMBERED_LENGTH and len(reasons) == broken:
            if len(good) >= _REMEMBERED:
                good.clear()
            good[value] = typed
        return typed

    return str, 0, 0, good, remember


def _quick_text_check(table: Table, column: Column, check: _FieldCheck) -> _FieldCheck:
    """Shorten the check of free text: letters and digits alone have nothing to trim, and no U+0000."""
    if column.mapping or column.pattern:
        return check
    longest = column.max_length or LONGEST_TEXT
    null_tokens = frozenset((*table.null_tokens, *column.null_tokens))

    def check_text(value: object, reasons: list[str]) -> Scalar | None:
        if type(value) is str and value.isalnum() and len(value) <= longest and value not in null_tokens:
            return value
        return check(value, reasons)

    return check_text


def _as_it_is(table: Table, column: Column) -> tuple[type | None, float, float, Mapping[str, Scalar]]:
    """Say which values of a field are good as they stand: by type, then between limits, or as one of known texts.

    Returns:
        The type (None: no value is; its check decides), least and greatest number, and for categories the texts that
        need no cleansing with the value each of them means. Values beyond may be good as well: their check decides.
    """
    if column.kind == "category":
        null_tokens = (*table.null_tokens, *column.null_tokens)
        texts = {value: value for value in column.values} | dict(column.mapping)
        known: dict[str, Scalar] = {
            text: meant
            for text, meant in texts.items()
            if text not in null_tokens and text == text.strip(WHITE_SPACE) and meant in column.values
        }
        return str, 0, 0, known
    kind = _PLAIN.get(column.kind)
    if kind is None or is_judged_by_text(table, column):
        return None, 0, 0, {}
    low: float = 1 - INTEGER_LIMIT
    high: float = INTEGER_LIMIT - 1
    if kind is float:  # the nearest 64-bit floats within
        low, high = math.nextafter(-INTEGER_LIMIT, 0), math.nextafter(INTEGER_LIMIT, 0)
    if column.minimum is not None:
        low = max(low, limit_of(column, column.minimum))
    if column.maximum is not None:
        high = min(high, limit_of(column, column.maximum))
    return kind, low, high, {}


def _is_plain(value: object) -> bool:
    """Whether a number is its own verdict: finite, and within 18 digits if whole; others go by their text."""
    return isinstance(value, int | float) and -INTEGER_LIMIT < value < INTEGER_LIMIT

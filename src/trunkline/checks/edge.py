"""The edge validator: JSON bytes to validated rows, one pass, every reason of every row.

It gives the verdicts that the vectorised split gives, from the same grammars and limits. It is prebuilt once per
contract: one closure per field, no reflection on the way of a request.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.contracts import Column, Contract
from trunkline.contracts.contract import broken_limits, column_names
from trunkline.contracts.expressions import RowValue, row_function
from trunkline.contracts.kinds import WHITE_SPACE, Malformed, Scalar, parse
from trunkline.errors import InputError

__all__ = ["EdgeValidator", "Judged", "edge_validator"]

_SAFE_INTEGER: Final = 10**18
_FieldCheck = Callable[[object, list[str]], Scalar | None]


@dataclass(frozen=True)
class Judged:
    """One row and the verdict on it.

    Attributes:
        row: Typed values by field; meaningless where there are reasons.
        reasons: Every broken check, ``field.check`` or a rule's name; empty for a good row.
    """

    row: Mapping[str, Scalar | None]
    reasons: tuple[str, ...]


class EdgeValidator:
    """Validates messages of one contract; made by :func:`edge_validator`."""

    def __init__(self, contract: type[Contract], *, optional: Sequence[str] = ()) -> None:
        self.contract = contract
        self._names = column_names(contract)
        self._checks: tuple[tuple[str, _FieldCheck], ...] = tuple(
            (column.name, _field_check(contract, column, needed=column.name not in optional))
            for column in contract.columns
        )
        self._exact = {column.name: column.name for column in contract.columns}
        self._rules = tuple((rule.name, row_function(rule.condition)) for rule in contract.table.rules)

    def judge(self, message: object) -> Judged:
        """Judge one decoded JSON value.

        Args:
            message: An object whose keys are field names or aliases, ignoring case.

        Returns:
            The row with its verdict. Unknown keys are reasons (``name.unknown``), so that a misspelt field is not
            silently null.
        """
        if not isinstance(message, dict):
            return Judged({}, ("row.not_an_object",))
        reasons: list[str] = []
        given: dict[str, object] = {}
        for key, value in message.items():
            name = self._exact.get(key) or self._names.get(str(key).strip().lower())
            if name is None:
                reasons.append(f"{str(key)[:40]}.unknown")
            elif name in given:
                reasons.append(f"{name}.twice")
            else:
                given[name] = value
        row: dict[str, Scalar | None] = {}
        for name, check in self._checks:
            row[name] = check(given.get(name), reasons)
        reasons += [name for name, holds in self._rules if holds(_plain(row)) is False]
        return Judged(row, tuple(reasons))

    def rows(self, body: bytes) -> list[Judged]:
        """Judge every row of a request body: one object, an array, ``{"rows": [...]}`` or NDJSON.

        Args:
            body: UTF-8 JSON.

        Returns:
            One verdict per row, in order.

        Raises:
            InputError: The body is not JSON of one of those forms, or holds no row.
        """
        import orjson

        try:
            decoded = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            lines = [line for line in body.split(b"\n") if line.strip()]
            try:
                decoded = [orjson.loads(line) for line in lines] if len(lines) > 1 else None
            except orjson.JSONDecodeError:
                decoded = None
            if decoded is None:
                raise InputError(
                    "the body is not JSON",
                    where=f"line {error.lineno}, column {error.colno}",
                    allowed=("an object", "an array of objects", '{"rows": [...]}', "one object per line"),
                ) from None
        if isinstance(decoded, dict) and isinstance(decoded.get("rows"), list):
            decoded = decoded["rows"]
        messages = decoded if isinstance(decoded, list) else [decoded]
        if not messages:
            raise InputError("the body holds no row", next_step="send at least one row")
        return [self.judge(message) for message in messages]


def edge_validator(contract: type[Contract], *, optional: Sequence[str] = ()) -> EdgeValidator:
    """Build the validator of a contract's messages.

    Args:
        contract: The contract.
        optional: Fields that may be absent although they are not nullable, e.g. the label of rows to predict.

    Returns:
        A validator to keep for the life of the process.
    """
    return EdgeValidator(contract, optional=optional)


def _plain(row: Mapping[str, Scalar | None]) -> Mapping[str, RowValue]:
    return row  # type: ignore[return-value]  # rules over dates and instants only compare them, which works on the values


def _field_check(contract: type[Contract], column: Column, *, needed: bool) -> _FieldCheck:
    name, kind, impute, mapping = column.name, column.kind, column.impute, column.mapping
    null_tokens = frozenset((*contract.table.null_tokens, *column.null_tokens))
    null_refused = needed and not column.nullable and impute is None
    limited = bool(
        column.minimum is not None or column.maximum is not None or kind in ("text", "category") or column.pattern
    )

    def check(value: object, reasons: list[str]) -> Scalar | None:
        if isinstance(value, str):
            value = value.strip(WHITE_SPACE)
            if value in null_tokens:
                value = None
            elif mapping:
                value = mapping.get(value, value)
        if value is None:
            if null_refused:
                reasons.append(f"{name}.null")
            return impute
        typed: Scalar
        if kind == "number" and type(value) is float and column.scale is None:
            typed = value  # JSON has no NaN or infinity: a float is finite here
        elif kind == "integer" and type(value) is int and -_SAFE_INTEGER < value < _SAFE_INTEGER and not column.scale:
            typed = value
        elif kind == "flag" and type(value) is bool:
            typed = value
        else:
            try:
                typed = _parse(column, value)
            except Malformed:
                reasons.append(f"{name}.type")
                return None
        if limited:
            reasons.extend(f"{name}.{limit}" for limit in broken_limits(column, typed))
        return typed

    return check


def _parse(column: Column, value: object) -> Scalar:
    if column.scale is None:
        return parse(column.kind, value, zone=column.zone)
    number = parse("number", value)
    scaled = float(number) * column.scale  # type: ignore[arg-type]  # parse("number") gives a float
    if column.kind == "integer":
        if scaled != round(scaled):
            raise Malformed("not a whole number after scaling")
        return round(scaled)
    return scaled

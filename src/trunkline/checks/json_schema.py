"""A contract as a JSON Schema (2020-12) that gives the contract's own verdicts on messages.

Whatever JSON Schema can say is said in its own words: types, limits, categories, and as patterns the grammars of texts
with trimming and null tokens. What it cannot say is a ``format`` that names the contract and the field, which
:func:`format_checker` knows: whether a day exists, whether the number in a text keeps to limits, what is scaled. Who
does not know the format is never stricter than the contract, only laxer.

Beyond JSON Schema, and listed beside: rules over several fields (``x-trunkline-rules``) and other names of fields
(``x-trunkline-aliases``); the schema speaks of messages that use the fields' own names.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from trunkline.checks.typed import grammar_of
from trunkline.contracts import Column, Contract, Table
from trunkline.contracts.columns import LONGEST_TEXT
from trunkline.contracts.judging import RowJudge, limit_of
from trunkline.contracts.kinds import INTEGER_LIMIT, TRUE_TOKENS, Malformed, in_any_case, parse
from trunkline.contracts.patterns import compiled, without_anchors

if TYPE_CHECKING:
    from jsonschema import FormatChecker

__all__ = ["exact_json_schema", "format_checker"]

_Shape = dict[str, object]

_SPACE: Final = r"[\t-\r ]"
_INK: Final = r"[^\x00\t-\r ]"
_END: Final = r"(?![\s\S])"
"""The very end: ``$`` of some languages also matches before a last line feed."""

_EXACT: Final = 1 << 53
"""Below this a number and its 64-bit float are the same."""

_PLAIN_FLOAT: Final = 10**16
"""Whole floats below this are written without an exponent."""

_LONGEST_NUMBER: Final = 25
"""Characters that the text of a JSON number has at most."""

_SYNTAX: Final = frozenset(r"\^$.*+?()[]{}|/")
_CLASSES: Final = {"d": "0-9", "w": "A-Za-z0-9_"}


def exact_json_schema(contract: type[Contract]) -> dict[str, object]:
    """Give the JSON Schema (2020-12) of one message, with descriptions and units as annotations."""
    schema: dict[str, object] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.__name__,
        "description": (contract.__doc__ or "").strip(),
        "type": "object",
        "properties": {column.name: _property(contract, column) for column in contract.columns},
        "required": [column.name for column in contract.columns if column.is_needed],
        "additionalProperties": False,
    }
    if contract.table.deleted is not None:
        schema |= _of_deletions(contract, contract.table.deleted)
    if contract.table.rules:
        schema["x-trunkline-rules"] = [
            {"name": rule.name, "condition": rule.condition.to_data(), "message": rule.message}
            for rule in contract.table.rules
        ]
    return schema


def format_checker(*contracts: type[Contract]) -> "FormatChecker":
    """Give a checker of the formats that schemas of these contracts name, for the package ``jsonschema``.

    Raises:
        ImportError: The package is not installed.
    """
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for contract in contracts:
        for column in contract.columns:
            one = _Field(contract.table, column)
            checker.checks(_format_name(contract, column))(one.accepts)
    return checker


def _of_deletions(contract: type[Contract], deleted: str) -> dict[str, object]:
    """Say that a row whose flag says that its key is gone may leave out what others need."""
    needed = [column for column in contract.columns if column.is_needed]
    spared = [column for column in needed if contract.table.spares(column.name)]
    flag = next(column for column in contract.columns if column.name == deleted)
    names = [column.name for column in spared]
    lenient = {column.name: _property(contract, replace(column, nullable=True)) for column in spared}
    strict = {column.name: _property(contract, column) for column in contract.columns}
    return {
        "properties": strict | lenient,
        "required": [column.name for column in needed if column.name not in names],
        "if": _is_true(contract, flag),
        "else": {"properties": {name: strict[name] for name in names}, "required": names},
    }


def _numbers_of(texts: Sequence[str]) -> list[int]:
    """The whole numbers among texts: a number of a message is judged by its text."""
    found = set()
    for text in texts:
        with suppress(ValueError):
            found.add(int(text))
    return sorted(found)


def _is_true(contract: type[Contract], flag: Column) -> _Shape:
    """What a message looks like whose flag is true."""
    nulls = {*contract.table.null_tokens, *flag.null_tokens}
    judge = RowJudge((flag,), Table(null_tokens=contract.table.null_tokens))

    def is_true(value: object) -> bool:
        return judge.judge({flag.name: value}).row[flag.name] is True

    said = (*nulls, *flag.mapping)
    direct: _Shape = {"type": "string", "pattern": _trimmed(in_any_case(*TRUE_TOKENS))}
    if said:
        direct["not"] = {"pattern": _trimmed(_one_of(said))}
    options = [direct]
    options += [{"const": value} for value in (True, False, *_numbers_of(("0", "1", *said))) if is_true(value)]
    true = [text for text in said if is_true(text)]
    if true:
        options.append({"type": "string", "pattern": _trimmed(_one_of(true))})
    shape: _Shape = {"properties": {flag.name: {"anyOf": options}}}
    if is_true(None):
        options.append({"type": "null"})
        return shape
    return {**shape, "required": [flag.name]}


class _Field:
    """The verdict of a contract on single values of one field."""

    def __init__(self, table: Table, column: Column) -> None:
        self._name = column.name
        self._judge = RowJudge((column,), Table(null_tokens=table.null_tokens))

    def accepts(self, value: object) -> bool:
        return not self._judge.judge({self._name: value}).reasons


def _format_name(contract: type[Contract], column: Column) -> str:
    return f"trunkline.{contract.__name__}.{column.name}"


def _property(contract: type[Contract], column: Column) -> _Shape:
    said = _Property(contract, column)
    options = [shape for shape in (said.number(), said.boolean(), *said.texts()) if shape is not None]
    if said.takes_null:
        options.append({"type": "null"})
    described: _Shape = dict(options[0]) if len(options) == 1 else {"anyOf": options}
    if column.description:
        described["description"] = column.description
    if column.unit:
        described["x-unit"] = column.unit
    if column.aliases:
        described["x-trunkline-aliases"] = list(column.aliases)
    return described


class _Property:
    """What a schema says of one field, by the type of the JSON value."""

    def __init__(self, contract: type[Contract], column: Column) -> None:
        self.column = column
        self.takes_null = not column.is_needed
        self._format = {"format": _format_name(contract, column)}
        self._nulls = sorted({*contract.table.null_tokens, *column.null_tokens})
        self._said = [*self._nulls, *column.mapping]
        self._accepts = _Field(contract.table, column).accepts

    def boolean(self) -> _Shape | None:
        """Of true and false those that the contract takes."""
        taken = [value for value in (True, False) if self._accepts(value)]
        if len(taken) == 2:
            return {"type": "boolean"}
        return {"const": taken[0]} if taken else None

    def number(self) -> _Shape | None:
        """A JSON number; its text is judged where a null token or a mapping may stand for it."""
        column, kind = self.column, self.column.kind
        by_text: _Shape = {"type": "number", **self._format}
        if column.scale is not None or column.thousands == "." or any(map(_is_number, self._said)):
            return by_text
        if kind == "number":
            limits = [limit for limit in (column.minimum, column.maximum) if limit is not None]
            if any(abs(limit) >= _EXACT for limit in limits):
                return by_text
            return {"type": "number", **self._limits()}
        if kind == "integer":
            return self._whole()
        if kind == "text":
            fits = (column.max_length or LONGEST_TEXT) >= _LONGEST_NUMBER and column.pattern is None
            return {"type": "number"} if fits else by_text
        if kind == "flag":
            return {"enum": [0, 1], **self._format}
        if kind == "category":
            return by_text if any(map(_is_number, column.values)) else None
        return by_text if kind == "day" or column.written is not None else None  # 20261122, or a count

    def _limits(self) -> _Shape:
        column = self.column
        found: _Shape = {}
        if column.minimum is not None:
            found["minimum"] = limit_of(column, column.minimum)
        if column.maximum is not None:
            found["maximum"] = limit_of(column, column.maximum)
        return found

    def _whole(self) -> _Shape:
        column = self.column
        low, high = 1 - INTEGER_LIMIT, INTEGER_LIMIT - 1
        least = low if column.minimum is None else max(low, limit_of(column, column.minimum))
        most = high if column.maximum is None else min(high, limit_of(column, column.maximum))
        shape: _Shape = {"type": "integer", "minimum": least, "maximum": most}
        is_plain = least > -_PLAIN_FLOAT and most < _PLAIN_FLOAT
        return shape if is_plain else {**shape, **self._format}

    def texts(self) -> list[_Shape]:
        """Texts: null tokens, those that are mapped, and those that match the grammar."""
        options: list[_Shape] = []
        if self.takes_null and self._nulls:
            options.append({"type": "string", "pattern": _trimmed(_one_of(self._nulls))})
        mapped = [text for text in self.column.mapping if self._accepts(text)]
        if mapped:
            options.append({"type": "string", "pattern": _trimmed(_one_of(mapped))})
        direct: _Shape = {"type": "string", **self._grammar()}
        if self._said:
            direct["not"] = {"pattern": _trimmed(_one_of(self._said))}
        return [*options, direct]

    def _grammar(self) -> _Shape:
        column = self.column
        if column.kind == "category":
            return {"pattern": _trimmed(_one_of(column.values))}
        if column.kind == "text":
            return self._words()
        grammar = grammar_of(column)
        assert grammar is not None, "text and categories alone have none"
        shape: _Shape = {"pattern": _trimmed(grammar.removeprefix("^").removesuffix("$"))}
        unlimited = column.minimum is None and column.maximum is None and column.scale is None
        return shape if column.kind == "flag" or (column.kind == "integer" and unlimited) else {**shape, **self._format}

    def _words(self) -> _Shape:
        column = self.column
        most = column.max_length or LONGEST_TEXT
        inner = rf"{_INK}(?:[^\x00]{{0,{most - 2}}}{_INK})?" if most > 1 else _INK
        length = _trimmed(rf"(?:{inner})?")
        if column.pattern is None:
            return {"pattern": length}
        body = _portable(without_anchors(column.pattern))
        if body is None:
            return {"pattern": length, **self._format}
        empty = "|" if compiled(column.pattern).fullmatch("") else ""
        whole = rf"^(?:{_SPACE}*(?!{_SPACE})(?:{body})(?<!{_SPACE}){_SPACE}*"
        return {"allOf": [{"pattern": length}, {"pattern": f"{whole}{empty and empty + _SPACE + '*'}){_END}"}]}


def _trimmed(body: str) -> str:
    """A pattern for a whole text with white space around it."""
    return rf"^{_SPACE}*(?:{body}){_SPACE}*{_END}"


def _one_of(texts: Iterable[str]) -> str:
    return "|".join("".join(f"\\{one}" if one in _SYNTAX else one for one in text) for text in texts)


def _is_number(text: str) -> bool:
    try:
        parse("number", text)
    except Malformed:
        return False
    return True


def _portable(pattern: str) -> str | None:
    r"""Spell a contract's pattern so that every language reads it alike; None where that takes more than spelling.

    ``\d`` and ``\w`` mean ASCII, and a dot anything but a line feed, which not every language takes them for.
    """
    written, inside = [], False
    for part in re.findall(r"\\.|.", pattern, flags=re.DOTALL):
        last = part[-1]
        if len(part) == 2 and last in _CLASSES:
            written.append(_CLASSES[last] if inside else f"[{_CLASSES[last]}]")
        elif len(part) == 2 and last.lower() in _CLASSES:
            if inside:
                return None
            written.append(f"[^{_CLASSES[last.lower()]}]")
        elif len(part) == 2:
            keeps = last in _SYNTAX or last.isalpha() or (inside and last == "-")
            written.append(part if keeps else last)
        elif part == "." and not inside:
            written.append(r"[^\n]")
        else:
            inside = part == "[" or (inside and part != "]")
            written.append(part)
    return "".join(written)

"""A contract from a JSON Schema (2020-12) of one object.

Takes the decoded document and gives a contract's class, or refuses with ``ContractError`` what a contract cannot say,
so that nothing that the schema demands is dropped silently. What a contract adds by its nature stays: texts are
trimmed, numbers may arrive as texts, unknown members are refused, and an absent member and null are the same.
"""

import keyword
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Table, Text, field
from trunkline.contracts.columns import LONGEST_TEXT
from trunkline.contracts.patterns import outside_subset
from trunkline.errors import ContractError

__all__ = ["contract_from_json_schema"]

_Schema = Mapping[str, object]

_REMARKS: Final = frozenset(
    {"$comment", "$id", "$schema", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that demand nothing."""

_OBJECT: Final = frozenset({"type", "properties", "required", "additionalProperties", "$defs"})
_BY_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
}
_MOST_DEFINITIONS: Final = 32
_ANY: Final = r"[\d\D]"


@dataclass(frozen=True)
class _Kind:
    """A field before it is one: its annotation, and what is said of it."""

    annotation: Any
    said: Mapping[str, Any]


def contract_from_json_schema(
    document: Mapping[str, object], *, name: str, key: Sequence[str] = (), null_tokens: Sequence[str] = ()
) -> type[Contract]:
    """Make a contract of a JSON Schema.

    Args:
        document: A decoded JSON Schema (2020-12) of an object.
        name: Name of the class.
        key: Fields that identify a row, which JSON Schema cannot say.
        null_tokens: Texts that mean null. None by default: the schema's texts are what they are. Tables that are fed
            from CSV files want at least ``""``.

    Returns:
        The contract.

    Raises:
        ContractError: The schema demands what a contract cannot say, or is no schema of an object.
    """
    reader = _Reader(document, name)
    fields = reader.fields()
    table = Table(key=tuple(key), null_tokens=tuple(null_tokens))
    description = str(document.get("description") or document.get("title") or f"One {name}.")
    namespace: dict[str, object] = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": description,
        "__annotations__": {"table": ClassVar[Table], **{column: kind.annotation for column, kind in fields.items()}},
        "table": table,
        **{column: field(**kind.said) for column, kind in fields.items()},
    }
    return types.new_class(name, (Contract,), exec_body=lambda body: body.update(namespace))


class _Reader:
    """Reads one document."""

    def __init__(self, document: _Schema, name: str) -> None:
        self._document = document
        self._name = name

    def fields(self) -> dict[str, _Kind]:
        """Read the members of the object."""
        root, _ = self._resolved(self._document, "#")
        self._only(root, _OBJECT, "#")
        if root.get("type") != "object":
            raise self._refusal("the schema is not that of an object", "#/type", allowed=("object",))
        if root.get("additionalProperties", False) not in (True, False):
            raise self._refusal("additional members have a schema", "#/additionalProperties", allowed=("true", "false"))
        properties = _mapping(root.get("properties"))
        needed = root.get("required", [])
        required = {str(one) for one in needed} if isinstance(needed, list) else set()
        if unknown := sorted(required - set(properties)):
            raise self._refusal(f"the required member {unknown[0]!r} is not described", "#/required")
        if not properties:
            raise self._refusal("the schema describes no member", "#/properties")
        return {
            name: self._field(name, _mapping(shape), is_required=name in required, shape_is=shape)
            for name, shape in properties.items()
        }

    def _field(self, name: str, shape: _Schema, *, is_required: bool, shape_is: object) -> _Kind:
        where = f"#/properties/{name}"
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith(("_", "model_")):
            raise self._refusal(f"{name!r} cannot be the name of a field", where, allowed=("letters, digits and _",))
        if not isinstance(shape_is, Mapping):
            raise self._refusal("a member without a type cannot be a field", where)
        resolved, path = self._resolved(shape, where)
        resolved, nullable = self._without_null(resolved, path)
        kind = self._kind(resolved, path)
        description = shape.get("description", resolved.get("description"))
        annotation = kind.annotation | None if nullable or not is_required else kind.annotation
        return _Kind(annotation, {**kind.said, "description": str(description or "")})

    def _resolved(self, shape: _Schema, where: str) -> tuple[_Schema, str]:
        """Follow references to local definitions."""
        for _ in range(_MOST_DEFINITIONS):
            target = shape.get("$ref")
            if target is None:
                return shape, where
            beside = sorted(set(shape) - _REMARKS - {"$ref", "$defs"})
            if beside:
                raise self._refusal(f"{beside[0]!r} stands beside $ref", where)
            if not isinstance(target, str) or not target.startswith("#/$defs/"):
                raise self._refusal(
                    "only definitions of the same document are followed", where, allowed=("#/$defs/...",)
                )
            found = _mapping(self._document.get("$defs")).get(target.removeprefix("#/$defs/"))
            if not isinstance(found, Mapping):
                raise self._refusal(f"there is no definition {target!r}", where)
            shape, where = found, target
        raise self._refusal("definitions refer to each other in a circle", where)

    def _without_null(self, shape: _Schema, where: str) -> tuple[_Schema, bool]:
        """Take null out of a type, an enumeration or a choice."""
        if "anyOf" in shape or "oneOf" in shape:
            word = "anyOf" if "anyOf" in shape else "oneOf"
            if beside := sorted(set(shape) - _REMARKS - {word}):
                raise self._refusal(f"{beside[0]!r} stands beside {word}", where)
            told = shape[word]
            choices: list[object] = told if isinstance(told, list) else []
            others = [
                one for one in map(_mapping, choices) if one.get("type") != "null" or set(one) - _REMARKS - {"type"}
            ]
            if len(others) != 1 or len(others) == len(choices):
                raise self._refusal(f"{word} is more than a choice of null", where, allowed=("one schema and null",))
            inner, path = self._resolved(others[0], where)
            return self._without_null(inner, path)[0], True
        given = shape.get("type")
        told_types = given if isinstance(given, list) else [given]
        nullable = "null" in told_types
        rest = [one for one in told_types if one != "null"]
        values = shape.get("enum")
        if isinstance(values, list) and None in values:
            nullable = nullable or given is None
            shape = {**shape, "enum": [value for value in values if value is not None]}
        elif isinstance(values, list):
            nullable = False
        if len(rest) != 1:
            raise self._refusal(
                "a field has values of one type", f"{where}/type", allowed=(*_BY_TYPE, "each with null")
            )
        return {**shape, "type": rest[0]}, nullable

    def _kind(self, shape: _Schema, where: str) -> _Kind:
        if "const" in shape:
            if "enum" in shape:
                raise self._refusal("const stands beside enum", where)
            shape = {**{word: said for word, said in shape.items() if word != "const"}, "enum": [shape["const"]]}
        told = shape["type"]
        if told is None and isinstance(shape.get("enum"), list):
            told = "string"
        if not isinstance(told, str) or told not in _BY_TYPE:
            raise self._refusal(
                f"a field cannot be of type {told}", f"{where}/type", allowed=(*_BY_TYPE, "each with null")
            )
        self._only(shape, _BY_TYPE[told] | {"type", "enum"}, where)
        if "enum" in shape:
            return self._category(shape, where)
        if told == "string":
            return self._text(shape, where)
        if told == "boolean":
            return _Kind(Flag, {})
        return self._number(shape, told, where)

    def _category(self, shape: _Schema, where: str) -> _Kind:
        values = shape["enum"]
        if beside := sorted(set(shape) - _REMARKS - {"type", "enum"}):
            raise self._refusal(
                f"{beside[0]!r} stands beside enum", where, next_step="leave out the values it excludes"
            )
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise self._refusal(
                "an enumeration of other values than texts", f"{where}/enum", allowed=("texts, and null",)
            )
        return _Kind(Literal[tuple(values)], {})  # mypy cannot know the values

    def _text(self, shape: _Schema, where: str) -> _Kind:
        kinds = {"date": Day, "date-time": Instant}
        least, most, pattern = shape.get("minLength", 0), shape.get("maxLength"), shape.get("pattern")
        if "format" in shape:
            if shape["format"] not in kinds:
                raise self._refusal(f"the format {shape['format']!r}", f"{where}/format", allowed=kinds)
            if least or most is not None or pattern is not None:
                raise self._refusal("a length or pattern of a date", where)
            return _Kind(kinds[str(shape["format"])], {})
        if not isinstance(least, int) or not isinstance(most, int | None):
            raise self._refusal("a length is a whole number", where)
        if most is not None and not 1 <= most <= LONGEST_TEXT:
            raise self._refusal(f"maxLength {most}", where, allowed=(f"1 to {LONGEST_TEXT}",))
        said: dict[str, object] = {} if most is None else {"max_length": most}
        if pattern is not None:
            if least > 0 and not (least == 1 and not re.search(_whole(str(pattern)), "")):
                raise self._refusal("minLength beside a pattern", where, next_step="say the length in the pattern")
            if self._is_loose(str(pattern)):
                raise self._refusal("an alternative beside an anchor", f"{where}/pattern", next_step="write ^(?:a|b)$")
            said["pattern"] = _whole(str(pattern))
            if outside := outside_subset(str(said["pattern"])):
                raise self._refusal(f"the pattern holds {outside}", f"{where}/pattern")
        elif least > 1000:
            raise self._refusal(f"minLength {least}", where, allowed=("0 to 1000",))
        elif least > 0:
            said["pattern"] = f"{_ANY}{{{least},}}"
        return _Kind(Text, said)

    @staticmethod
    def _is_loose(pattern: str) -> bool:
        """Whether an anchor binds to one of several alternatives only."""
        plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]", "a", pattern, flags=re.DOTALL)
        while re.search(r"\([^()]*\)", plain):
            plain = re.sub(r"\([^()]*\)", "a", plain)
        return "|" in plain and ("^" in plain or "$" in plain)

    def _number(self, shape: _Schema, told: str, where: str) -> _Kind:
        whole = told == "integer"
        step = shape.get("multipleOf")
        if step is not None and step != 1:
            raise self._refusal(f"multipleOf {step}", where, allowed=("1",))
        whole = whole or step == 1
        limits: dict[str, float] = {}
        for word in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
            limit = shape.get(word)
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
                raise self._refusal(f"{word} is no number", where)
            if abs(limit) > 1 << 53:
                raise self._refusal(f"{word} beyond what a 64-bit float counts", where)
            is_low = word.lower().endswith("minimum")
            if word.startswith("exclusive"):
                limit = _beyond(limit, up=is_low, whole=whole)
            name = "minimum" if is_low else "maximum"
            limits[name] = limit if name not in limits else (max if is_low else min)(limits[name], limit)
        return _Kind(Integer if whole else Number, limits)

    def _only(self, shape: _Schema, known: frozenset[str], where: str) -> None:
        for word in shape:
            if word not in known and word not in _REMARKS and not word.startswith("x-"):
                raise self._refusal(f"a contract cannot say {word!r} here", where, allowed=sorted(known))

    def _refusal(
        self, what: str, where: str, *, allowed: Sequence[str] | Mapping[str, object] = (), next_step: str = ""
    ) -> ContractError:
        return ContractError(what, where=f"JSON Schema {self._name}, {where}", allowed=allowed, next_step=next_step)


def _beyond(limit: float, *, up: bool, whole: bool) -> float:
    """The next number that a contract's inclusive limit can name."""
    if whole:
        return math.floor(limit) + 1 if up else math.ceil(limit) - 1
    return math.nextafter(limit, math.inf if up else -math.inf)


def _whole(pattern: str) -> str:
    """JSON Schema looks for a pattern anywhere in a text; a contract matches whole texts."""
    begins, ends = pattern.startswith("^"), bool(re.search(r"(?<!\\)(?:\\\\)*\$\Z", pattern))
    if begins and ends:
        return pattern
    body = pattern.removeprefix("^")
    body = body[:-1] if ends else body
    return f"{'' if begins else _ANY + '*'}(?:{body}){'' if ends else _ANY + '*'}"


def _mapping(value: object) -> _Schema:
    return value if isinstance(value, Mapping) else {}

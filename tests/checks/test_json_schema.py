"""A contract's exported JSON Schema gives the contract's verdicts; a schema taken in gives the schema's."""

import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from trunkline.checks import contract_from_json_schema, edge_validator, exact_json_schema, format_checker
from trunkline.contracts import Contract, Day, Flag, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.kinds import KindName
from trunkline.contracts.written import WRITTEN
from trunkline.errors import ContractError

Document = object
Verdict = Callable[[Document], bool]


def exported(contract: type[Contract]) -> tuple[Verdict, Verdict]:
    """The schema with the formats of the contract, and without them."""
    schema = exact_json_schema(contract)
    Draft202012Validator.check_schema(schema)
    return (
        Draft202012Validator(schema, format_checker=format_checker(contract)).is_valid,
        Draft202012Validator(schema).is_valid,
    )


def verdict(contract: type[Contract]) -> Verdict:
    validator = edge_validator(contract)
    return lambda document: not validator.judge(document).reasons


KINDS: Mapping[str, Any] = {
    "text": Text,
    "integer": Integer,
    "number": Number,
    "flag": Flag,
    "instant": Instant,
    "day": Day,
}
PATTERNS = (r"[A-Z]{2}\d+", r"^\w*$", r".+", r"a\-b| c ?", r"[\d_]*", r"[^\W]{1,3}", r"(?:\D\d?)+", r"5")
NULLS = st.sampled_from([(), ("",), ("", "NA", "?"), ("0", "5.0"), ("true",)])


@st.composite
def columns(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """An annotation, and what is said of it."""
    kind: KindName = draw(st.sampled_from(["text", "text", "integer", "number", "flag", "instant", "day", "category"]))
    said: dict[str, Any] = {}
    annotation: Any = KINDS.get(kind)
    if kind == "category":
        values = draw(st.lists(st.sampled_from(["a", "b c", "1", "x.y", "no"]), min_size=1, unique=True))
        annotation = Literal[tuple(values)]
        if draw(st.booleans()):
            said["mapping"] = {"A+": annotation.__args__[0], "7": annotation.__args__[-1]}
    if kind in ("integer", "number"):
        limits = st.none() | st.sampled_from([-0.5, 0, 1, 2.5, 1e15, 1e17, 1e20])
        low, high = draw(limits), draw(limits)
        said |= {name: limit for name, limit in (("minimum", low), ("maximum", high)) if limit is not None}
        if draw(st.integers(0, 4)) == 0:
            said["scale"] = draw(st.sampled_from([0.5, 60.0]))
        if draw(st.integers(0, 4)) == 0:
            said["mapping"] = {"none": "0", "many": "99"}
    if kind == "text":
        said["max_length"] = draw(st.sampled_from([None, 1, 2, 3, 10, 30]))
        said["pattern"] = draw(st.none() | st.sampled_from(PATTERNS))
    if kind == "instant" and draw(st.booleans()):
        said["zone"] = "Europe/Berlin"
    if kind in WRITTEN and draw(st.booleans()):
        said["written"] = draw(st.sampled_from(WRITTEN[kind]))
        if said["written"].startswith("epoch_"):
            said.pop("zone", None)
    if kind in ("integer", "number") and draw(st.integers(0, 2)) == 0:
        said["decimal"], said["thousands"] = draw(st.sampled_from([(",", None), (",", "."), (",", " "), (".", ",")]))
    if kind == "flag" and draw(st.booleans()):
        said["impute"] = True
    return (annotation | None if draw(st.booleans()) else annotation), said


def made(fields: Mapping[str, tuple[Any, dict[str, Any]]], table: Table) -> type[Contract]:
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": "Made",
        "__doc__": "One row.",
        "__annotations__": {"table": ClassVar[Table], **{name: one[0] for name, one in fields.items()}},
        "table": table,
        **{name: field(**one[1]) for name, one in fields.items()},
    }
    return types.new_class("Made", (Contract,), exec_body=lambda body: body.update(namespace))


@st.composite
def contracts(draw: st.DrawFn) -> type[Contract]:
    fields = {name: draw(columns()) for name in draw(st.sampled_from(["a", "a", "a", "ab"]))}
    try:
        return made(fields, Table(null_tokens=draw(NULLS)))
    except ContractError:  # tokens that are categories as well, and the like
        return made(fields, Table(null_tokens=("", "NA")))


TEXTS = [
    *("5", "5.0", "-1", "0", "0.0", "1", "1e400", "1e-400", "2.5", "99", "+7", "007", "9" * 18, "1" + "0" * 18, "1e16"),
    *(
        ".5",
        "5.",
        "abc",
        "AB12",
        "AB\u0663",
        "a-b",
        " c ",
        "c",
        "a",
        "b c",
        "x.y",
        "A+",
        "7",
        "none",
        "many",
        "NA",
        "?",
    ),
    *("true", "True", "no", "Y", "2026-02-28", "2026-02-30", "20261122", "2026-11-22T10:15Z", "2026-11-22T10:15"),
    *("2026-11-22 10:15:00.5+01", "2026-02-30T10:15Z", "0001-01-01T00:00+01", "2024-02-29", "_1_", "\u00e9", "\u65e5"),
    *(
        "22.11.2026",
        "2/28/2026",
        "22-Nov-2026 10:15Z",
        "20261122101500",
        "1795342500",
        "1.795",
        "1.795,5",
        "1 234",
        "1,5",
    ),
    *("\x00", "a\x00b", "", "a\nb", "a" * 31),
]
EXTREMES = [
    1_795_342_500,
    1_795_342_500_123,
    1_795_342_500_123_456_789,
    20261122101500,
    10**15,
    10**16,
    10**17,
    10**18 - 1,
    10**18,
    10**19,
    20261122,
    2**53 + 1,
    -(10**18),
    5,
    0,
    1,
    -1,
    1000,
]
FLOATS = [1.795, 1795342500.0, 0.0, 1.0, 5.0, 0.5, 2.5, 1e15, 1e16, 1e17, -0.0, 0.1, 123.456, 20261122.0]
WORDS = st.sampled_from(TEXTS)
SPACED = st.builds(lambda before, word, after: before + word + after, st.sampled_from(["", " ", "\t\n"]), WORDS,
                   st.sampled_from(["", " ", "\r\n", "\n"]))  # fmt: skip
NUMBERS = (
    st.integers(-3, 100) | st.sampled_from(EXTREMES) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(FLOATS)
)  # fmt: skip
NESTED = st.sampled_from([[], {"a": 1}])
VALUES = st.one_of(SPACED, SPACED, st.text(max_size=4), NUMBERS, NUMBERS, st.booleans(), st.none(), NESTED)
SINGLE = st.fixed_dictionaries({"a": VALUES})
DOCUMENTS = st.one_of(
    SINGLE, SINGLE, st.fixed_dictionaries({"a": VALUES, "b": VALUES}),
    st.dictionaries(st.sampled_from(["a", "b", "zz"]), VALUES, max_size=3), VALUES,
)  # fmt: skip


@given(contract=contracts(), documents=st.lists(DOCUMENTS, min_size=20, max_size=60))
def test_the_exported_schema_gives_the_verdicts_of_the_edge(
    contract: type[Contract], documents: list[Document]
) -> None:
    """Both ways with the formats; without them the schema is only laxer."""
    right, (exact, lax) = verdict(contract), exported(contract)
    for document in documents:
        assert exact(document) == right(document), (document, exact_json_schema(contract))
        assert lax(document) or not right(document), (document, exact_json_schema(contract))


SAID: list[tuple[Any, dict[str, Any]]] = [
    *((Text, {"pattern": pattern}) for pattern in PATTERNS),
    *((Text, {"max_length": most}) for most in (None, 1, 2, 3, 30)),
    *((kind, {}) for kind in KINDS.values()),
    *((kind, {"minimum": 1, "maximum": 5}) for kind in (Integer, Number)),
    *((kind, {"minimum": -1e17, "maximum": 2.0**53}) for kind in (Integer, Number)),
    *((kind, {"scale": 0.5, "minimum": 0.5}) for kind in (Integer, Number)),
    *((kind, {"mapping": {"none": "0", "7": "1"}}) for kind in (Integer, Number, Flag)),
    (Literal["a", "b c", "x.y"], {"mapping": {"A+": "a"}}),
    (Literal["1", "no"], {}),
    (Instant, {"zone": "Europe/Berlin"}),
    (Flag, {"impute": True}),
    *((kind, {"decimal": ",", "thousands": mark}) for kind in (Integer, Number) for mark in (None, ".", " ")),
    *((Day, {"written": name}) for name in WRITTEN["day"]),
    *((Instant, {"written": name}) for name in WRITTEN["instant"]),
    (Instant, {"written": "DD.MM.YYYY", "zone": "Europe/Berlin"}),
]


@pytest.mark.slow
@pytest.mark.parametrize("nulls", [(), ("", "NA", "?"), ("0.0", "true")], ids=["none", "usual", "odd"])
@pytest.mark.parametrize("optional", [False, True], ids=["needed", "optional"])
def test_every_kind_of_field_on_every_kind_of_value(nulls: tuple[str, ...], optional: bool) -> None:
    texts = [
        before + text + after for text in TEXTS for before, after in (("", ""), (" ", ""), ("\t", "\r\n"), ("", "\n"))
    ]
    for annotation, said in SAID:
        contract = made({"a": (annotation | None if optional else annotation, said)}, Table(null_tokens=nulls))
        right, (exact, lax) = verdict(contract), exported(contract)
        values: list[object] = [*texts, *EXTREMES, *FLOATS, True, False, None, [], {}]
        for value in values:
            expected = right({"a": value})
            assert exact({"a": value}) == expected, (said, value, exact_json_schema(contract))
            assert lax({"a": value}) or not expected, (said, value, exact_json_schema(contract))


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(rules=(Rule("within", col("billed") <= col("seconds"), "no more than called"),))

    seconds: Integer = field("Length", unit="s", minimum=0, maximum=86_400, aliases=("Duration",))
    billed: Integer | None = field(minimum=0, maximum=86_400)


def test_what_json_schema_cannot_say_is_listed() -> None:
    schema: Any = exact_json_schema(Call)
    rule = Call.table.rules[0]
    assert schema["x-trunkline-rules"] == [
        {"name": "within", "condition": rule.condition.to_data(), "message": "no more than called"}
    ]
    seconds = schema["properties"]["seconds"]
    assert (seconds["description"], seconds["x-unit"], seconds["x-trunkline-aliases"]) == ("Length", "s", ["Duration"])
    assert schema["required"] == ["seconds"]
    exact, _ = exported(Call)
    assert exact({"seconds": 5, "billed": 6})  # a rule over two fields, by definition not the schema's
    assert edge_validator(Call).judge({"seconds": 5, "billed": 6}).reasons == ("within",)


SIMPLE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Cell",
    "type": "object",
    "$defs": {"name": {"type": "string", "minLength": 1, "maxLength": 5}, "deep": {"$ref": "#/$defs/name"}},
    "properties": {
        "cell_id": {"$ref": "#/$defs/deep", "description": "Identifier"},
        "band": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9.5},
        "share": {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1},
        "vendor": {"enum": ["north", "south", None]},
        "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        "code": {"type": "string", "pattern": "^[A-Z]{2}"},
        "is_on": {"type": "boolean"},
        "count": {"type": "number", "multipleOf": 1},
    },
    "required": ["cell_id", "band"],
    "additionalProperties": False,
}


def test_a_schema_becomes_a_contract() -> None:
    contract = contract_from_json_schema(SIMPLE, name="Cell", key=("cell_id",))
    kinds = {column.name: (column.kind, column.nullable) for column in contract.columns}
    assert kinds == {
        "cell_id": ("text", False), "band": ("integer", False), "share": ("number", True), "vendor": ("category", True),
        "since": ("day", True), "code": ("text", True), "is_on": ("flag", True), "count": ("integer", True),
    }  # fmt: skip
    assert contract.columns[0].description == "Identifier"
    assert contract.table.key == ("cell_id",)
    right = {"cell_id": "a", "band": 9, "share": 0.999, "vendor": "north", "since": "2026-02-28", "code": "ABc"}
    assert verdict(contract)(right)
    wrong: list[dict[str, object]] = [
        {"cell_id": ""}, {"cell_id": "abcdef"}, {"cell_id": None}, {"band": 0}, {"band": 10}, {"band": 1.5},
        {"share": 1}, {"share": -0.1}, {"vendor": "west"}, {"since": "2026-02-30"}, {"code": "aBC"}, {"is_on": "maybe"},
        {"count": 1.5}, {"other": 1},
    ]  # fmt: skip
    for change in wrong:
        assert not verdict(contract)({**right, **change}), change
        assert not Draft202012Validator(SIMPLE, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(
            {**right, **change}
        ), change


LENGTHS = st.none() | st.integers(1, 4)


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """A member that a contract can say, which is needed or may be null."""
    told = draw(st.sampled_from(["string", "pattern", "enum", "integer", "number", "boolean"]))
    shape: dict[str, Any]
    if told == "pattern":
        shape = {"type": "string", "pattern": draw(st.sampled_from(["^a", "b$", "^[ab]{1,2}$", "a", r"\d", "^(a|b)$"]))}
    elif told == "string":
        least, most = draw(LENGTHS), draw(LENGTHS)
        shape = {"type": "string", "minLength": least, "maxLength": most}
    elif told == "enum":
        shape = {"enum": draw(st.lists(st.sampled_from(["a", "ab", "b"]), min_size=1, unique=True))}
    else:
        shape = {"type": told}
    if told in ("integer", "number"):
        for word in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
            shape[word] = draw(st.none() | st.sampled_from([0, 1, 2.5, 5]))
    shape = {word: said for word, said in shape.items() if said is not None}
    if draw(st.booleans()):
        return {"anyOf": [shape, {"type": "null"}]}
    return shape


PLAIN_TEXTS = st.text(alphabet="ab1c", max_size=5)


@given(shape=shapes(), values=st.lists(PLAIN_TEXTS | NUMBERS | st.booleans() | st.none(), min_size=5, max_size=30))
def test_a_contract_of_a_schema_gives_the_verdicts_of_the_schema(shape: dict[str, Any], values: list[object]) -> None:
    """On values of the schema's own types; beyond them a contract reads texts, as everywhere."""
    schema = {"type": "object", "properties": {"a": shape}, "required": ["a"], "additionalProperties": False}
    right = Draft202012Validator(schema)
    found = verdict(contract_from_json_schema(schema, name="Made"))
    inner = shape.get("anyOf", [shape])[0]
    of_type: dict[str, tuple[type, ...]] = {"integer": (int, float), "number": (int, float), "boolean": (bool,)}
    allowed = (*of_type.get(inner.get("type", "string"), (str,)), type(None))
    for value in values:
        if type(value) in allowed and not (isinstance(value, int | float) and abs(value) >= 10**15):
            assert found({"a": value}) == right.is_valid({"a": value}), (value, shape)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"type": "object"}, "of type object"),
        ({"type": ["string", "integer"]}, "of one type"),
        ({}, "of one type|of type"),
        ({"type": "string", "format": "email"}, "format 'email'"),
        ({"type": "number", "multipleOf": 0.01}, "multipleOf 0.01"),
        ({"type": "integer", "enum": [1, 2]}, "other values than texts"),
        ({"type": "string", "enum": ["a"], "maxLength": 3}, "'maxLength' stands beside enum"),
        ({"type": "string", "pattern": "^a|b$"}, "alternative beside an anchor"),
        ({"type": "string", "pattern": "(?=a)b"}, "group other than"),
        ({"type": "string", "minLength": 3, "pattern": "a"}, "minLength beside a pattern"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "more than a choice of null"),
        ({"allOf": [{"type": "string"}], "type": "string"}, "cannot say 'allOf'"),
        ({"type": "string", "not": {"const": "a"}}, "cannot say 'not'"),
        ({"$ref": "#/$defs/none"}, "no definition"),
        ({"$ref": "https://example.org/x"}, "same document"),
        ({"$ref": "#/$defs/round"}, "in a circle"),
        ({"type": "integer", "minimum": 2**60}, "beyond what"),
        (True, "without a type"),
    ],
    ids=str,
)
def test_what_a_contract_cannot_say_is_refused(member: object, words: str) -> None:
    schema = {"type": "object", "$defs": {"round": {"$ref": "#/$defs/round"}}, "properties": {"a": member}}
    with pytest.raises(ContractError, match=words):
        contract_from_json_schema(schema, name="Bad")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "array"}, "not that of an object"),
        ({"patternProperties": {}}, "patternProperties"),
        ({"additionalProperties": {"type": "string"}}, "additional members"),
        ({"required": ["x"]}, "'x' is not described"),
        ({"properties": {}}, "describes no member"),
        ({"properties": {"a b": {"type": "string"}}}, "name of a field"),
    ],
    ids=["array", "patterns", "additional", "required", "empty", "name"],
)
def test_another_document_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        contract_from_json_schema({**SIMPLE, "required": [], **change}, name="Bad")


def test_an_exported_schema_of_plain_fields_comes_back_only_where_it_can_be_said() -> None:
    with pytest.raises(ContractError):
        contract_from_json_schema(exact_json_schema(Call), name="Call")

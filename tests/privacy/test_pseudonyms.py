"""Pseudonyms: the same by block, by row and by the definition of HMAC, whatever the spelling; and what is refused."""

import base64
import hmac
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.checks import JudgedBlock, Originals, Pseudonyms, arrow_schema
from trunkline.checks.pseudonyms import PseudonymKey
from trunkline.contracts import Contract, Instant, Integer, Pii, Table, Text, field
from trunkline.contracts.privacy import Form, canonical, is_pseudonym
from trunkline.errors import ContractError

KEYS = {
    kind: PseudonymKey(f"0000000{place}", bytes([place]) * 32) for place, kind in enumerate(("msisdn", "email", "imsi"))
}


class Line(Contract):
    """Every policy and form."""

    table: ClassVar[Table] = Table(key=("msisdn", "imsi"))

    msisdn: Text = field(pii=Pii("msisdn", keep="encrypted", country="49"))
    email: Text | None = field(pii=Pii("email", keep="pseudonym"))
    imsi: Text = field(pii=Pii("imsi", keep="pseudonym"))
    name: Text | None = field(pii="name")
    seconds: Integer | None = field()


PSEUDONYMS = Pseudonyms(Line, KEYS.__getitem__)
MARKED = st.sampled_from(["", " ", "\u00a0", "x"]).flatmap(
    lambda before: st.sampled_from(["hmac", "HMAC"]).map(lambda mark: f"{before}{mark}:0123abcd:{'a' * 43}")
)
TEXTS = st.none() | MARKED | st.text(max_size=20) | st.from_regex(r"\+?[0-9 ()/.-]{1,20}", fullmatch=True)


def by_definition(value: str | None, kind: str, form: Form, country: str = "") -> str | None:
    if value is None or is_pseudonym(value):
        return value
    if is_pseudonym(meant := canonical(value, form, country=country)):
        return meant
    key = KEYS[kind]
    digest = hmac.new(key.secret, canonical(value, form, country=country).encode(), "sha256").digest()
    return f"hmac:{key.key_id}:{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def block(rows: list[dict[str, str | None]], refused: list[int]) -> JudgedBlock:
    table = pa.Table.from_pylist([{**row, "seconds": 1} for row in rows], schema=arrow_schema(Line))
    return JudgedBlock(table, np.array(refused, dtype=np.int64), [["x"]] * len(refused))


@given(
    st.lists(
        st.fixed_dictionaries({"msisdn": TEXTS, "email": TEXTS, "imsi": TEXTS, "name": TEXTS}), min_size=1, max_size=12
    )
)
def test_a_block_a_row_and_the_definition_agree(rows: list[dict[str, str | None]]) -> None:
    again = [*rows, *rows]
    found = PSEUDONYMS.of_block(block(again, [])).rows.to_pylist()
    for row, made in zip(again, found, strict=True):
        wanted = {
            "msisdn": by_definition(row["msisdn"], "msisdn", "e164", "49"),
            "email": by_definition(row["email"], "email", "lower"),
            "imsi": by_definition(row["imsi"], "imsi", "as_is"),
            "name": row["name"],
        }
        assert {name: made[name] for name in wanted} == wanted
        assert {name: value for name, value in PSEUDONYMS.row(row).items() if name in wanted} == wanted
        assert PSEUDONYMS.row(PSEUDONYMS.row(row)) == PSEUDONYMS.row(row)


def test_originals_are_of_good_rows_and_come_once() -> None:
    kept: list[Originals] = []
    numbers = ["0170 1", "+491701", "0171 2", "0172 3", "hmac:00000000:" + "A" * 43]
    rows: list[dict[str, str | None]] = [{"msisdn": number, "imsi": "1", "email": "a@b"} for number in numbers]
    PSEUDONYMS.of_block(block(rows, [3]), originals=kept.extend)
    (one,) = kept
    assert one.kind == "msisdn"
    assert one.values.to_pylist() == ["+491701", "+491701", "+491712"]
    assert one.pseudonyms.to_pylist() == [by_definition(value, "msisdn", "as_is") for value in one.values.to_pylist()]


def test_a_key_is_replaced_part_by_part() -> None:
    fields = ("msisdn", "imsi")
    whole = PSEUDONYMS.key(fields, "0170 1|262")
    assert whole == f"{PSEUDONYMS.value('msisdn', '+491701')}|{PSEUDONYMS.value('imsi', '262')}"
    assert PSEUDONYMS.key(fields, "only one") == "only one"
    assert PSEUDONYMS.key(("name",), "Ann") == "Ann"
    assert PSEUDONYMS.key(("imsi",), "a|b") == PSEUDONYMS.value("imsi", "a|b")


@pytest.mark.parametrize(
    ("value", "country", "meant"),
    [
        ("+491701234567", "", "+491701234567"),
        ("0049 (170) 123-45.67", "", "+491701234567"),
        ("+49 (0)170 1234567", "49", "+491701234567"),
        ("0170/1234567", "49", "+491701234567"),
        ("491701234567", "49", "+491701234567"),
        ("0170 1234567", "", "01701234567"),
        ("+1 212 555 0100", "49", "+12125550100"),
        ("  anonymous ", "49", "anonymous"),
        ("+", "49", "+"),
        ("", "49", ""),
        ("\u0660\u0661\u0662", "49", "\u0660\u0661\u0662"),
    ],
)
def test_telephone_numbers_have_one_form(value: str, country: str, meant: str) -> None:
    assert canonical(value, "e164", country=country) == meant


@given(TEXTS.map(str), st.sampled_from(["as_is", "e164"]), st.sampled_from(["", "49", "1"]))
def test_a_canonical_form_is_its_own(value: str, form: Form, country: str) -> None:
    once = canonical(value, form, country=country)
    assert canonical(once, form, country=country) == once


def test_what_cannot_be_kept_is_refused() -> None:
    def made(pii: Pii, kind: type = Text, **said: str) -> type[Contract]:
        table = Table(**said)  # type: ignore[arg-type]  # the event time of one case
        return type("Made", (Contract,), {"__annotations__": {"a": kind}, "a": field(pii=pii), "table": table})

    for pii in (
        Pii("msisdn", keep="hidden"),  # type: ignore[arg-type]  # on purpose
        Pii("msisdn", keep="pseudonym", form="upper"),  # type: ignore[arg-type]  # on purpose
        Pii("a|b", keep="pseudonym"),
        Pii("msisdn", keep="pseudonym", country="0049"),
        Pii("imsi", keep="pseudonym", country="49"),
    ):
        with pytest.raises(ContractError):
            made(pii)
    with pytest.raises(ContractError, match="a pseudonym is a text"):
        made(Pii("msisdn", keep="pseudonym"), Integer)
    with pytest.raises(ContractError):
        made(Pii("day", keep="pseudonym"), Instant, event_at="a")


def test_a_policy_is_part_of_the_fingerprint_and_the_default_is_not() -> None:
    class Bare(Contract):
        a: Text = field(pii="msisdn")

    class Same(Contract):
        a: Text = field(pii=Pii("msisdn"))

    class Kept(Contract):
        a: Text = field(pii=Pii("msisdn", keep="pseudonym"))

    class Spelled(Contract):
        a: Text = field(pii=Pii("msisdn", keep="pseudonym", country="49"))

    assert Bare.fingerprint == Same.fingerprint
    assert len({Bare.fingerprint, Kept.fingerprint, Spelled.fingerprint}) == 3


def test_no_key_shows_itself() -> None:
    assert "\\x01" not in repr(KEYS["email"])
    assert repr(KEYS["email"]) == "PseudonymKey('00000001')"

"""What a contract says of personal data: the type of an identifier, how it is spelled, and what is kept of it.

Takes nothing at run time: plain frozen data, and one pure function that gives the canonical form of an identifier. Two
sources that spell one subscriber differently (``0170 1234567``, ``+49 170 1234567``) mean the same person only in that
form, so pseudonyms are made of it, and erasure looks by it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["FORMS", "Form", "Kept", "Pii", "canonical", "is_pseudonym"]

Kept = Literal["clear", "pseudonym", "encrypted"]
"""What the lake holds: the value itself, its pseudonym, or its pseudonym with the original encrypted in the vault."""

Form = Literal["as_is", "lower", "e164"]
"""The canonical form: trimmed text, the same in lower case, or an international telephone number."""

FORMS: Final[Mapping[str, Form]] = {
    "msisdn": "e164",
    "phone": "e164",
    "telephone": "e164",
    "email": "lower",
    "e-mail": "lower",
}
"""Identifier types whose form is known; all others are taken as they are."""

_PSEUDONYM: Final = re.compile(r"hmac:[0-9a-f]{8}:[A-Za-z0-9_-]{43}")
_SEPARATORS: Final = str.maketrans("", "", " \t\n\r\v\f.-/()\u00a0\u2009\u202f\u2010\u2011")


@dataclass(frozen=True)
class Pii:
    """What is said of a field with personal data.

    Attributes:
        kind: Identifier type (``subscriber``, ``msisdn``, ``imsi``, ``email``, ...). Fields of one type share a key, so
            their pseudonyms can be joined.
        keep: ``clear``: the lake holds the value. ``pseudonym``: it holds a keyed hash, and the value is kept nowhere
            in clear. ``encrypted``: the same, and the vault keeps the original encrypted.
        form: The canonical form; None takes that of the type, see :data:`FORMS`.
        country: Calling code (``49``) that national numbers get in place of their leading 0; for ``e164`` alone.
    """

    kind: str
    keep: Kept = "clear"
    form: Form | None = None
    country: str = ""

    @property
    def spelled(self) -> Form:
        """The canonical form."""
        return self.form or FORMS.get(self.kind, "as_is")


def canonical(value: str, form: Form, *, country: str = "") -> str:
    """Give an identifier in its canonical form; a text that is none stays what it is, trimmed.

    Args:
        value: The identifier as a source spells it.
        form: The form.
        country: Calling code of national numbers.

    >>> canonical("0170 / 123-4567", "e164", country="49"), canonical("0049 (170) 1234567", "e164")
    ('+491701234567', '+491701234567')
    >>> canonical(" Ann@Example.ORG ", "lower")
    'ann@example.org'
    """
    value = value.strip()
    if form == "as_is":
        return value
    if form == "lower":
        return value.lower()
    digits = value if value.isalnum() else value.translate(_SEPARATORS)
    bare = digits.removeprefix("+")
    if not (bare.isascii() and bare.isdigit()):
        return value
    if digits[0] == "+":
        # a national 0 in brackets, +49 (0)170: no calling code has a 0 after it that is dialled from abroad
        return f"+{country}{bare[len(country) + 1 :]}" if country and bare.startswith(f"{country}0") else digits
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    if digits[0] == "0" and country:
        return f"+{country}{digits[1:]}"
    return digits if digits[0] == "0" else f"+{digits}"


def is_pseudonym(text: str) -> bool:
    """Say whether a text is a pseudonym already: it is taken as it is then, e.g. a row that comes out of the lake."""
    return text.startswith("hmac:") and _PSEUDONYM.fullmatch(text) is not None

"""Which columns of an unknown file look personal: by their name, or by the form of their values.

Takes a column's name and values, gives what it seems to be. It errs on the side of hiding: a column that looks like a
way to reach or name a person is never shown, and a draft marks it.
"""

import re
from collections.abc import Collection
from typing import Final

__all__ = ["looks_personal"]

_SHARE: Final = 0.8
_NAMES: Final = (
    ("email", re.compile(r"e_?mail")),
    ("phone", re.compile(r"(^|_)(phone|mobile|msisdn|telephone|tel|fax)(_?(no|nr|number|num|e164))?$|msisdn")),
    ("device", re.compile(r"(^|_)(imsi|imei|iccid|mac|mac_address|serial_?(no|number)|device_id)($|_)")),
    ("address", re.compile(r"(^|_)(ip|ip_address|ipv4|ipv6|street|address|addr)($|_)")),
    ("account", re.compile(r"(^|_)(iban|bic|credit_card(_?(no|number))|card_(no|number)|account_(no|number))$")),
    ("document", re.compile(r"(^|_)(ssn|passport(_no|_number)?|national_id|tax_id|licence_no)($|_)")),
    ("name", re.compile(r"^(name|full_?name|(first|last|sur|family|given|middle|customer|user)_?name|surname)$")),
    ("birth", re.compile(r"(^|_)(birth(_?(day|date))?|date_of_birth|dob)($|_)")),
    (
        "subscriber",
        re.compile(r"^(customer|subscriber|client|member|patient|user|account|person)_?(id|no|nr|number|key|ref)$"),
    ),
)
_VALUES: Final = (
    ("email", re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")),
    ("phone", re.compile(r"\+[0-9][0-9 ()/.-]{6,18}|00[1-9][0-9 ()/.-]{7,18}|\(?0[0-9]{2,5}\)?[ /-][0-9 -]{4,12}")),
    ("address", re.compile(r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)")),
    ("account", re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")),
    ("device", re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|[0-9]{15,16}")),
    ("identifier", re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32,64}", re.IGNORECASE)),
)


def looks_personal(name: str, values: Collection[str]) -> str:
    """Say what a column seems to identify.

    Args:
        name: The field's name: lower-case words.
        values: Its different values, trimmed, nulls left out.

    Returns:
        ``email``, ``phone``, ``device``, ``address``, ``account``, ``document``, ``name``, ``birth``, ``subscriber`` or
        ``identifier``; empty where nothing speaks for it.

    >>> looks_personal("contact", ["ann@example.org", "bo@example.org"])
    'email'
    >>> looks_personal("tenure", ["1", "2"])
    ''
    """
    for kind, pattern in _NAMES:
        if pattern.search(name):
            return kind
    for kind, pattern in _VALUES:
        if values and sum(bool(pattern.fullmatch(value)) for value in values) >= _SHARE * len(values):
            return kind
    return ""

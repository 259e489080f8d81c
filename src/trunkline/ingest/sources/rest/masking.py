"""What a server's text must not repeat: the values of a declaration, in the forms in which servers give them back."""

import html
import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from trunkline.spec.sources import RestSource

__all__ = ["declared_values", "masked"]

_MASK: Final = "***"
_LEAST_SIGNS: Final = 4
"""A parameter of fewer is no secret: it may be any number or word."""


def declared_values(declared: RestSource) -> tuple[str, ...]:
    """Give the values of headers, parameters and body that may be secrets.

    Args:
        declared: The source.
    """
    found = {value.get_secret_value() for value in declared.headers.values()}
    said = [str(value) for value in declared.params.values()]
    said += [value for _, value in parse_qsl(urlsplit(declared.url).query)]
    said += _texts(declared.body)
    return tuple(found | {value for value in said if len(value) >= _LEAST_SIGNS})


def _texts(value: object) -> Iterator[str]:
    """Give the texts and numbers in a body."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inside:
        yield from _texts(one)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Give a text without secrets, nor their forms in URLs, in JSON and in HTML.

    >>> masked('no key s3cret/1; try ?key=s3cret%2F1', ["s3cret/1"])
    'no key ***; try ?key=***'
    """
    forms = {
        form
        for secret in secrets
        if secret
        for form in (
            secret,
            quote(secret),
            quote(secret, safe=""),
            quote_plus(secret),
            html.escape(secret),
            json.dumps(secret)[1:-1],
        )
    }
    for form in sorted(forms, key=len, reverse=True):  # the longest first: one may lie in another
        text = text.replace(form, _MASK)
    return text

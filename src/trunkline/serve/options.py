"""What stands behind the ``?`` of an address: known options are read, all others refused."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Scope

from trunkline.serve.refusals import RefusedRequestError

__all__ = ["refuse_unknown_options", "wanted_reasons"]

_MOST_REASONS: Final = 50


def refuse_unknown_options(scope: Scope, known: Sequence[str]) -> None:
    """Refuse an option that the address does not take: a misspelt one would silently do nothing.

    Raises:
        RefusedRequestError: There is one.
    """
    query: bytes = scope["query_string"]
    for name in parse_qs(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            raise RefusedRequestError(
                f"there is no option {name[:40]!r} here",
                status=400,
                allowed=[f"?{option}=" for option in known],
                next_step="" if known else "take it out: this address takes no options",
            )


def wanted_reasons(scope: Scope) -> int:
    """Read ``?reasons=N`` of a request.

    Raises:
        RefusedRequestError: It is not a whole number from 0 to 50.
    """
    query: bytes = scope["query_string"]
    if not query:
        return 0
    text = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("reasons", ["0"])[-1]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_REASONS)) and int(text) <= _MOST_REASONS):
        raise RefusedRequestError(f"reasons is a whole number from 0 to {_MOST_REASONS}", status=400)
    return int(text)

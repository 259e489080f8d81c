"""Addresses of next pages as they may be kept: without the credentials that a server repeats in them.

A position lies in the landing zone. So a value that was declared (a parameter of the query, a header) stands there as a
marker with its name, and is put back when the page is asked for. What `auth` declares is taken out: it comes by itself.
"""

import re
from typing import TYPE_CHECKING, Final

from trunkline.spec.rest import ApiKey
from trunkline.spec.sources import RestSource

if TYPE_CHECKING:
    import httpx2

__all__ = ["Links"]

_LEAST_SIGNS: Final = 6
"""A declared value of fewer is looked for under its own name alone: it may be any number."""
_MARKER: Final = re.compile(r"\{declared:(?:param|header):.+\}", re.DOTALL)


class Links:
    """Takes declared values out of addresses, and puts them back.

    Args:
        declared: The source.
    """

    def __init__(self, declared: RestSource) -> None:
        import httpx2

        self._auth = declared.auth
        params = httpx2.URL(declared.url).copy_merge_params(_texts(declared)).params
        headers = {name: value.get_secret_value() for name, value in declared.headers.items()}
        self._values = {f"{{declared:header:{name}}}": value for name, value in headers.items() if value}
        self._values |= {_param(name): value for name, value in params.items() if value}

    def kept(self, url: "httpx2.URL", *, secrets: tuple[str, ...]) -> str:
        """Give an address as it may lie in a position.

        Args:
            url: A whole address.
            secrets: What nothing that is kept may hold.
        """
        found = url.params.multi_items()
        kept: list[tuple[str, str]] = []
        for name, value in found:
            is_key = isinstance(self._auth, ApiKey) and self._auth.place == "query" and name == self._auth.name
            if not is_key and (not value or value not in secrets):
                kept.append((name, self._marked(name, value)))
        return str(url if kept == found else url.copy_with(params=kept))

    def whole(self, address: str) -> str:
        """Give an address as it is asked for; a value that is no longer declared is left out."""
        import httpx2

        url = httpx2.URL(address)
        found = url.params.multi_items()
        whole = [(name, self._values.get(value, value)) for name, value in found]
        if whole == found and not any(_MARKER.fullmatch(value) for _, value in found):
            return address
        return str(url.copy_with(params=[item for item in whole if not _MARKER.fullmatch(item[1])]))

    def _marked(self, name: str, value: str) -> str:
        if value and self._values.get(_param(name)) == value:
            return _param(name)
        if len(value) < _LEAST_SIGNS:
            return value
        return next((marker for marker, known in self._values.items() if known == value), value)


def _param(name: str) -> str:
    return f"{{declared:param:{name}}}"


def _texts(declared: RestSource) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in declared.params.items()
    }

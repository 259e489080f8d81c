"""Who asks: what a request shows of its credentials, and how a token is renewed."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from trunkline.errors import SourceError
from trunkline.spec.rest import ApiKey, Auth, Basic, Bearer, ClientCredentials

__all__ = ["FetchToken", "Identity", "Shown"]

FetchToken = Callable[[ClientCredentials, Mapping[str, str], Mapping[str, str]], object]
"""Posts a form with headers to the server of tokens and gives its JSON."""

_EARLY_S: Final = 30.0
_DEFAULT_LIFE_S: Final = 300.0


@dataclass(frozen=True)
class Shown:
    """What a request carries.

    Attributes:
        headers: Headers.
        query: Parameters of the query.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]


class Identity:
    """Credentials of one source.

    Args:
        auth: As declared; None for nobody.
        fetch: Fetches a token.
        monotonic: Seconds on a clock that never goes back.
    """

    def __init__(self, auth: Auth | None, *, fetch: FetchToken, monotonic: Callable[[], float]) -> None:
        self._auth, self._fetch, self._monotonic = auth, fetch, monotonic
        self._token, self._until_s = "", 0.0

    def shown(self) -> Shown:
        """Give what a request carries, with a token that is still good.

        Raises:
            SourceError: The server of tokens refused, or gave none.
            UnavailableError: It did not answer.
        """
        auth = self._auth
        if auth is None:
            return Shown({}, {})
        if isinstance(auth, ApiKey):
            named = {auth.name: auth.value.get_secret_value()}
            return Shown(named, {}) if auth.place == "header" else Shown({}, named)
        if isinstance(auth, Basic):
            return Shown({"Authorization": _basic(auth.user, auth.password.get_secret_value())}, {})
        if isinstance(auth, Bearer):
            return Shown({"Authorization": f"Bearer {auth.token.get_secret_value()}"}, {})
        if not self._token or self._monotonic() >= self._until_s:
            self._token, life_s = self._new_token(auth)
            self._until_s = self._monotonic() + max(life_s - _EARLY_S, life_s / 2)
        return Shown({"Authorization": f"Bearer {self._token}"}, {})

    def renew(self) -> bool:
        """Throw a token away that was refused; gives whether a new one can be had."""
        was_there, self._token = bool(self._token), ""
        return was_there

    def secrets(self) -> tuple[str, ...]:
        """Give everything that no message may hold."""
        auth = self._auth
        if isinstance(auth, ApiKey):
            return (auth.value.get_secret_value(), quote_plus(auth.value.get_secret_value()))
        if isinstance(auth, Basic):
            password = auth.password.get_secret_value()
            return (_basic(auth.user, password).removeprefix("Basic "), password)
        if isinstance(auth, Bearer):
            return (auth.token.get_secret_value(),)
        if isinstance(auth, ClientCredentials):
            secret = auth.client_secret.get_secret_value()
            return (self._token, _basic(auth.client_id, secret).removeprefix("Basic "), secret, quote_plus(secret))
        return ()

    def _new_token(self, auth: ClientCredentials) -> tuple[str, float]:
        """Fetch a token; gives it and its life in seconds."""
        form = {"grant_type": "client_credentials"}
        form |= {"scope": auth.scope} if auth.scope else {}
        form |= {"audience": auth.audience} if auth.audience else {}
        headers: dict[str, str] = {}
        secret = auth.client_secret.get_secret_value()
        if auth.place == "form":
            form |= {"client_id": auth.client_id, "client_secret": secret}
        else:  # RFC 6749, section 2.3.1: each part is form-encoded first
            headers["Authorization"] = _basic(quote_plus(auth.client_id), quote_plus(secret))
        given = self._fetch(auth, form, headers)
        token = given.get("access_token") if isinstance(given, dict) else None
        if not isinstance(token, str) or not token or not (token.isascii() and token.isprintable()):
            raise SourceError("the server of tokens gave no `access_token`", where=auth.token_url.partition("?")[0])
        life = given.get("expires_in") if isinstance(given, dict) else None
        try:
            life_s = float(life) if isinstance(life, int | float | str) else _DEFAULT_LIFE_S
        except ValueError:
            life_s = _DEFAULT_LIFE_S
        return token, max(0.0, life_s)


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()

"""One request to a server that may be slow, busy or broken: tried again only where that can help.

Passing faults (no connection, silence, a cut answer, 408, 425, 429, 500, 502, 503, 504) are tried again after a wait
that grows and is drawn by chance, or that the server asks for (``Retry-After``). Everything else is the declaration's
fault and is said at once. Credentials go to the host they were declared for, never along with a redirect to another.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from trunkline.errors import MissingExtraError, SourceError, UnavailableError
from trunkline.ingest.sources.rest.exchange import Answer, Asked, Timing, plain, retry_after_s
from trunkline.ingest.sources.rest.identity import Identity
from trunkline.ingest.sources.rest.masking import declared_values, masked
from trunkline.spec.rest import ClientCredentials, address_fault, is_loopback
from trunkline.spec.sources import RestSource

if TYPE_CHECKING:
    import httpx2
    from tenacity import RetryCallState

__all__ = ["Caller"]

_T = TypeVar("_T")
_PASSING: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS: Final = 5
_FIRST_WAIT_S: Final = 0.5
_BLOCK_BYTES: Final = 1 << 16
_SHOWN_BYTES: Final = 4096
_SHOWN_CHARACTERS: Final = 300
_TOLD_TYPES: Final = ("text/plain", "application/")


class _PassingError(Exception):
    """It may go better next time.

    Attributes:
        detail: What happened.
        wait_s: How long the server wants to be left alone; None where it does not say.
    """

    def __init__(self, detail: str, *, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.wait_s = wait_s


class Caller:
    """Asks one server; used as a context manager.

    Args:
        declared: The source.
        timing: Clocks, sleep and chance.
    """

    def __init__(self, declared: RestSource, *, timing: Timing) -> None:
        self._declared, self._timing = declared, timing
        self._headers = {name: value.get_secret_value() for name, value in declared.headers.items()}
        self._identity = Identity(declared.auth, fetch=self._token, monotonic=timing.monotonic)
        self._secrets = declared_values(declared)
        self._next_at_s = timing.monotonic()
        self._client = _client(declared)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def auth_secrets(self) -> tuple[str, ...]:
        """Give the secrets of `auth`, with the token that is in use: nothing that is kept or said may hold them."""
        return self._identity.secrets()

    def page(self, asked: Asked) -> Answer:
        """Ask for a page of JSON.

        Raises:
            SourceError: Refused, redirected to where it may not go, too large, or no JSON.
            UnavailableError: It did not answer, however often it was asked.
        """
        return self.ask(asked, self._read_page)

    def ask(self, asked: Asked, read: "Callable[[httpx2.Response], _T]") -> _T:
        """Ask, and read the answer; both again where a passing fault cuts them off.

        Args:
            asked: The request.
            read: Reads the open answer; called again with a new one after a fault.

        Raises:
            SourceError: As for :meth:`page`.
            UnavailableError: As for :meth:`page`.
        """
        return self._retried(asked, read, self._identity)

    def _token(self, auth: ClientCredentials, form: Mapping[str, str], headers: Mapping[str, str]) -> object:
        """Fetch a token, without the credentials of the source itself."""
        asked = Asked(auth.token_url, method="POST", form=form, headers=headers)
        return self._retried(asked, self._read_page, None).document

    def _retried(self, asked: Asked, read: "Callable[[httpx2.Response], _T]", identity: Identity | None) -> _T:
        import tenacity

        retrying = tenacity.Retrying(
            sleep=self._timing.sleep,
            stop=tenacity.stop_after_attempt(self._declared.attempts),
            wait=self._wait_s,
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            given: _T = retrying(self._once, asked, read, identity)
        except _PassingError as error:
            raise UnavailableError(
                f"the server does not answer: {error.detail}",
                where=f"{plain(asked.url)}, asked {self._declared.attempts} times",
                next_step="try again later; what landed stays, and the next pull goes on there",
            ) from None
        return given

    def _once(self, asked: Asked, read: "Callable[[httpx2.Response], _T]", identity: Identity | None) -> _T:
        import httpx2

        try:
            with self._opened(asked, identity) as response:
                if response.status_code != 401 or identity is None or not identity.renew():
                    self._refuse(asked, response)
                    return read(response)
            with self._opened(asked, identity) as response:
                self._refuse(asked, response)
                return read(response)
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError) as error:
            if _is_certificate(error):
                raise SourceError(
                    "the server's certificate is not trusted",
                    where=plain(asked.url),
                    next_step="name the certificates to trust in `ca_file`",
                ) from None
            raise _PassingError(_named(error)) from None
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            # its own text may quote a header, and with it a credential
            raise SourceError(
                f"the request or its answer breaks HTTP: {type(error).__name__}", where=plain(asked.url)
            ) from None

    @contextmanager
    def _opened(self, asked: Asked, identity: Identity | None) -> "Iterator[httpx2.Response]":
        """Send a request and follow its redirects; the answer's body is not read yet."""
        import httpx2

        url = httpx2.URL(asked.url)
        if asked.params:
            url = url.copy_merge_params({name: _text(value) for name, value in asked.params.items()})
        home, is_home = _origin(url), True
        for _ in range(_MOST_REDIRECTS + 1):
            self._keep_rate()
            response = self._send(asked, url, identity, is_home=is_home)
            try:
                target = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or target is None:
                    yield response
                    return
                url = self._target(asked, response, target)
            finally:
                response.close()
            if is_home and _origin(url) != home:
                is_home = False
                for name in identity.shown().query if identity else ():
                    url = url.copy_remove_param(name)
        raise SourceError(f"it redirects more than {_MOST_REDIRECTS} times", where=plain(asked.url))

    def _send(self, asked: Asked, url: "httpx2.URL", identity: Identity | None, *, is_home: bool) -> "httpx2.Response":
        headers = {"Accept": "application/json, */*;q=0.1", **(asked.headers or {})}
        if is_home and identity is not None:
            shown = identity.shown()
            headers = {**headers, **self._headers, **shown.headers}
            if shown.query:
                url = url.copy_merge_params(shown.query)
        elif not is_home:
            headers.pop("Authorization", None)
        self._client.cookies.clear()
        request = self._client.build_request(asked.method, url, headers=headers, json=asked.json, data=asked.form)
        return self._client.send(request, stream=True, follow_redirects=False)

    def _target(self, asked: Asked, response: "httpx2.Response", target: str) -> "httpx2.URL":
        """Give where a redirect leads, if it may be followed."""
        url = response.request.url.join(target)
        leaves = _origin(url) != _origin(response.request.url)
        fault = address_fault(str(url), allow_http=self._declared.allow_http)
        if response.request.url.scheme == "https" and url.scheme == "http" and not self._declared.allow_http:
            fault = "it leaves TLS"
        if asked.method == "POST" and (leaves or response.status_code not in (307, 308)):
            fault = "a POST goes to the address that was declared"
        if fault:
            raise SourceError(
                f"the server redirects to an address that is not followed: {fault}",
                where=f"{plain(asked.url)} to {plain(str(url))}",
                next_step="declare the address it redirects to",
            )
        return url

    def _refuse(self, asked: Asked, response: "httpx2.Response") -> None:
        """Tell faults by their status."""
        status = response.status_code
        if response.is_success or status in asked.accepts:
            return
        said = self._said(response)
        detail = f"status {status}{f': {said}' if said else ''}"
        if status in _PASSING:
            wait_s = retry_after_s(response.headers.get("Retry-After"), now=self._timing.now())
            if wait_s is not None and wait_s > self._declared.longest_wait_s:
                raise UnavailableError(
                    f"the server asks to be left alone for {wait_s:.0f} s, with {detail}",
                    where=plain(asked.url),
                    next_step="pull again then, or raise `longest_wait_s`",
                )
            raise _PassingError(detail, wait_s=wait_s)
        raise SourceError(
            f"the server refuses with {detail}",
            where=plain(asked.url),
            next_step="check `auth` and its rights" if status in (401, 403) else "check the declared source",
        )

    def _said(self, response: "httpx2.Response") -> str:
        """Give the beginning of an error's text, without what the declaration says in secret."""
        import httpx2

        if not response.headers.get("Content-Type", "text/plain").lower().startswith(_TOLD_TYPES):
            return ""
        text, begun_s = b"", self._timing.monotonic()
        try:
            for part in response.iter_bytes(_BLOCK_BYTES):
                text += part
                if len(text) >= _SHOWN_BYTES or self._timing.monotonic() - begun_s > self._declared.timeout_s:
                    break
        except httpx2.RequestError:
            return ""
        said = " ".join(text[:_SHOWN_BYTES].decode("utf-8", errors="replace").split())
        said = masked(said, (*self._secrets, *self.auth_secrets()))
        said = "".join(sign if sign.isprintable() else "?" for sign in said)
        return said if len(said) <= _SHOWN_CHARACTERS else f"{said[: _SHOWN_CHARACTERS - 1]}…"

    def _read_page(self, response: "httpx2.Response") -> Answer:
        import orjson

        limit = self._declared.max_answer_mib << 20
        begun_s, body = self._timing.monotonic(), bytearray()
        for part in response.iter_bytes(_BLOCK_BYTES):
            body += part
            if len(body) > limit:
                raise SourceError(
                    f"an answer is larger than {self._declared.max_answer_mib} MiB",
                    where=plain(str(response.url)),
                    next_step="ask for smaller pages, or raise `max_answer_mib`",
                )
            if self._timing.monotonic() - begun_s > self._declared.answer_timeout_s:
                raise _PassingError(f"an answer took longer than {self._declared.answer_timeout_s:g} s")
        link = response.links.get("next", {}).get("url", "")
        text = bytes(body).removeprefix(b"\xef\xbb\xbf").strip()
        document: object = None
        try:
            if text and response.is_success:
                document = orjson.loads(text)
        except orjson.JSONDecodeError:
            if _ends_by_close(response):  # nothing but the JSON itself says that the answer is whole
                raise _PassingError("an answer that breaks off") from None
            kind = response.headers.get("Content-Type", "no content type")
            raise SourceError(
                f"the answer is not JSON ({kind[:60]})",
                where=plain(str(response.url)),
                next_step="check the address and the header Accept; a page to log in is no answer",
            ) from None
        return Answer(response.status_code, document, link, str(response.url))

    def _keep_rate(self) -> None:
        """Wait until the next request is due."""
        if not self._declared.requests_per_s:
            return
        now_s = self._timing.monotonic()
        if self._next_at_s > now_s:
            self._timing.sleep(self._next_at_s - now_s)
        self._next_at_s = max(self._next_at_s, now_s) + 1 / self._declared.requests_per_s

    def _wait_s(self, state: "RetryCallState") -> float:
        """Give the wait before the next attempt: as asked for, else half of a growing time and a share by chance."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _PassingError) and error.wait_s is not None:
            return error.wait_s
        longest = min(self._declared.longest_wait_s, _FIRST_WAIT_S * 2.0 ** (state.attempt_number - 1))
        return longest * (0.5 + self._timing.draw() / 2)


def _client(declared: RestSource) -> "httpx2.Client":
    try:
        import httpx2
    except ImportError:
        raise MissingExtraError("httpx2", extra="rest") from None
    import logging

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it writes addresses with their query, and keys in it
    try:
        verify = _trusted(declared.ca_file)
    except OSError:
        raise SourceError("the file of certificates cannot be read", where=str(declared.ca_file)) from None
    is_local = is_loopback(httpx2.URL(declared.url).host)  # no proxy of the environment stands in between
    return httpx2.Client(timeout=declared.timeout_s, verify=verify, trust_env=not is_local)


@cache
def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Load the certificates to trust: once, it takes a tenth of a second."""
    import httpx2

    return httpx2.create_ssl_context() if ca_file is None else ssl.create_default_context(cafile=ca_file)


def _origin(url: "httpx2.URL") -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ends_by_close(response: "httpx2.Response") -> bool:
    return "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _named(error: Exception) -> str:
    """Put the type of a fault into words: ``ReadTimeout`` is "read timeout"."""
    return "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in type(error).__name__).strip()

"""The parts of a declared REST source: how it shows who asks, how it gives page after page, and what is new.

Plain data; ``trunkline.ingest.sources.rest`` acts on it. Secrets are ``SecretStr``.
"""

from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, model_validator

__all__ = [
    "ApiKey",
    "Auth",
    "Basic",
    "Bearer",
    "ClientCredentials",
    "CursorPaging",
    "LinkPaging",
    "NoPaging",
    "OffsetPaging",
    "PagePaging",
    "Paging",
    "Since",
    "address_fault",
    "is_loopback",
]


_MOST_STEPS: Final = 5_000
"""Steps of time that a position remembers."""


class _Part(BaseModel, frozen=True, extra="forbid"):
    """A part of a declaration."""


class ApiKey(_Part):
    """A key in a header or in the query.

    Attributes:
        name: Name of the header or parameter.
        place: Which of the two.
        value: The key.
    """

    kind: Literal["api_key"]
    name: str = Field("X-API-Key", min_length=1, description="Name of the header or parameter.")
    place: Literal["header", "query"] = Field("header", description="Where the key goes.")
    value: SecretStr = Field(description="The key.")


class Basic(_Part):
    """User and password.

    Attributes:
        user: The user.
        password: The password.
    """

    kind: Literal["basic"]
    user: str = Field(description="The user.")
    password: SecretStr = Field(description="The password.")


class Bearer(_Part):
    """A token that somebody else renews.

    Attributes:
        token: The token.
    """

    kind: Literal["bearer"]
    token: SecretStr = Field(description="The token.")


class ClientCredentials(_Part):
    """OAuth2 client credentials (RFC 6749, section 4.4): a token is fetched, and renewed before it expires or at a 401.

    Attributes:
        token_url: Where tokens are given.
        client_id: The client.
        client_secret: Its secret.
        scope: Scopes, separated by spaces; empty for the server's default.
        audience: For servers that want one; empty for none.
        place: Whether the client is named by basic authentication or in the form.
    """

    kind: Literal["oauth2"]
    token_url: str = Field(description="Where tokens are given.")
    client_id: str = Field(description="The client.")
    client_secret: SecretStr = Field(description="Its secret.")
    scope: str = Field("", description="Scopes, separated by spaces; empty for the server's default.")
    audience: str = Field("", description="For servers that want one; empty for none.")
    place: Literal["basic", "form"] = Field("basic", description="How the client names itself.")


Auth = Annotated[ApiKey | Basic | Bearer | ClientCredentials, Field(discriminator="kind")]
"""How the server is told who asks."""


class NoPaging(_Part):
    """One answer holds everything."""

    kind: Literal["none"] = "none"


class PagePaging(_Part):
    """Numbered pages.

    Attributes:
        param: Parameter of the page number; dotted where it lies deep in a body.
        first: Number of the first page.
        size_param: Parameter of the page size; empty where the server decides.
        size: Rows per page.
        stop: ``empty``: at the first page without records; ``short``: also at one with fewer than ``size``.
        total: Dotted path to the number of all rows in the answer; reading stops when so many were given.
        missing_ends: Whether 404 stands for the page after the last.
    """

    kind: Literal["page"]
    param: str = Field("page", min_length=1, description="Parameter of the page number.")
    first: int = Field(1, ge=0, description="Number of the first page.")
    size_param: str = Field("", description="Parameter of the page size; empty where the server decides.")
    size: int = Field(1000, ge=1, description="Rows per page (rows).")
    stop: Literal["empty", "short"] = Field(
        "empty", description="empty: stop at a page without records; short: also at one with fewer than `size`."
    )
    total: str = Field("", description="Path to the number of all rows in the answer; empty where it is not told.")
    missing_ends: bool = Field(default=False, description="Whether 404 stands for the page after the last.")


class OffsetPaging(_Part):
    """Pages by the number of rows before them.

    Attributes:
        param: Parameter of the offset.
        size_param: Parameter of the page size; empty where the server decides.
        size: Rows per page. The offset grows by what came, so a server that gives fewer loses nothing.
        stop: ``empty``: at the first page without records; ``short``: also at one with fewer than ``size``.
        total: Dotted path to the number of all rows in the answer; reading stops when so many were given.
    """

    kind: Literal["offset"]
    param: str = Field("offset", min_length=1, description="Parameter of the offset.")
    size_param: str = Field("limit", description="Parameter of the page size; empty where the server decides.")
    size: int = Field(1000, ge=1, description="Rows per page (rows).")
    stop: Literal["empty", "short"] = Field(
        "empty", description="empty: stop at a page without records; short: also at one with fewer than `size`."
    )
    total: str = Field("", description="Path to the number of all rows in the answer; empty where it is not told.")


class CursorPaging(_Part):
    """Each page says where the next begins.

    Attributes:
        param: Parameter of the cursor; the first page is asked for without it.
        next: Dotted path to the next cursor in the answer; absent, null or empty there means the end.
        last_field: Instead: dotted path in the last record whose value is the cursor; an empty page is the end.
        size_param: Parameter of the page size; empty where the server decides.
        size: Rows per page.
        keep: Whether the cursor holds from pull to pull (a feed); else each pull begins without one.
    """

    kind: Literal["cursor"]
    param: str = Field("cursor", min_length=1, description="Parameter of the cursor.")
    next: str = Field("next_cursor", description="Path to the next cursor in the answer.")
    last_field: str = Field("", description="Instead: path in the last record whose value is the cursor.")
    size_param: str = Field("", description="Parameter of the page size; empty where the server decides.")
    size: int = Field(1000, ge=1, description="Rows per page (rows).")
    keep: bool = Field(default=False, description="Whether the cursor holds from pull to pull, as in a feed.")


class LinkPaging(_Part):
    """Each page names the address of the next, on the same server.

    Attributes:
        next: Dotted path to the address in the answer; empty for the header ``Link: <...>; rel="next"`` (RFC 8288).
    """

    kind: Literal["link"]
    next: str = Field("", description="Path to the next address in the answer; empty for the header Link.")


Paging = Annotated[
    NoPaging | PagePaging | OffsetPaging | CursorPaging | LinkPaging,
    Field(discriminator="kind"),
]
"""How one page leads to the next."""


class Since(_Part):
    """What is new, told by a time.

    Attributes:
        param: Parameter that takes the time from which rows are asked for.
        field: Dotted path in the records; its newest value is where the next pull begins.
        format: How times are written in the parameter and in the records; ISO times without a zone are UTC.
        overlap: How far a pull goes back behind the newest value, for rows that come late.
        first: The parameter's value at the first pull; None leaves it out.
        param_format: How times are written in the parameters, where otherwise than in the records.
        until_param: Parameter that takes the end of what is asked for, the present or the end of a gap, for servers
            that want or know both ends; empty for none.
        step: Distance of the times, where they are regular: a step without rows is a gap, and is asked for again (with
            all that follows, where there is no ``until_param``), until its rows are there or it lies further back than
            ``reach``. What comes twice is merged by the contract's key.
        reach: How far back gaps are asked for; at most 5,000 steps.
        gap_share: A step with at most this share of the usual rows is a gap too; for sources that give about as many
            rows at every step.
    """

    param: str = Field(min_length=1, description="Parameter that takes the time from which rows are asked for.")
    field: str = Field(min_length=1, description="Path in the records; its newest value is where the next pull begins.")
    format: Literal["iso", "epoch_s", "epoch_ms"] = Field("iso", description="How times are written.")
    overlap: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How far a pull goes back, for rows that come late."
    )
    first: str | None = Field(None, description="The parameter's value at the first pull; none leaves it out.")
    param_format: Literal["iso", "epoch_s", "epoch_ms"] | None = Field(
        None, description="How times are written in the parameters, where otherwise than in the records."
    )
    until_param: str = Field(
        "", description="Parameter that takes the end: the present, or that of a gap; empty for none."
    )
    step: timedelta | None = Field(
        None, ge=timedelta(minutes=1), description="Distance of regular times: gaps are then asked for again."
    )
    reach: timedelta = Field(timedelta(days=14), gt=timedelta(0), description="How far back gaps are asked for.")
    gap_share: float = Field(
        0.0, ge=0, lt=1, description="A step with at most this share of the usual rows is a gap; 0: one without rows."
    )

    @model_validator(mode="after")
    def _bounded(self) -> "Since":
        if self.step is not None and self.reach // self.step > _MOST_STEPS:
            raise ValueError(f"`reach` has more than {_MOST_STEPS:,} times `step`: shorten it, or name a longer step")
        return self


def address_fault(url: str, *, allow_http: bool) -> str:
    """Say what is wrong with an address to which credentials may go; empty when nothing is.

    Args:
        url: The address.
        allow_http: Whether it may be reached without TLS beyond this machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme not in ("http", "https") or not host:
        return "it must begin with https:// and a host"
    if parts.username is not None or parts.password is not None:
        return "credentials belong into `auth`, not into the address"
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        return "without TLS only this machine is reached; use https://, or say allow_http = true"
    return ""


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine.

    Args:
        host: Its name or IP address.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

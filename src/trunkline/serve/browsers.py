"""Who may look at pages: the roles of the API, asked for in the way a browser can answer.

A browser cannot send ``x-api-key``; it asks its user for a name and a password (HTTP Basic): the password is the key.
"""

import base64
from collections.abc import Callable

from fastapi import HTTPException, Request

from trunkline.serve.access import Access, Holder
from trunkline.serve.refusals import RefusedRequestError
from trunkline.settings.serve import Role, ServeSettings

__all__ = ["page_access"]


def page_access(settings: ServeSettings) -> Callable[[Role], Callable[[Request], Holder]]:
    """Make what lets people see pages.

    Args:
        settings: Holds the keys; without keys everybody on this machine may look.

    Returns:
        From a role to a FastAPI dependency that gives who asks. It answers 401 without a known key, so that the browser
        asks for a password, and 403 when the key's role is not enough.
    """
    access = Access(settings.api_keys)

    def demanding(role: Role) -> Callable[[Request], Holder]:
        def allowed(request: Request) -> Holder:
            headers = [*request.scope["headers"], *_from_basic(request.headers.get("authorization", ""))]
            try:
                return access.require(role, headers=headers)
            except RefusedRequestError as refused:
                if refused.status != 401:
                    raise
                raise HTTPException(
                    401, detail=refused.what, headers={"www-authenticate": 'Basic realm="Trunkline", charset="UTF-8"'}
                ) from None

        return allowed

    return demanding


def _from_basic(given: str) -> list[tuple[bytes, bytes]]:
    """The password of HTTP Basic as the header that programs send."""
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        _, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except ValueError:  # no base64, or not even ASCII
        return []
    return [(b"x-api-key", password)]

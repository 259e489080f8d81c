"""Whether a push comes from whom it should: the signed token of Pub/Sub's push subscriptions.

Pub/Sub signs an OIDC token for the audience and service account of the subscription and sends it as a bearer token
(https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions). The keys are fetched once and kept; a key that
is not known makes them be fetched again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from trunkline.errors import MissingExtraError, UnavailableError
from trunkline.settings.messages import PushSettings

__all__ = ["RefusedTokenError", "TokenCheck"]

_ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")
_KEYS_LIVE_S: Final = 3600
_LEEWAY_S: Final = 30


class RefusedTokenError(Exception):
    """A token is not what it should be; the reason is for the log, not for the sender."""


class TokenCheck:
    """Checks bearer tokens.

    Args:
        settings: Audience, service account, and where the keys are.
        clock: Gives the current instant, UTC.

    Raises:
        MissingExtraError: PyJWT is not installed.
    """

    def __init__(self, settings: PushSettings, *, clock: Callable[[], datetime]) -> None:
        try:
            import jwt
        except ModuleNotFoundError:
            raise MissingExtraError("jwt", extra="notify") from None
        self._settings, self._clock = settings, clock
        self._keys = jwt.PyJWKClient(settings.keys_url, lifespan=_KEYS_LIVE_S, timeout=10)

    def check(self, authorization: str) -> None:
        """Check the value of an ``authorization`` header.

        Raises:
            RefusedTokenError: It is missing, expired, forged, or somebody else's.
            UnavailableError: The keys could not be fetched.
        """
        import jwt

        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise RefusedTokenError("no bearer token")
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=["RS256", "ES256"],
                audience=self._settings.audience,
                issuer=_ISSUERS,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise UnavailableError(
                "the keys of tokens could not be fetched", where="messages.push.keys_url", next_step="check the network"
            ) from None
        except jwt.PyJWTError as error:
            raise RefusedTokenError(type(error).__name__) from None
        email = self._settings.email
        if email and not (claims.get("email") == email and claims.get("email_verified") is True):
            raise RefusedTokenError("of another service account")

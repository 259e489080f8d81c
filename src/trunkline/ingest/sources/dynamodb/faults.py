"""What an error of the AWS library means: whose fault it is, in our own words, without keys or values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from trunkline.errors import SourceError, TrunklineError, UnavailableError

__all__ = ["told"]

_LOGIN: Final = (
    "the credentials are refused",
    "check `access_key`, `secret_key` or the environment variables of AWS, and the right dynamodb:Scan",
)
_CODES: Final = {
    "ResourceNotFoundException": ("there is no such table", "check `table`, `region` and `endpoint`"),
    "UnrecognizedClientException": _LOGIN,
    "InvalidClientTokenId": _LOGIN,
    "InvalidSignatureException": _LOGIN,
    "MissingAuthenticationTokenException": _LOGIN,
    "ExpiredTokenException": _LOGIN,
    "AccessDeniedException": _LOGIN,
    "ValidationException": ("the table does not understand the scan", "check `cursor` and `projection`"),
}
_BUSY: Final = frozenset(
    ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling")
)
_NO_WORLD: Final = {
    "NoCredentialsError": _LOGIN,
    "PartialCredentialsError": _LOGIN,
    "NoRegionError": ("the region is not known", "say `region`, or set AWS_REGION"),
}


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn errors of botocore into the project's own.

    Args:
        where: The table, without secrets.

    Raises:
        SourceError: The declaration or the rights are wrong.
        UnavailableError: The server did not answer, or throttled the source for too long.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refused(error.response, where) from None
    except BotoCoreError as error:
        kind = type(error).__name__
        if kind in _NO_WORLD:
            what, next_step = _NO_WORLD[kind]
            raise SourceError(what, where=where, next_step=next_step) from None
        raise UnavailableError(
            f"DynamoDB did not answer ({kind})",
            where=where,
            next_step="check `region` and `endpoint`; what landed stays, the next pull goes on from there",
        ) from None


def _refused(response: object, where: str) -> TrunklineError:
    said = response if isinstance(response, dict) else {}
    code = str(said.get("Error", {}).get("Code", ""))[:60]
    status = said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BUSY:
        return UnavailableError(
            f"DynamoDB throttles the source ({code})",
            where=where,
            next_step="raise the table's capacity or `attempts`, or lower `segments`; the next pull goes on from there",
        )
    if status >= 500:
        return UnavailableError(
            f"DynamoDB failed ({code})", where=where, next_step="try again later; what landed stays"
        )
    what, next_step = _CODES.get(code, ("DynamoDB refused the scan", "check the declared source"))
    return SourceError(f"{what} ({code})", where=where, next_step=next_step)

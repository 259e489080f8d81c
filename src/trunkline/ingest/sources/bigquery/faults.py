"""What an error of Google's libraries means: whose fault it is, in our own words, without values of a query."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from trunkline.errors import SourceError, TrunklineError, UnavailableError

__all__ = ["told"]

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_REQUEST: Final = re.compile(r"^[A-Z]+ https?://\S+: ")
_LOGIN: Final = (
    "set GOOGLE_APPLICATION_CREDENTIALS, run `gcloud auth application-default login`, or say `credentials_file`"
)
_SHOWN_CHARACTERS: Final = 160


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn errors of Google's libraries into the project's own.

    Args:
        where: Table or query, for people.

    Raises:
        SourceError: The declaration, the query or the rights are wrong.
        UnavailableError: BigQuery did not answer.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (requests.RequestException, TransportError) as error:
        raise _silent(type(error).__name__, where) from None
    except GoogleAuthError as error:
        raise SourceError(
            f"Google's credentials cannot be used ({type(error).__name__})", where=where, next_step=_LOGIN
        ) from None
    except GoogleAPIError as error:
        raise _ours(error, where) from None
    except OSError as error:  # of a key file; its text names the path alone
        raise SourceError(
            f"the key file cannot be read ({error.strerror})", where=where, next_step="check `credentials_file`"
        ) from None


def _ours(error: Exception, where: str) -> TrunklineError:
    from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound, Unauthorized

    text = str(getattr(error, "message", "")).splitlines()
    said = _QUOTED.sub("...", _REQUEST.sub("", text[0] if text else ""))[:_SHOWN_CHARACTERS]
    reasons = {str(one.get("reason", "")) for one in getattr(error, "errors", ()) if isinstance(one, dict)}
    if "bytesBilledLimitExceeded" in reasons or "bytes billed" in said:
        return SourceError(
            "the query would read more than it may", where=where, next_step="raise `max_billed_gib`, or read less"
        )
    if isinstance(error, NotFound):
        return SourceError(
            f"BigQuery does not know that: {said}", where=where, next_step="check `project`, `table` and `location`"
        )
    if isinstance(error, Unauthorized):
        return SourceError("Google refuses the credentials", where=where, next_step=_LOGIN)
    if isinstance(error, Forbidden) and not reasons & {"rateLimitExceeded", "quotaExceeded"}:
        return SourceError(
            "the account may not read that",
            where=where,
            next_step="grant it roles/bigquery.dataViewer, roles/bigquery.jobUser and roles/bigquery.readSessionUser",
        )
    if isinstance(error, BadRequest):
        return SourceError(
            f"BigQuery does not understand the query: {said}", where=where, next_step="try it in BigQuery's own page"
        )
    if isinstance(error, Forbidden):
        return _silent("quota exceeded", where)
    code = f", status {int(error.code)}" if isinstance(error, GoogleAPICallError) and error.code else ""
    return _silent(f"{type(error).__name__}{code}", where)


def _silent(detail: str, where: str) -> UnavailableError:
    return UnavailableError(
        f"BigQuery did not answer ({detail})",
        where=where,
        next_step="try again later; what landed stays, and the next pull goes on from there",
    )

"""What an error of the driver means: whose fault it is, in our own words, without the URL, the filter or a value."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from trunkline.errors import InputError, SourceError, TrunklineError, UnavailableError

__all__ = ["malformed", "told"]

_CODES: Final = {  # https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
    13: ("the user may not read that", "grant the user the role `read` on the database"),
    18: ("the server refused the login", "check user, password and `authSource` of the URL"),
    8000: ("the server refused the login", "check user, password and `authSource` of the URL"),
    2: ("the server does not understand the filter", "check `filter` and `projection`"),
    9: ("the server does not understand the filter", "check `filter` and `projection`"),
    17287: ("the server does not understand the filter", "check `filter` and `projection`"),
    31249: ("two paths of `projection` overlap", "name the outer or the inner one"),
    292: ("the server cannot sort that much in its memory", "make an index on the cursor"),
}


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn errors of pymongo into the project's own.

    Args:
        where: Server, database and collection, without secrets.

    Raises:
        SourceError: The declaration or the rights are wrong.
        UnavailableError: The server did not answer, or the connection was cut.
    """
    from bson.errors import BSONError
    from pymongo.errors import PyMongoError

    try:
        yield
    except BSONError as error:
        raise SourceError(
            f"a document cannot be read: {type(error).__name__}",
            where=where,
            next_step="leave it out by `filter`, or the broken field by `projection`",
        ) from None
    except PyMongoError as error:
        raise _ours(error, where) from None


def _ours(error: Exception, where: str) -> TrunklineError:
    from pymongo.errors import AutoReconnect, ConfigurationError, ConnectionFailure, ExecutionTimeout, OperationFailure

    if isinstance(error, OperationFailure) and not isinstance(error, ExecutionTimeout):
        what, next_step = _CODES.get(error.code or 0, ("the server refused to read that", "check the declared source"))
        return SourceError(f"{what} (code {error.code})", where=where, next_step=next_step)
    if isinstance(error, ConfigurationError):
        return malformed(type(error).__name__)
    kind = "" if isinstance(error, ConnectionFailure | AutoReconnect) else f" ({type(error).__name__})"
    return UnavailableError(
        f"MongoDB did not answer, or cut the connection{kind}",
        where=where,
        next_step="check host, port and server; what landed stays, the next pull goes on from there",
    )


def malformed(detail: str) -> InputError:
    """Say that a URL cannot be used; what the driver says of it may hold the password."""
    return InputError(
        f"the URL of MongoDB cannot be read ({detail})",
        next_step="write mongodb://user:password@host:port/database; signs like @ : / in a password as %40 %3A %2F",
    )

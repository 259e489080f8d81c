"""Exceptions as HTTP answers: the only place that knows which status an error is.

Every refusal is one JSON object, ``{"error": what, "where": ..., "allowed": [...], "next": ...}``. Neither tracebacks
nor values of a request are in it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from trunkline.checks.hints import Hint, hints_of
from trunkline.contracts import Contract
from trunkline.errors import (
    BusyError,
    InputError,
    RowsRefusedError,
    SchemaError,
    TamperedError,
    TrunklineError,
    UnknownNameError,
    WorldError,
)

__all__ = ["Answer", "RefusedRequestError", "RefusedRowsError", "json_answer", "refusal", "refused"]

_JSON: Final = (b"content-type", b"application/json")
_MOST_ALLOWED: Final = 12
_logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """A response, ready to be sent.

    Attributes:
        status: HTTP status.
        body: The bytes.
        headers: All headers but the length.
    """

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (_JSON,)


class RefusedRequestError(InputError):
    """A request that cannot be answered, for a reason that only HTTP knows.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, what: str, *, status: int, allowed: Iterable[str] = (), next_step: str = "") -> None:
        super().__init__(what, allowed=allowed, next_step=next_step)
        self.status = status


class RefusedRowsError(RowsRefusedError):
    """Rows of a request break their contract.

    Attributes:
        refused: Position in the request to the reasons, 0 is the first row.
        hints: Reason to what would have been accepted.
    """

    def __init__(
        self,
        refused: Mapping[int, Sequence[str]],
        *,
        rows: int,
        contract: type[Contract] | None = None,
        hints: Mapping[str, Hint] | None = None,
        verb: str = "answered",
    ) -> None:
        counts: dict[str, int] = {}
        for reasons in refused.values():
            for reason in reasons:
                counts[reason] = counts.get(reason, 0) + 1
        super().__init__(
            f"{len(refused)} of {rows} rows break the contract; no row was {verb}",
            reasons=counts,
            next_step="mend the rows named in errors and send all of them again",
        )
        self.refused = refused
        own = {reason: hint for reason, hint in (hints or {}).items() if reason in counts}
        self.hints = own if contract is None else {**hints_of(contract, counts), **own}

    def errors(self) -> list[dict[str, object]]:
        """List the refused rows as JSON, in their order."""
        return [{"row": row, "reasons": list(reasons)} for row, reasons in self.refused.items()]


def json_answer(document: object, *, status: int = 200) -> Answer:
    """Put a document into an answer."""
    return Answer(status, orjson.dumps(document))


def refusal(error: Exception, *, extra: Mapping[str, object] | None = None) -> Answer:
    """Say what is wrong.

    Args:
        error: What happened; anything that is not Trunkline's is an unexplained fault, its text stays inside.
        extra: More members of the JSON object.
    """
    if not isinstance(error, TrunklineError):
        return json_answer({"error": "the server failed", "next": "see its log"}, status=500)
    document: dict[str, object] = {"error": error.what}
    if error.where and not isinstance(error, WorldError | TamperedError):  # those name files of the server
        document["where"] = error.where
    if error.allowed:
        document["allowed"] = list(error.allowed[:_MOST_ALLOWED])
    if error.next_step:
        document["next"] = error.next_step
    document.update(extra or {})
    status = _status(error)
    headers = (_JSON, (b"retry-after", b"1")) if status in (429, 503) else (_JSON,)
    return Answer(status, orjson.dumps(document), headers)


def refused(error: Exception) -> Answer:
    """Answer with what went wrong; what is not Trunkline's own error goes to the log."""
    if isinstance(error, RefusedRowsError):
        return refusal(error, extra={"errors": error.errors(), "hints": error.hints})
    if not isinstance(error, TrunklineError):
        _logger.error("a request failed", exc_info=error)
    return refusal(error)


def _status(error: TrunklineError) -> int:
    if isinstance(error, RefusedRequestError):
        return error.status
    if isinstance(error, RowsRefusedError | SchemaError):
        return 422
    if isinstance(error, UnknownNameError):
        return 404
    if isinstance(error, BusyError):
        return 409
    if isinstance(error, TamperedError):
        return 503
    if isinstance(error, InputError):
        return 400
    return 503 if isinstance(error, WorldError) else 500

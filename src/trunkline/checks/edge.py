"""The edge validator: JSON bytes to validated rows, one pass, every reason of every row.

It gives the verdicts that the vectorised split gives, from the same grammars and limits, and is built once per
contract. One thing differs on purpose: an unknown key of a message is a reason (a misspelt field would silently be
null), whereas further columns of a file are reported in its receipt.
"""

from collections.abc import Sequence

from trunkline.checks.pseudonyms import Pseudonyms
from trunkline.contracts import Contract
from trunkline.contracts.judging import Judged, RowJudge
from trunkline.errors import InputError

__all__ = ["EdgeValidator", "Judged", "edge_validator"]


class EdgeValidator:
    """Validates messages of one contract; made by :func:`edge_validator`."""

    def __init__(
        self, contract: type[Contract], *, optional: Sequence[str] = (), pseudonyms: Pseudonyms | None = None
    ) -> None:
        self.contract = contract
        self._pseudonyms = pseudonyms
        self._judge = RowJudge(contract.columns, contract.table, optional=optional)

    def judge(self, message: object) -> Judged:
        """Judge one decoded JSON value.

        Args:
            message: An object whose keys are field names or aliases, ignoring case.

        Returns:
            The row with its verdict. Unknown keys are reasons (``name.unknown``), so that a misspelt field is not
            silently null. Protected fields of a good row are pseudonyms where the validator was told how to make them.
        """
        judged = self._judge.judge(message)
        if self._pseudonyms is None or judged.reasons:
            return judged
        return Judged(self._pseudonyms.row(judged.row), ())

    def rows(self, body: bytes) -> list[Judged]:
        """Judge every row of a request body.

        Args:
            body: As :meth:`messages` takes it.

        Returns:
            One verdict per row, in order.

        Raises:
            InputError: As :meth:`messages`.
        """
        return [self.judge(message) for message in self.messages(body)]

    @staticmethod
    def messages(body: bytes) -> list[object]:
        """Decode a request body into its rows: one object, an array, ``{"rows": [...]}`` or NDJSON.

        Args:
            body: UTF-8 JSON.

        Returns:
            The rows in order, not judged yet.

        Raises:
            InputError: The body is not JSON of one of those forms, or holds no row.
        """
        import orjson

        try:
            decoded = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            lines = [line for line in body.split(b"\n") if line.strip()]
            try:
                decoded = [orjson.loads(line) for line in lines] if len(lines) > 1 else None
            except orjson.JSONDecodeError:
                decoded = None
            if decoded is None:
                raise InputError(
                    "the body is not JSON",
                    where=f"line {error.lineno}, column {error.colno}",
                    allowed=("an object", "an array of objects", '{"rows": [...]}', "one object per line"),
                ) from None
        if isinstance(decoded, dict) and isinstance(decoded.get("rows"), list):
            beside = sorted(set(decoded) - {"rows"})
            if beside:
                raise InputError(
                    f"unknown members beside rows: {', '.join(name[:40] for name in beside[:6])}",
                    allowed=("rows",),
                    next_step="options stand in the address, e.g. ?reasons=3",
                )
            decoded = decoded["rows"]
        messages = decoded if isinstance(decoded, list) else [decoded]
        if not messages:
            raise InputError("the body holds no row", next_step="send at least one row")
        return messages


def edge_validator(
    contract: type[Contract], *, optional: Sequence[str] = (), pseudonyms: Pseudonyms | None = None
) -> EdgeValidator:
    """Build the validator of a contract's messages.

    Args:
        contract: The contract.
        optional: Fields that may be absent or null although they are not nullable, e.g. the label of rows to predict.
        pseudonyms: Replaces personal identifiers of good rows; None leaves them as they are.

    Returns:
        A validator to keep for the life of the process.
    """
    return EdgeValidator(contract, optional=optional, pseudonyms=pseudonyms)

"""The HTTP edge: records of a dataset, taken in as they are sent.

``POST /v1/ingest/{usecase}/{dataset}`` takes one record, an array, ``{"rows": [...]}``, NDJSON, or an envelope that the
use case can take apart; gzip where ``content-encoding`` says so. The answer comes when all of them are durable, and has
a verdict for each: what is accepted goes to the lake within seconds, what is refused to the quarantine, with its
reasons. So a client sends a batch once, whatever is in it.
"""

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

import orjson
from starlette.types import Scope

from trunkline.brokers import Message
from trunkline.checks.edge import EdgeValidator, edge_validator
from trunkline.checks.hints import hints_of
from trunkline.errors import FullError, InputError
from trunkline.ingest.own_device import OwnDevice
from trunkline.ingest.streams import topic_of
from trunkline.serve.devices.asking import device_of
from trunkline.serve.refusals import Answer, RefusedRequestError, json_answer, refused
from trunkline.serve.service import Endpoint, Service
from trunkline.spec import UseCase

if TYPE_CHECKING:
    from trunkline.spec import Unwrap

__all__ = ["DEVICE", "IngestEndpoint"]

DEVICE: Final = "trunkline.device"
"""Where the scope of a request says which device sends it."""

_ROWS_ON_THE_LOOP: Final = 32
_UNKNOWN: Final = ".unknown"
_TOO_DEEP: Final = "row.too_deep"
_GZIP: Final = 16 + zlib.MAX_WBITS


class IngestEndpoint(Endpoint):
    """``POST /v1/ingest/{usecase}/{dataset}``.

    Args:
        service: What all routes share.
        usecase: The use case.
        dataset: One of its datasets.
    """

    def __init__(self, service: Service, *, usecase: UseCase, dataset: str) -> None:
        super().__init__(service, route="ingest", role="operator")
        self._topic = topic_of(usecase.name, dataset)
        self._table = usecase.table_name(dataset)
        self._unwrap = usecase.envelopes.get(dataset)
        self._contract = usecase.datasets[dataset]
        self._validator = edge_validator(self._contract)
        self._own = OwnDevice(self._contract)

    def admit(self, scope: Scope) -> None:
        """Let a device pass that is known by its key or certificate, and others by the role of their API key."""
        registry = self.service.devices
        device = None if registry is None else device_of(registry, scope)
        if device is None:
            if registry is not None and registry.is_any and self._own.field and self.service.access.is_open:
                raise RefusedRequestError(
                    "a device's key is needed",
                    status=401,
                    next_step="send the header: authorization: Bearer KEY, of a device that is not revoked",
                )
            super().admit(scope)
        elif not self._own.field:
            raise RefusedRequestError("records of this dataset are of no device", status=403)
        scope[DEVICE] = device

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """Take records in; answered when they are durable."""
        body = _plain(scope, body, max_bytes=self._max_bytes)
        return json_answer(await self.taken(body, device=scope.get(DEVICE)))

    async def message(self, scope: Scope, body: bytes) -> Answer:
        """Take one message of a stream in, as if it were a request of its own; any error becomes a refusal."""
        begun = perf_counter()
        try:
            self.admit(scope)
            self.refuse_large(len(body))
            answer = json_answer(await self.taken(body, device=scope.get(DEVICE)))
        except Exception as error:  # noqa: BLE001 - every error is an answer, told and counted
            answer = refused(error)
        self._counts.add(answer.status, seconds=perf_counter() - begun)
        return answer

    async def taken(self, body: bytes, *, device: str | None) -> dict[str, object]:
        """Take the records of a message in; durable on return.

        Args:
            body: The message, unpacked.
            device: Who sends it, where that is a device: records that name another are refused.

        Returns:
            The verdicts.

        Raises:
            InputError: It is not JSON of a known form, or holds no record.
            RefusedRequestError: There are too many records, or the log takes nothing now.
            UnavailableError: Nothing was stored.
        """
        records = _records(self._validator, body, self._unwrap)
        self.service.refuse_many(len(records))
        own = None if device is None else (self._own, device)
        if len(records) <= _ROWS_ON_THE_LOOP:
            refused, lines = _judged(self._validator, records, own)
        else:
            loop = asyncio.get_running_loop()
            refused, lines = await loop.run_in_executor(None, _judged, self._validator, records, own)
        try:
            await self.service.append(self._topic, (Message(lines),))
        except FullError as error:
            raise RefusedRequestError(error.what, status=429, next_step="send it again after a second") from error
        hints = {}
        if refused:
            hints["hints"] = hints_of(self._contract, (reason for reasons in refused.values() for reason in reasons))
        self.service.metrics.count_taken(self._table, accepted=len(records) - len(refused), refused=len(refused))
        if device is not None and self.service.devices is not None:
            self.service.devices.saw(device)
        return {
            "request_id": self.service.request_id(),
            "read": len(records),
            "accepted": len(records) - len(refused),
            "refused": len(refused),
            "errors": [{"row": row, "reasons": reasons} for row, reasons in refused.items()],
            **hints,
        }


def _plain(scope: Scope, body: bytes, *, max_bytes: int) -> bytes:
    """Unpack a body.

    Raises:
        RefusedRequestError: It is packed otherwise, broken, or too large once unpacked.
    """
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in (b"identity", b""):
        return body
    if encoding != b"gzip":
        raise RefusedRequestError("the body is packed in an unknown way", status=415, next_step="send gzip, or plain")
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(body, max_bytes + 1)
    except zlib.error:
        raise RefusedRequestError("the body is no gzip, or was cut", status=400) from None
    if len(plain) > max_bytes:
        raise RefusedRequestError(
            "the request is too large once it is unpacked",
            status=413,
            next_step=f"send at most {max_bytes / (1 << 20):g} MiB at once",
        )
    if not unpacking.eof or unpacking.unused_data:
        raise RefusedRequestError("the body is no gzip, or was cut", status=400)
    return plain


def _records(validator: EdgeValidator, body: bytes, unwrap: "Unwrap | None") -> Sequence[object]:
    """The records of a body, not judged yet.

    Raises:
        InputError: It is not JSON of a known form, or holds no record.
    """
    messages = validator.messages(body)
    if unwrap is None:
        return messages
    records: list[object] = []
    for message in messages:
        inside = unwrap(message)
        records += (message,) if inside is None else inside
    if not records:
        raise InputError("the message holds no record", next_step="send at least one")
    return records


def _judged(
    validator: EdgeValidator, records: Sequence[object], own: tuple[OwnDevice, str] | None = None
) -> tuple[dict[int, list[str]], bytes]:
    """Refused records by position with their reasons, and all records as lines of JSON.

    A key that no field claims is no reason here: as with a file, it is left out and reported in the receipt.
    """
    refused, lines = {}, []
    for position, record in enumerate(records):
        reasons = [reason for reason in validator.judge(record).reasons if not reason.endswith(_UNKNOWN)]
        try:
            line = orjson.dumps(record)
        except orjson.JSONEncodeError:  # more deeply nested than can be written
            reasons, line = [_TOO_DEEP], orjson.dumps(_TOO_DEEP)
        if own is not None and own[0].is_other(record, own[1]):
            reasons, line = [*reasons, own[0].reason], own[0].refused(line)
        if reasons:
            refused[position] = reasons
        lines.append(line)
    return refused, b"\n".join(lines)

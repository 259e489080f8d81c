"""The end of a stream, as far as this process has seen it.

RabbitMQ pushes a stream to its consumers and says nothing of its length, so where it ends is known by what comes: a
process follows the end of each stream that it uses, and writes a mark of its own when it has to know that it has seen
all that was there. Marks are no records. A stream is born with an id that every later message carries, so that one made
anew under an old name is another one.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from trunkline.brokers.rabbitmq.client import is_absent, is_locked, is_starting, library

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

__all__ = ["AT", "Tail", "is_record", "key_of", "offset_of"]

AT: Final = "trunkline-at"
"""Header: when a message was stored, microseconds since 1970."""

_KEY: Final = "trunkline-key"
_NAME: Final = "trunkline-name"
_ID: Final = "trunkline-id"
_END: Final = "trunkline-end"
_MARK: Final = "trunkline-mark"
_OFFSET: Final = "x-stream-offset"
_PREFETCH: Final = 1_000
_LOOK_S: Final = 0.1


def offset_of(message: "AbstractIncomingMessage") -> int:
    """Place of a message in its stream; the first is 1."""
    return int(str(message.headers[_OFFSET])) + 1


def key_of(message: "AbstractIncomingMessage") -> bytes | None:
    """The key under which a message was stored; None where it has none."""
    key = message.headers.get(_KEY)
    return None if key is None else _text(key).encode("latin-1")


def is_record(message: "AbstractIncomingMessage") -> bool:
    """Whether a message is no mark."""
    return _MARK not in message.headers


class Tail:
    """Follows a stream; for one event loop.

    Args:
        connection: Of the server.
        publishing: A channel with confirms.
        name: The stream's name.
        arguments: Of the stream, where it is made here.
        begin: ``last`` follows from the last chunk, ``first`` reads all that is kept.
        seen: Told of each record that comes.
    """

    def __init__(
        self,
        connection: "AbstractConnection",
        publishing: "AbstractChannel",
        *,
        name: str,
        arguments: Mapping[str, Any],
        begin: str = "last",
        seen: "Callable[[AbstractIncomingMessage], None] | None" = None,
    ) -> None:
        self.name = name
        self.id = ""
        self.end = 0
        self._connection = connection
        self._publishing = publishing
        self._arguments = {"x-queue-type": "stream", **arguments}
        self._begin = begin
        self._seen = seen
        self._awaited: dict[str, asyncio.Future[int]] = {}  # messages of ours that have not come back, by name
        self._channel: AbstractChannel | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the server sends nothing more here."""
        return self._channel is None or self._channel.is_closed

    async def attach(self, *, make: bool) -> bool:
        """Begin to follow; on return all is known that was stored before.

        Args:
            make: Whether the stream is made where it is not there.

        Returns:
            Whether there is such a stream.
        """
        if not await self._is_there():
            if not make:
                return False
            await self._make()
        self._channel = await self._follow(self._begin, self._arrived)
        await self.mark()
        if not self.id:  # nothing but marks of others that had not found out either: at the birth, or after a crash
            await self._scan()
            await self.mark()
        return True

    async def mark(self) -> None:
        """Wait until all that was stored before this call has been seen."""
        await self.publish(b"", {_MARK: 1, **({_END: self.end} if self.id else {})})

    async def publish(self, body: bytes, headers: Mapping[str, Any], *, key: bytes | None = None) -> int:
        """Store one message, and give its place once it has come back."""
        name = uuid.uuid4().hex
        awaited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[name] = awaited
        try:
            await self.store(body, {_NAME: name, **headers}, key=key)
            return await awaited
        finally:
            self._awaited.pop(name, None)

    async def store(self, body: bytes, headers: Mapping[str, Any], *, key: bytes | None = None) -> None:
        """Store one message; confirmed on return."""
        carried = {_ID: self.id, **headers} if self.id else dict(headers)
        if key is not None:
            carried[_KEY] = key.decode("latin-1")  # one sign for each byte: a header holds texts
        message = library().Message(body, headers=carried, delivery_mode=library().DeliveryMode.PERSISTENT)
        await self._publishing.default_exchange.publish(message, routing_key=self.name, mandatory=True)

    async def _make(self) -> None:
        """Make the stream, one connection at a time: two that ask at once break each other's (RabbitMQ 3.10)."""
        while True:
            channel = await self._connection.channel()
            try:
                lock = await channel.declare_queue(f"{self.name}.making", exclusive=True)
            except Exception as error:
                if not is_locked(error):
                    raise
                await asyncio.sleep(_LOOK_S)
                continue
            await channel.declare_queue(self.name, durable=True, arguments=self._arguments)
            await lock.delete()
            await channel.close()
            return

    async def _is_there(self) -> bool:
        while True:
            channel = await self._connection.channel()
            try:
                await channel.declare_queue(self.name, passive=True)
            except Exception as error:
                if is_absent(error):
                    return False
                if not is_starting(error):
                    raise
            else:
                await channel.close()
                return True
            await asyncio.sleep(_LOOK_S)  # until it is up, or who asked has waited long enough

    async def _follow(self, begin: str, arrived: "Callable[[AbstractIncomingMessage], None]") -> "AbstractChannel":
        async def came(message: "AbstractIncomingMessage") -> None:
            arrived(message)
            await message.ack()

        while True:
            channel: AbstractChannel = await self._connection.channel()
            await channel.set_qos(prefetch_count=_PREFETCH)
            queue = await channel.get_queue(self.name, ensure=False)
            try:
                await queue.consume(came, arguments={"x-stream-offset": begin})
            except Exception as error:
                if not is_starting(error):
                    raise
            else:
                return channel
            await asyncio.sleep(_LOOK_S)

    def _arrived(self, message: "AbstractIncomingMessage") -> None:
        headers = message.headers
        if _ID in headers:
            self.id = self.id or _text(headers[_ID])
            self.end = max(self.end, int(str(headers.get(_END, 0))))
        if is_record(message):
            self.end = max(self.end, offset_of(message))
            if self._seen is not None:
                self._seen(message)
        awaited = self._awaited.get(_text(headers.get(_NAME, "")))
        if awaited is not None and not awaited.done():
            awaited.set_result(offset_of(message))

    async def _scan(self) -> None:
        """Find the id, and the end, by reading the stream up to a mark of ours; the first message's name is the id."""
        first: list[str] = []
        name = uuid.uuid4().hex
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def came(message: "AbstractIncomingMessage") -> None:
            own = _text(message.headers.get(_NAME, ""))
            first.append(_text(message.headers.get(_ID, own))) if not first else None
            if is_record(message):
                self.end = max(self.end, offset_of(message))
            if own == name and not over.done():
                over.set_result(None)

        channel = await self._follow("first", came)
        await self.store(b"", {_NAME: name, _MARK: 1})
        await over
        await channel.close()
        self.id = self.id or first[0]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

"""The broker on RabbitMQ's streams.

A topic is a stream of one partition, made by its first message; publishing waits for the server's confirms, and for the
message to come back with its place. Places here are RabbitMQ's and one more, so that the first is 1. Where a group is
done stands in a small stream of the workspace, ``places``: each message has all places that its writer knows, and the
highest counts. RabbitMQ's own retention removes records, consumed or not.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trunkline.brokers.protocol import MAX_BYTES, Capabilities, Message, Record, Trimmed, refuse_malformed
from trunkline.brokers.rabbitmq.client import Loop, connected, explained, is_absent, is_ours, let_go, library
from trunkline.brokers.rabbitmq.tail import AT, Tail, is_record, key_of, offset_of
from trunkline.brokers.rabbitmq_address import rabbit_address
from trunkline.brokers.sealed_values import SealedValues
from trunkline.errors import InputError, UnavailableError, UnknownNameError
from trunkline.settings.brokers import BrokerSettings

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from trunkline.lake import Keyring

__all__ = ["RabbitBroker"]

_T = TypeVar("_T")
_PLACES: Final = ".places"  # no topic has such a name
_AT_ONCE: Final = 500
_ATTEMPTS: Final = 3
_TOPIC_ARGUMENTS: Final = {"x-max-age": "7D"}
_PLACES_ARGUMENTS: Final = {"x-max-length-bytes": 4_000_000, "x-stream-max-segment-size-bytes": 500_000}


class RabbitBroker:
    """A broker of one server or cluster; safe to share between threads.

    Args:
        settings: Where it is, how it is spoken to; ``url`` is set.
        keys: The keys of the workspace; None where nothing is encrypted.
        seals: Whether the values of new records are encrypted, bound to their topic.

    Raises:
        InputError: The URL or an option is wrong.
        MissingExtraError: The extra ``rabbitmq`` is not installed.
    """

    def __init__(self, settings: BrokerSettings, *, keys: "Keyring | None" = None, seals: bool = False) -> None:
        if settings.url is None:
            raise InputError("no broker is named", where="broker.url", next_step="say amqp://host")
        self._address = rabbit_address(settings.url.get_secret_value(), settings.options)
        library()
        self._prefix = settings.prefix
        self._timeout_s = settings.timeout_s
        self._values = SealedValues(keys, seals=seals, where=self._address.where, log_id=f"rabbitmq:{settings.prefix}")
        self._loop: Loop | None = Loop()
        self._connection: AbstractConnection | None = None
        self._publishing: AbstractChannel | None = None
        self._tails: dict[str, Tail] = {}
        self._places: dict[str, int] = {}
        self._lock = asyncio.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """One partition; batches may be stored in part; what survives is up to the replicas of the stream."""
        return Capabilities(
            partitions=1,
            quick_commit=False,
            survives_power_loss=False,
            whole_batches=False,
            trims=False,
            is_near=False,
        )

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        """Store messages; on return the server has confirmed them. See :class:`Broker`."""
        for topic, messages in batches.items():
            refuse_malformed(topic)
            if not all(isinstance(value, bytes) for value, _ in messages):
                raise TypeError("the value of a message is bytes")
        sealed = {
            topic: [Message(self._values.sealed(topic, value), key) for value, key in messages]
            for topic, messages in batches.items()
        }
        for topic in sealed:
            self._make(topic)
        return {topic: self._run(self._publish(topic, messages)) for topic, messages in sealed.items()}

    def partitions(self, topic: str) -> int:
        """One."""
        refuse_malformed(topic)
        return 1

    def read(
        self, topic: str, *, after: int, limit: int, max_bytes: int = MAX_BYTES, partition: int = 0
    ) -> Sequence[Record]:
        """Read records in order; see :class:`Broker`. What retention removed is left out."""
        _only(topic, partition)
        found = self._run(self._read(topic, after=after, limit=limit, max_bytes=max_bytes))
        return [record._replace(value=self._values.opened(topic, record.value)) for record in found]

    def end(self, topic: str, *, partition: int = 0) -> int:
        """Offset of the newest record that the server has sent; 0 when there is none."""
        _only(topic, partition)

        async def end() -> int:
            tail = await self._tail(topic)
            return 0 if tail is None else tail.end

        return self._run(end())

    def commit(self, topic: str, *, group: str, offset: int, partition: int = 0) -> None:
        """Note how far a group is; see :class:`Broker`. Retention waits for nobody, so 0 says nothing."""
        _only(topic, partition)
        if offset > 0:
            self._run(self._commit(topic, group, offset))

    def committed(self, topic: str, *, group: str, partition: int = 0) -> int:
        """Up to where a group is done; 0 when it never committed."""
        _only(topic, partition)
        return self._run(self._committed(topic, group))

    def source_id(self, topic: str, *, partition: int = 0) -> str:
        """Name the partition by the id that its stream was born with; see :class:`Broker`."""
        _only(topic, partition)

        async def named() -> str:
            tail = await self._tail(topic)
            return "" if tail is None else tail.id

        found = self._run(named())
        if not found:
            raise UnknownNameError("nobody wrote to this topic yet", where=f"topic {topic}")
        return f"rabbitmq:{found}:{partition}"

    def trim(self, *, now: datetime) -> Trimmed:  # noqa: ARG002 - RabbitMQ's own retention has its own clock
        """Nothing to do: RabbitMQ's own retention removes records."""
        return Trimmed(removed=0, bytes=0)

    def checkpoint(self) -> None:
        """Nothing to do: commits put nothing off."""

    def close(self) -> None:
        """Let go of everything; closing twice is allowed."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            loop.run(self._drop(), timeout_s=self._timeout_s)
        except Exception as error:
            if not is_ours(error):
                raise
        finally:
            loop.close()

    # On the loop

    async def _publish(self, topic: str, messages: Sequence[Message]) -> int:
        try:
            return await self._stored(await self._tail(topic, make=True), messages)
        except Exception as error:
            if not is_absent(error):
                raise
        self._tails.pop(f"{self._prefix}{topic}", None)  # the stream was removed since
        return await self._stored(await self._tail(topic, make=True), messages)

    async def _stored(self, tail: "Tail | None", messages: Sequence[Message]) -> int:
        if tail is None or not messages:
            return 0 if tail is None else tail.end
        headers = {AT: time.time_ns() // 1_000}
        for begin in range(0, len(messages) - 1, _AT_ONCE):
            some = messages[begin : min(begin + _AT_ONCE, len(messages) - 1)]
            await asyncio.gather(*(tail.store(value, headers, key=key) for value, key in some))
        value, key = messages[-1]
        return await tail.publish(value, headers, key=key)

    async def _read(self, topic: str, *, after: int, limit: int, max_bytes: int) -> list[Record]:
        tail = await self._tail(topic)
        if tail is None or tail.end <= after or limit <= 0:
            return []
        found: list[Record] = []
        end, size = tail.end, 0
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def came(message: "AbstractIncomingMessage") -> None:
            nonlocal size
            offset = offset_of(message)
            if over.done():
                return
            if is_record(message) and after < offset <= end:
                at_us = int(str(message.headers.get(AT, 0)))
                found.append(Record(offset, message.body, key_of(message), at_us))
                size += len(message.body)
            if offset >= end or len(found) >= limit or size >= max_bytes:
                over.set_result(None)
            await message.ack()

        channel = await (await self._connected()).channel()
        try:
            await channel.set_qos(prefetch_count=min(limit, _AT_ONCE))
            queue = await channel.get_queue(tail.name, ensure=False)
            await queue.consume(came, arguments={"x-stream-offset": after})
            await over
        finally:
            await channel.close()
        return found

    async def _commit(self, topic: str, group: str, offset: int) -> None:
        if await self._committed(topic, group) >= offset:
            return
        tail, places = await self._tail(topic), await self._tail(_PLACES, make=True)
        if tail is None or places is None:
            return
        self._places[f"{tail.id}|{group}"] = offset
        await places.publish(json.dumps(self._places).encode(), {})

    async def _committed(self, topic: str, group: str) -> int:
        tail = await self._tail(topic)
        if tail is None:
            return 0
        places = await self._tail(_PLACES, make=True)
        if places is not None and self._places:  # all of what others noted has come when ours has
            await places.publish(json.dumps(self._places).encode(), {})
        elif places is not None:
            await places.mark()
        return self._places.get(f"{tail.id}|{group}", 0)

    def _place_came(self, message: "AbstractIncomingMessage") -> None:
        for name, offset in json.loads(message.body).items():
            self._places[name] = max(offset, self._places.get(name, 0))

    async def _tail(self, topic: str, *, make: bool = False) -> Tail | None:
        """What follows a topic; None for one that nobody wrote to."""
        name = f"{self._prefix}{topic}"
        async with self._lock:
            connection = await self._connected()
            tail = self._tails.get(name)
            if tail is not None and not tail.is_closed:
                return tail
            assert self._publishing is not None
            is_places = topic == _PLACES
            tail = Tail(
                connection,
                self._publishing,
                name=name,
                arguments=_PLACES_ARGUMENTS if is_places else _TOPIC_ARGUMENTS,
                begin="first" if is_places else "last",
                seen=self._place_came if is_places else None,
            )
            if not await tail.attach(make=make):
                return None
            self._tails[name] = tail
            return tail

    async def _connected(self) -> "AbstractConnection":
        if self._connection is None or self._connection.is_closed:
            self._tails.clear()
            self._connection = await connected(self._address)
            self._publishing = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._tails.clear()
        if connection is not None:
            await let_go(connection)

    def _make(self, topic: str) -> None:
        """Make a topic's stream if need be; a server that two ask at once may close the connection of one."""
        for attempt in range(_ATTEMPTS):
            try:
                self._run(self._tail(topic, make=True))
            except UnavailableError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _run(self, work: "Coroutine[Any, Any, _T]") -> _T:
        loop = self._loop
        if loop is None:
            work.close()
            raise UnavailableError("the broker is closed", where=self._address.where, next_step="open it again")
        try:
            return loop.run(work, timeout_s=self._timeout_s)
        except Exception as error:
            if not is_ours(error):
                raise
            try:  # what came of it is not known: the next call begins anew
                loop.run(self._drop(), timeout_s=self._timeout_s)
            except Exception as second:
                if not is_ours(second):
                    raise
            raise explained(error, where=self._address.where) from error


def _only(topic: str, partition: int) -> None:
    refuse_malformed(topic)
    if partition != 0:
        raise InputError(f"a stream of RabbitMQ has no partition {partition}", where=topic, allowed=("0",))

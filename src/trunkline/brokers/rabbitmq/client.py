"""RabbitMQ's client: loaded when it is used, on an event loop in a thread of its own, its errors as ours.

The only module that imports ``aio_pika`` and what it stands on, ``aiormq``.
"""

import asyncio
import logging
import ssl
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.brokers.rabbitmq_address import RabbitAddress
from trunkline.errors import InputError, MissingExtraError, TrunklineError, UnavailableError

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection

__all__ = ["Loop", "connected", "explained", "is_absent", "is_locked", "is_ours", "is_starting", "let_go", "library"]

_T = TypeVar("_T")


class Loop:
    """An event loop in a thread; safe to share between threads."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="rabbitmq", daemon=True)
        self._thread.start()
        self._ready.wait()

    def run(self, work: Coroutine[Any, Any, _T], *, timeout_s: float) -> _T:
        """Do some work on the loop and wait for it.

        Raises:
            TimeoutError: It took longer.
        """
        done = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._loop)
        return done.result()

    def close(self) -> None:
        """End the thread; what still runs there is cancelled."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _serve(self) -> None:
        async def until_ended() -> None:
            self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._ending.wait()

        asyncio.run(until_ended())


async def connected(address: RabbitAddress) -> "AbstractConnection":
    """Connect.

    Raises:
        InputError: A certificate or a key cannot be used.
    """
    aio_pika = library()
    connection: AbstractConnection = aio_pika.Connection(
        aio_pika.connection.make_url(
            host=address.host,
            port=address.port,
            login=address.user,
            password=address.password,
            virtualhost=address.vhost,
            ssl=address.is_tls,
        ),
        ssl_context=_context(address) if address.is_tls else None,
        client_properties={"connection_name": "trunkline"},
    )
    try:
        await connection.connect()
    except BaseException:
        await let_go(connection)
        raise
    return connection


async def let_go(connection: "AbstractConnection") -> None:
    """Close a connection so that it counts as closed, whatever state it was in and whether or not this is cancelled.

    One that does not count as closed is closed again when it is collected: on an event loop of that thread, which it
    seldom has.
    """
    try:
        await connection.close()
    finally:
        await connection.close()  # its transport is gone by now, so that nothing is waited for


def library() -> Any:  # noqa: ANN401 - a module, loaded when it is used
    """Load ``aio_pika``.

    Raises:
        MissingExtraError: The extra ``rabbitmq`` is not installed.
    """
    try:
        import aio_pika
    except ImportError:
        raise MissingExtraError("aio_pika", extra="rabbitmq") from None
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised
    return aio_pika


def is_absent(error: BaseException) -> bool:
    """Whether an error says that there is no such queue."""
    from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError

    if isinstance(error, ChannelNotFoundEntity):
        return "no queue '" in str(error)  # else it is there, and not up: nobody may take it for empty
    return isinstance(error, DeliveryError)


def is_locked(error: BaseException) -> bool:
    """Whether an error says that another connection has a queue to itself."""
    from aiormq.exceptions import ChannelLockedResource

    return isinstance(error, ChannelLockedResource)


def is_starting(error: BaseException) -> bool:
    """Whether an error says that a queue is there, and its server is not up yet."""
    from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

    if isinstance(error, ChannelPreconditionFailed):
        return "replica on the local node" in str(error)
    return isinstance(error, ChannelNotFoundEntity) and not is_absent(error)


def is_ours(error: BaseException) -> bool:
    """Whether an error is one of the connection, the server, or of waiting for them."""
    from aiormq.exceptions import AMQPException

    if isinstance(error, RuntimeError):  # aiormq has no class for a connection that is closed while it is asked
        return str(error).endswith("closed")
    return isinstance(
        error, AMQPException | OSError | TimeoutError | asyncio.InvalidStateError | asyncio.CancelledError
    )


def explained(error: BaseException, *, where: str) -> TrunklineError:
    """Say what an error means; only its class is shown, its text may hold what nobody should read."""
    from aiormq.exceptions import (
        AuthenticationError,
        ChannelAccessRefused,
        ConnectionNotAllowed,
        ProbableAuthenticationError,
    )

    refused = AuthenticationError | ChannelAccessRefused | ConnectionNotAllowed | ProbableAuthenticationError
    if isinstance(error, refused | ssl.SSLError):
        return InputError(
            f"RabbitMQ refuses this client ({type(error).__name__})",
            where=where,
            next_step="see user, password and virtual host in broker.url, tls.* in broker.options, and their rights",
        )
    return UnavailableError(
        f"RabbitMQ did not do it ({type(error).__name__})",
        where=where,
        next_step="see that the server runs and can be reached, then try again",
    )


def _context(address: RabbitAddress) -> ssl.SSLContext:
    files = address.files
    try:
        context = ssl.create_default_context(cafile=files.get("tls.ca") or None)
        if "tls.certificate" in files:
            context.load_cert_chain(
                files["tls.certificate"], files.get("tls.key"), password=files.get("tls.key_password", "")
            )
    except (OSError, ValueError) as error:
        raise InputError(
            f"a certificate or its key cannot be used ({type(error).__name__})",
            where="broker.options",
            allowed=("files in PEM form",),
        ) from error
    return context

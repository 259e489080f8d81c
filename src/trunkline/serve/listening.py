"""Serve an application on a socket: uvicorn, set up for short answers."""

import errno
import socket
import sys
from collections.abc import Callable
from typing import Final

from fastapi import FastAPI

from trunkline.errors import BusyError, InputError
from trunkline.serve.access import refuse_open_binding
from trunkline.serve.tls import server_context
from trunkline.settings.serve import ServeSettings

__all__ = ["listen"]

_SWITCH_S: Final = 0.0005
_KEEP_ALIVE_S: Final = 30
_GRACE_S: Final = 20


def listen(app: FastAPI, *, settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Serve until the process is told to stop; what is under way then is finished first.

    Args:
        app: The application.
        settings: Where to listen.
        announce: Told the server's URL once the socket is bound.

    Raises:
        InputError: The address is not allowed, or cannot be bound.
        BusyError: Somebody else listens there.
    """
    import uvicorn

    from trunkline.serve.one_write import OneWriteProtocol

    refuse_open_binding(settings.host, keys=settings.api_keys)
    context = server_context(settings)
    bound = _bind(settings)
    # The flusher's few milliseconds of Python a second shall not hold up an answer for the default 5 ms at a time.
    sys.setswitchinterval(_SWITCH_S)
    config = uvicorn.Config(
        app,
        http=OneWriteProtocol,
        access_log=False,
        log_config=None,  # its records go where the command sends all others
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=int(settings.max_body_mb * (1 << 20)),
        ssl_context_factory=None if context is None else lambda _config, _default: context,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=settings.max_connections,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    announce(f"{'http' if context is None else 'https'}://{host}:{bound.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[bound])


def _bind(settings: ServeSettings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    try:
        family, *_rest, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"the address cannot be used: {error.strerror}", where=f"serve.host = {where}") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise BusyError(
                "somebody else listens there",
                holder="another process",
                where=where,
                next_step="stop it, or choose another port: trunkline serve --port 0 takes a free one",
            ) from error
        raise InputError(f"the address cannot be bound: {error.strerror}", where=where) from error
    return bound

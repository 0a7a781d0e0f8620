"""An ASGI application on a socket, for as long as a block takes: how the gateway and the adapters listen."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette

from pilotlight.errors import UsageError

# For answers that are still being sent when every prediction has ended.
LAST_ANSWERS_S = 5.0
# Longer than clients keep an idle connection, so that they never send on one that is being closed.
_KEEP_ALIVE_S = 75


class _Server(uvicorn.Server):
    """A uvicorn server without signal handlers: its caller decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, listener: socket.socket, *, grace_s: float = LAST_ANSWERS_S) -> AsyncIterator[None]:
    """Serve ``app`` while in this context: it answers on ``listener``, which is closed in the end.

    Leaving lets answers that are being sent end for up to ``grace_s``, at least a second.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # else uvicorn believes every process of this machine
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host``; port 0 takes a free one.

    Raises:
        UsageError: there is no such address, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--host {host!r}: {error.strerror}; give an address of this machine") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --host or --port"
        ) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine can reach the address."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """Return the URL of the socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

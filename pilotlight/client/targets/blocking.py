"""Reads the response of a blocking library, such as boto3, without blocking the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import Any

# The blocking library's response: iterable, with a ``close``.
Body = Any


async def lines_of(ask: Callable[[], Body]) -> AsyncGenerator[bytes, None]:
    """Yield an empty line when the response arrives, then the response's lines without line ends.

    A thread sends the request and reads. It is a daemon thread, so a program can exit without waiting for the target.
    Leaving the generator closes the response at once, or as soon as it arrives.

    Args:
        ask: returns botocore's event stream of a response.

    Raises: the exceptions of ``ask`` and of reading.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    answered: list[Body] = []
    left = threading.Event()

    def tell(item: bytes | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop has been closed, so there is no reader
            loop.call_soon_threadsafe(found.put_nowait, item)

    def read() -> None:
        try:
            answered.append(ask())
            if not left.is_set():
                tell(b"")
                for line in _lines(part["PayloadPart"]["Bytes"] for part in answered[0] if "PayloadPart" in part):
                    tell(line)
            tell(None)
        except Exception as error:  # noqa: BLE001 - it is raised again where the lines are read
            tell(error)
        finally:
            for body in answered:
                body.close()

    threading.Thread(target=read, name="pilotlight-answer", daemon=True).start()
    try:
        while (item := await found.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        left.set()
        for body in answered:
            _interrupt(body)


def _interrupt(body: Body) -> None:
    """Interrupt another thread's read. ``close`` would wait for that read, which may wait for the target."""
    # botocore has no method for this. If there is no socket to shut down, the thread ends with the next data.
    shutdown = getattr(getattr(body, "_raw_stream", None), "shutdown", None)
    if shutdown is not None:
        with suppress(ValueError, RuntimeError, OSError):  # the answer has ended
            shutdown()


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines from chunks that end anywhere."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole

"""Reads an answer of a blocking library, such as boto3, without blocking the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import Any

# The blocking library's answer: iterable, with a ``close``.
Body = Any


async def lines_of(ask: Callable[[], Body]) -> AsyncGenerator[bytes, None]:
    """An empty line as soon as there is an answer, then the answer's lines, without their ends.

    A thread of its own asks and reads. It is a daemon, as no program should have to wait for a target when it ends.
    Leaving the generator closes the answer: at once, or as soon as there is one.

    Args:
        ask: returns botocore's event stream of an answer.

    Raises: what ``ask`` and reading raise.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    answered: list[Body] = []
    left = threading.Event()

    def tell(item: bytes | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody listens
            loop.call_soon_threadsafe(found.put_nowait, item)

    def read() -> None:
        try:
            answered.append(ask())
            if not left.is_set():
                tell(b"")
                for line in _lines(part["PayloadPart"]["Bytes"] for part in answered[0] if "PayloadPart" in part):
                    tell(line)
            tell(None)
        except Exception as error:  # noqa: BLE001 - it is raised where the lines are read
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
    """Ends a read that another thread is in. A ``close`` would wait for it, and it for the target's next word."""
    # botocore has no way of its own to do this; without it the thread ends with the next thing that comes.
    shutdown = getattr(getattr(body, "_raw_stream", None), "shutdown", None)
    if shutdown is not None:
        with suppress(ValueError, RuntimeError, OSError):  # the answer has ended
            shutdown()


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines from parts that end anywhere."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole

"""Runs many predictions with bounded concurrency and returns their results in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from typing import Any

from pilotlight.client.results import Result
from pilotlight.errors import PilotlightError


async def in_order(
    run: Callable[[Mapping[str, Any]], Coroutine[Any, Any, Result]],
    inputs: Iterable[Mapping[str, Any]],
    *,
    concurrency: int,
    return_errors: bool,
) -> AsyncGenerator[Any, None]:
    """Implement ``AsyncClient.map``, calling ``run`` for each input."""
    waiting: list[asyncio.Task[Result]] = []
    source = iter(inputs)
    try:
        while True:
            while len(waiting) < max(1, concurrency) and (one := next(source, None)) is not None:
                waiting.append(asyncio.create_task(run(one)))
            if not waiting:
                return
            await asyncio.wait([waiting[0]])
            task = waiting.pop(0)
            error = task.exception()
            if isinstance(error, PilotlightError) and return_errors:
                yield error
            else:
                yield task.result()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

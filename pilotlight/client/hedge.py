"""Hedging: sends a prediction a second time when the first is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pilotlight.client.results import Result


async def hedged(
    run: Callable[[float | None], Coroutine[Any, Any, Result]],
    *,
    after_s: float,
    total_s: float | None,
    start_task: Callable[[Coroutine[Any, Any, Any]], object],
) -> Result:
    """Return the first result that succeeds; if neither does, raise the first one's error.

    Args:
        run: runs the prediction once with a limit in seconds; cancelling it cancels the prediction.
        after_s: seconds after which the prediction is sent again.
        total_s: limit in seconds for both together.
        start_task: starts a coroutine as a task that the caller need not wait for: the end of the slower prediction.
    """
    runs = [asyncio.create_task(run(total_s))]
    try:
        await asyncio.wait(runs, timeout=after_s)
        if not runs[0].done():
            runs.append(asyncio.create_task(run(None if total_s is None else max(0.0, total_s - after_s))))
        pending = set(runs)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if good := [one for one in done if one.exception() is None]:
                return good[0].result()
        return runs[0].result()  # raises
    finally:
        for one in runs:
            one.cancel()
        start_task(_settled(runs))


async def _settled(runs: list[asyncio.Task[Result]]) -> None:
    await asyncio.gather(*runs, return_exceptions=True)

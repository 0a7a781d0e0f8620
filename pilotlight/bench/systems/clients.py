"""Clients that stream from a server, one level after another; used for Cog servers and other servers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotlight.bench.load.play import Played, play
from pilotlight.bench.load.records import RequestRecord, columns
from pilotlight.bench.load.results import Requests
from pilotlight.bench.load.send import RequestMode, Sender
from pilotlight.bench.load.steps import closed_steps
from pilotlight.bench.load.summary import summarize_step
from pilotlight.bench.load.turns import SlotQueue
from pilotlight.bench.systems.system_under_test import Level, Load
from pilotlight.errors import WorkerError
from pilotlight.runtime.http.transport import Endpoint, Pool

__all__ = ["play_levels"]


async def play_levels(endpoint: Endpoint, way: RequestMode, load: Load) -> list[Level]:
    """Play every level of a load, after one request that warms the server up.

    Requests that the server refuses as busy wait in a queue in front of it, as on every platform that runs Cog.

    Raises:
        WorkerError: a request did not succeed, or gave a different number of tokens than requested.
    """
    pool = Pool(endpoint)
    try:
        await _warm_up(pool, way, load)
        levels = []
        for step in closed_steps(load.streams, duration_s=load.duration_s, requests=None):
            played = Played()
            sender = Sender(pool, way, turns=SlotQueue(), timeout_s=load.timeout_s)
            await play(step, sender.send, played, lambda _: None)
            requests = columns(played.records, played.began)
            _require_success(played.records, load)
            assert step.clients is not None, "this is a bug: clients were asked for"
            window_s = min(played.stopped - played.began, load.duration_s)
            levels.append(level_of(requests, streams=step.clients, window_s=window_s, tokens=load.tokens))
        return levels
    finally:
        pool.close()


def level_of(requests: Requests, *, streams: int, window_s: float, tokens: int) -> Level:
    """Return the figures of a level whose requests have all succeeded. Pure."""
    counted = requests.model_copy(update={"tokens": (tokens,) * len(requests)})
    summary = summarize_step(counted, window_s=window_s, open_loop=False, streamed=True, objectives=())
    assert summary.tokens_per_s is not None, "this is a bug: every request has its tokens"
    firsts = [times[0] for times in requests.output_s]
    waited = np.asarray(firsts) - np.asarray(requests.intended_s)
    return Level(streams, window_s, len(requests), summary.tokens_per_s, tuple(np.round(waited, 6).tolist()))


async def _warm_up(pool: Pool, way: RequestMode, load: Load) -> None:
    played = Played()
    sender = Sender(pool, way, turns=SlotQueue(), timeout_s=load.timeout_s)
    (once,) = closed_steps([1], duration_s=None, requests=1)
    await play(once, sender.send, played, lambda _: None)
    _require_success(played.records, load)


def _require_success(records: Sequence[RequestRecord], load: Load) -> None:
    for one in records:
        if one.outcome != "succeeded":
            raise WorkerError(f"a request {one.outcome.replace('_', ' ')}: {one.message}")
        if one.tokens not in (None, load.tokens):
            raise WorkerError(f"a request gave {one.tokens} tokens, but {load.tokens} were requested")
        if not one.outputs_at:
            raise WorkerError("a request gave no output")

"""The results of several ways to serve one model, measured in turn, as a file: raw values of every process. Format 1.

A way to serve, or a floor to compare with, is a ``project`` here whether or not it is one of Cog's: ``commands`` says
how the others were run.

History: 1, the first.
"""

from __future__ import annotations

from typing import Literal

from pilotlight.bench.cold.pagecache import Method
from pilotlight.bench.cold.results import ProcessResult
from pilotlight.bench.harness.documents import Strict
from pilotlight.bench.harness.series import Series

__all__ = ["ComparisonResult", "ComparisonSettings", "PageCache", "StartResult", "StreamsResult"]

PageCache = Literal["hot", "dropped"]


class ComparisonSettings(Strict):
    """What was asked for.

    Attributes:
        model: the folder's name.
        artifact: of it, that the fast path runs.
        rounds: in each of which everything is measured once.
        streams: how many clients at once, one level after the other on one worker.
        duration_s: during which the clients of a level send requests.
        tokens: of output that each request asks for, neither more nor less.
        seed: of the order.
        drop_method: how the page cache was dropped; ``None`` when that was not measured.
        timeout_s: for a process to be ready, and for each request.
    """

    model: str
    artifact: str | None
    rounds: int
    streams: tuple[int, ...]
    duration_s: float
    prompt: str
    tokens: int
    seed: int
    drop_method: Method | None
    timeout_s: float


class StartResult(ProcessResult):
    """One start, from the spawn to the first output. ``ready_s`` is ``None`` for what serves nobody."""

    page_cache: PageCache


class StreamsResult(Strict):
    """One level of load on one process; a client sends its next request when the last one has ended.

    Attributes:
        round: as of a start.
        window_s: the time during which requests were sent.
        requests: that succeeded.
        tokens_per_s: within the window, of all clients together.
        first_output_s: of each request, from when its client was free.
        message: what went wrong; without it all requests succeeded.
    """

    project: str
    round: int
    streams: int
    window_s: float
    requests: int
    tokens_per_s: float | None
    first_output_s: tuple[float, ...]
    load_1m: float
    message: str | None = None


class ComparisonResult(Series[StartResult]):
    """One run; ``processes`` are the starts."""

    format: Literal["pilotlight-comparison"] = "pilotlight-comparison"
    format_version: Literal[1] = 1
    settings: ComparisonSettings
    commands: dict[str, str]
    streams: tuple[StreamsResult, ...]

"""The result file of several systems that serve one model, measured in turn: raw values of every process. Format 1.

Each system, and each lower bound, is a ``project`` here even if it is not a Cog project; ``commands`` says how the
others were run.

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
    """The options of the run.

    Attributes:
        model: the name of the model folder.
        artifact: the artifact of the model that the fast path runs.
        rounds: the number of rounds; each measures everything once.
        streams: the numbers of concurrent clients, one level after another on one worker.
        duration_s: the seconds during which the clients of a level send requests.
        tokens: the exact number of output tokens of each request.
        seed: the seed of the order.
        drop_method: how the page cache was dropped; ``None`` if starts without it were not measured.
        timeout_s: the time limit for a process to be ready, and for each request.
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
    """One start, from the spawn to the first output. ``ready_s`` is ``None`` for a program without a server."""

    page_cache: PageCache


class StreamsResult(Strict):
    """One level of load on one process; a client sends its next request when the last one has ended.

    Attributes:
        round: the round, as of a start.
        window_s: the seconds during which requests were sent.
        requests: the number of successful requests.
        tokens_per_s: the tokens per second of all clients within the window.
        first_output_s: the seconds to the first output of each request, from when its client was free.
        message: the error message; without one all requests succeeded.
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

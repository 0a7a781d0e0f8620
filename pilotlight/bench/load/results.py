"""The result file of ``bench load``: a record of every request, and summaries. Format 1.

A result has one step for every level of load: a rate of arrivals (open loop) or a number of clients (closed loop).
Each step holds its raw values in ``requests`` and ``generator``; ``summary`` and ``audit`` are made from those alone.

History: 1, the first.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from pilotlight.bench.harness.documents import Document, Strict

__all__ = [
    "Audit",
    "Bucket",
    "Distribution",
    "Generator",
    "Goodput",
    "LoadResult",
    "LoadSettings",
    "LoadVerdict",
    "Quantile",
    "RequestFailure",
    "RequestOutcome",
    "Requests",
    "StepResult",
    "Summary",
]

# rejected: HTTP 409, 429 or 503. error: any other HTTP status, a broken connection, an answer that makes no sense.
# not_sent: too many were in flight. interrupted: the run was, before the answer came.
RequestOutcome = Literal["succeeded", "failed", "canceled", "rejected", "error", "timed_out", "not_sent", "interrupted"]
# keeps_up, overloaded: of an open loop. measured: of a closed loop, whose load adapts to the server.
LoadVerdict = Literal["keeps_up", "overloaded", "measured"]


class LoadSettings(Strict):
    """What was asked for.

    Attributes:
        url: of the server that was there already; ``None`` when a project was started.
        mode: how predictions are asked for: one answer, server-sent events, or a webhook.
        loop: open (arrivals come when they come) or closed (a client's next request waits for its last answer).
        arrivals: of an open loop.
        rates: arrivals per second, one for each step of an open loop; of a trace its own, after scaling.
        clients: one number for each step of a closed loop.
        trace: the file's name.
        trace_scale: how many times faster than recorded the trace was played.
        duration_s: during which a step sent requests; ``None`` when only ``requests`` ended it.
        requests: after how many a step ended, where that came before ``duration_s``.
        seed: of the arrivals.
        queue: whether what the server refused as busy (409) waited in a queue of ours, first come first served.
        max_in_flight: arrivals beyond it were not sent.
        warmup: predictions before the first step, not measured.
        timeout_s: after which a request was given up.
        objectives: as they were given: ``0.5s`` of response time, ``ttft:0.2s`` to the first output.
    """

    url: str | None
    mode: Literal["plain", "stream", "async"]
    loop: Literal["open", "closed"]
    arrivals: Literal["poisson", "constant", "trace"] | None
    rates: tuple[float, ...]
    clients: tuple[int, ...]
    trace: str | None
    trace_scale: float | None
    duration_s: float | None
    requests: int | None
    seed: int
    queue: bool
    max_in_flight: int
    warmup: int
    timeout_s: float
    objectives: tuple[str, ...]


class Requests(Strict):
    """The requests of a step in the order of their intended starts: columns of one length.

    Times are seconds since the step began, ``None`` where it did not come to that. Response time is
    ``done_s - intended_s``, service time ``done_s - sent_s``.

    Attributes:
        http_status: of the answer; ``None`` without one.
        intended_s: when it should have been sent; in a closed loop, when its client was free.
        started_s: when the generator turned to it: the difference is the generator's fault, what follows the server's.
        sent_s: when it was sent, the last time if it was refused and waited in our queue.
        done_s: when its answer was complete, or it was given up.
        refusals: how often it was refused as busy before it was taken.
        output_s: when each chunk of output came; empty unless streamed.
        outputs: how many outputs: chunks of a stream, items of a list, 1 for anything else.
        tokens: what the predictor says in the metric ``output_token_count``.
    """

    outcome: tuple[RequestOutcome, ...]
    http_status: tuple[int | None, ...]
    intended_s: tuple[float, ...]
    started_s: tuple[float | None, ...]
    sent_s: tuple[float | None, ...]
    done_s: tuple[float | None, ...]
    refusals: tuple[int, ...]
    output_s: tuple[tuple[float, ...], ...]
    outputs: tuple[int, ...]
    tokens: tuple[int | None, ...]

    @model_validator(mode="after")
    def _even(self) -> Self:
        if len({len(getattr(self, name)) for name in type(self).model_fields}) > 1:
            raise ValueError("the columns differ in length")
        return self

    def __len__(self) -> int:
        return len(self.outcome)


class RequestFailure(Strict):
    """A way in which requests did not succeed, and how often it was seen."""

    outcome: RequestOutcome
    message: str
    count: int


class Generator(Strict):
    """What the generator itself needed during a step.

    Attributes:
        wall_s: from the beginning of the step to the end of its last request.
        cpu_s: processor time of the generator's process.
        lags_s: how late its event loop was, each time it was looked at.
        steal_share: the share of the processors' time that the hypervisor gave to others; ``None`` where unknown.
    """

    wall_s: float
    cpu_s: float
    lags_s: tuple[float, ...]
    steal_share: float | None


class Quantile(Strict):
    """A quantile with its 95 % interval; without numbers where there are fewer than the ``needed`` values."""

    q: float
    value_s: float | None
    low_s: float | None
    high_s: float | None
    needed: int | None


class Bucket(Strict):
    """How many values, in whole microseconds, lie in ``low_s <= value < high_s``."""

    low_s: float
    high_s: float
    count: int


class Distribution(Strict):
    """Many durations.

    Attributes:
        n: how many; 0 leaves the rest empty.
        quantiles: p50, p90, p95, p99 and p99.9.
        histogram: the buckets that are not empty, ascending; each is less than 1 % or one microsecond wide.
    """

    n: int
    mean_s: float | None
    max_s: float | None
    quantiles: tuple[Quantile, ...]
    histogram: tuple[Bucket, ...]

    def quantile(self, q: float) -> Quantile:
        """One of ``quantiles``."""
        return next(one for one in self.quantiles if one.q == q)


class Goodput(Strict):
    """Requests that succeeded within an objective.

    Attributes:
        objective: as it was given.
        met: how many.
        share: of all arrivals, those included that were refused or never sent.
        per_s: within the window.
    """

    objective: str
    met: int
    share: float
    per_s: float


class Summary(Strict):
    """The figures of a step.

    Response and service times are those of requests that succeeded or timed out; the latter with the time after which
    they were given up, since without them a server looks faster the more it fails.

    Attributes:
        window_s: what rates refer to: the time during which requests were sent (open loop: the schedule's, closed
            loop: the time until the clients were told to stop). What came after it counts in no rate.
        counts: requests by outcome, without zeros.
        queued: how many were refused as busy and then waited in our queue.
        offered_per_s: arrivals per second that the schedule had; ``None`` for a closed loop.
        achieved_per_s: requests that succeeded within the window.
        first_output: from the intended start to the first chunk; ``None`` unless streamed. (``service_first_output``:
            from the send.)
        between_outputs: from chunk to chunk; ``None`` unless streamed.
        outputs_per_s: of requests that succeeded; of a stream, each chunk when it came.
        tokens_per_s: the same; ``None`` where the predictor does not count them.
    """

    window_s: float
    counts: dict[RequestOutcome, int]
    queued: int
    offered_per_s: float | None
    achieved_per_s: float
    response: Distribution
    service: Distribution
    first_output: Distribution | None
    service_first_output: Distribution | None
    between_outputs: Distribution | None
    outputs_per_s: float
    tokens_per_s: float | None
    goodput: tuple[Goodput, ...]


class Audit(Strict):
    """Whether the generator did what it should; ``None`` where a figure says nothing (as for a closed loop).

    Attributes:
        sent_share: requests sent per second over those that should have been.
        gap_cv: coefficient of variation of the gaps between actual starts.
        asked_gap_cv: of the distribution that was asked for: 1 for Poisson, 0 for constant, a trace's own.
        gap_autocorrelation: of neighboring gaps.
        asked_gap_autocorrelation: 0 for Poisson, a trace's own; ``None`` for constant.
        lateness_p99_s: of the actual start after the intended one.
        cpu_share: of one core.
        lag_p99_s: of the event loop.
        problems: why there can be no verdict; empty when there can.
    """

    sent_share: float | None
    gap_cv: float | None
    asked_gap_cv: float | None
    gap_autocorrelation: float | None
    asked_gap_autocorrelation: float | None
    lateness_p99_s: float | None
    cpu_share: float
    lag_p99_s: float | None
    problems: tuple[str, ...]


class StepResult(Strict):
    """One level of load.

    Attributes:
        rate: arrivals per second; ``None`` for a closed loop.
        clients: ``None`` for an open loop.
        complete: ``False`` when it was interrupted, or the server was lost.
        message: what went wrong with the server as a whole.
        failures: the most frequent ways in which requests did not succeed.
        verdict: ``None`` where the audit, or too little data, allows none: ``audit.problems`` says why.
    """

    rate: float | None
    clients: int | None
    complete: bool
    message: str | None = None
    failures: tuple[RequestFailure, ...] = ()
    requests: Requests
    generator: Generator
    summary: Summary
    audit: Audit
    verdict: LoadVerdict | None


class LoadResult(Document):
    """One run of ``bench load``; ``projects`` has one member, named by its URL where only that is known."""

    format: Literal["pilotlight-bench-load"] = "pilotlight-bench-load"
    format_version: Literal[1] = 1
    settings: LoadSettings
    steps: tuple[StepResult, ...]

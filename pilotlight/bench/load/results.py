"""The result file of ``bench load``: a record of every request, and summaries. Format 1.

A result has one step for every level of load: a rate of arrivals (open loop) or a number of clients (closed loop).
Each step holds its raw values in ``requests`` and ``generator``; ``summary`` and ``audit`` are computed from them.

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

# rejected: HTTP 409, 429 or 503. error: any other HTTP status, a broken connection, an invalid answer.
# not_sent: too many were in flight. interrupted: the run was interrupted before the answer came.
RequestOutcome = Literal["succeeded", "failed", "canceled", "rejected", "error", "timed_out", "not_sent", "interrupted"]
# keeps_up, overloaded: for an open loop. measured: for a closed loop, whose load adapts to the server.
LoadVerdict = Literal["keeps_up", "overloaded", "measured"]


class LoadSettings(Strict):
    """The options of the run.

    Attributes:
        url: the URL of a running server; ``None`` when a project was started.
        mode: how predictions are requested: one answer, server-sent events, or a webhook.
        loop: open (arrivals follow a schedule) or closed (a client's next request waits for its last answer).
        arrivals: the kind of arrivals of an open loop.
        rates: the arrivals per second, one for each step of an open loop; for a trace its own rate after scaling.
        clients: the number of clients for each step of a closed loop.
        trace: the name of the trace file.
        trace_scale: how many times faster than recorded the trace was played.
        duration_s: the time during which a step sent requests; ``None`` when only ``requests`` ended it.
        requests: the number of requests that ended a step, if reached before ``duration_s``.
        seed: the seed of the arrivals.
        queue: whether requests refused as busy (409) waited in the bench's own queue, first come first served.
        max_in_flight: the limit of requests in flight; arrivals beyond it were not sent.
        warmup: the unmeasured predictions before the first step.
        timeout_s: the time after which a request was given up.
        objectives: the given objectives: ``0.5s`` of response time, ``ttft:0.2s`` to the first output.
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

    Times are seconds since the step began, ``None`` if the request did not get that far. Response time is
    ``done_s - intended_s``, service time ``done_s - sent_s``.

    Attributes:
        http_status: the status of the answer; ``None`` without one.
        intended_s: when it should have been sent; in a closed loop, when its client was free.
        started_s: when the generator began it; the delay until then is the generator's, the time after it the server's.
        sent_s: when it was sent; the last attempt if it was refused and waited in the bench's queue.
        done_s: when its answer was complete, or it was given up.
        refusals: how often it was refused as busy before it was accepted.
        output_s: when each chunk of output came; empty unless streamed.
        outputs: the number of outputs: chunks of a stream, items of a list, 1 for anything else.
        tokens: the value of the predictor's metric ``output_token_count``.
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
    """A kind of failure of requests, and how often it occurred."""

    outcome: RequestOutcome
    message: str
    count: int


class Generator(Strict):
    """The generator's own resource use during a step.

    Attributes:
        wall_s: the time from the beginning of the step to the end of its last request.
        cpu_s: the processor time of the generator's process.
        lags_s: the event loop's lag at each measurement.
        steal_share: the share of the processors' time that the hypervisor gave to others; ``None`` if unknown.
    """

    wall_s: float
    cpu_s: float
    lags_s: tuple[float, ...]
    steal_share: float | None


class Quantile(Strict):
    """A quantile with its 95 % interval; without numbers if there are fewer than the ``needed`` values."""

    q: float
    value_s: float | None
    low_s: float | None
    high_s: float | None
    needed: int | None


class Bucket(Strict):
    """The number of values, in whole microseconds, with ``low_s <= value < high_s``."""

    low_s: float
    high_s: float
    count: int


class Distribution(Strict):
    """The distribution of many durations.

    Attributes:
        n: the number of values; if 0, the other fields are empty.
        quantiles: p50, p90, p95, p99 and p99.9.
        histogram: the buckets that are not empty, ascending; each is less than 1 % or one microsecond wide.
    """

    n: int
    mean_s: float | None
    max_s: float | None
    quantiles: tuple[Quantile, ...]
    histogram: tuple[Bucket, ...]

    def quantile(self, q: float) -> Quantile:
        """Return one of ``quantiles``."""
        return next(one for one in self.quantiles if one.q == q)


class Goodput(Strict):
    """Requests that succeeded within an objective.

    Attributes:
        objective: the given text.
        met: the number of requests that met it.
        share: the share of all arrivals, including those that were refused or never sent.
        per_s: the requests per second that met it within the window.
    """

    objective: str
    met: int
    share: float
    per_s: float


class Summary(Strict):
    """The figures of a step.

    Response and service times include requests that timed out, with the time after which they were given up, because
    otherwise a server would look faster the more it fails. Other failures are left out.

    Attributes:
        window_s: the time that rates refer to, during which requests were sent (open loop: the schedule's length,
            closed loop: the time until the clients were told to stop). Later events count in no rate.
        counts: the requests by outcome, without zeros.
        queued: the requests that were refused as busy and then waited in the bench's queue.
        offered_per_s: the scheduled arrivals per second; ``None`` for a closed loop.
        achieved_per_s: the requests per second that succeeded within the window.
        first_output: the time from the intended start to the first chunk; ``None`` unless streamed
            (``service_first_output``: from the send).
        between_outputs: the time from chunk to chunk; ``None`` unless streamed.
        outputs_per_s: the outputs of successful requests; for a stream, each chunk counts when it came.
        tokens_per_s: likewise for tokens; ``None`` if the predictor does not count them.
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
    """Whether the generator kept its schedule; a figure is ``None`` if it has no meaning (as for a closed loop).

    Attributes:
        sent_share: the requests sent per second over the intended number.
        gap_cv: the coefficient of variation of the gaps between actual starts.
        asked_gap_cv: the intended one: 1 for Poisson, 0 for constant, a trace's own.
        gap_autocorrelation: the autocorrelation of neighboring gaps.
        asked_gap_autocorrelation: the intended one: 0 for Poisson, a trace's own; ``None`` for constant.
        lateness_p99_s: p99 of the delay of the actual start after the intended one.
        cpu_share: the share of one core that the generator used.
        lag_p99_s: p99 of the event loop's lag.
        problems: the reasons why there is no verdict; empty if there is one.
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
        rate: the arrivals per second; ``None`` for a closed loop.
        clients: the number of clients; ``None`` for an open loop.
        complete: ``False`` if it was interrupted, or the server was lost.
        message: the error of the server as a whole.
        failures: the most frequent failures of requests.
        verdict: ``None`` if the audit or too little data prevents one; ``audit.problems`` gives the reasons.
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
    """One run of ``bench load``; ``projects`` has one entry, named by its URL if a URL was given."""

    format: Literal["pilotlight-bench-load"] = "pilotlight-bench-load"
    format_version: Literal[1] = 1
    settings: LoadSettings
    steps: tuple[StepResult, ...]

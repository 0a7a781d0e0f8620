"""Compute the steps of a load from the options. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.bench.load.arrivals import Schedule, constant, poisson, replay

__all__ = ["DEFAULT_MAX_IN_FLIGHT", "LoadStep", "closed_steps", "constant_steps", "poisson_steps", "trace_step"]

# The limit of connections; a server with more unanswered requests is overloaded anyway.
DEFAULT_MAX_IN_FLIGHT = 1024


@dataclass(frozen=True, slots=True)
class LoadStep:
    """One level of load: a schedule (open loop) or a number of clients (closed loop).

    Attributes:
        duration_s: the seconds during which requests are sent; ``None`` for clients that only ``requests`` stops.
        requests: the number of requests after which clients stop; ``None`` for a schedule, or without a limit.
        max_in_flight: the limit of requests in flight; arrivals beyond it are not sent.
        rate: the schedule's average arrivals per second; ``None`` for clients.
        schedule: the arrival times; ``None`` for clients.
        clients: the number of clients, each with one request at a time; ``None`` for a schedule.
    """

    duration_s: float | None
    requests: int | None = None
    max_in_flight: int = DEFAULT_MAX_IN_FLIGHT
    rate: float | None = None
    schedule: Schedule | None = None
    clients: int | None = None

    def __str__(self) -> str:
        if self.clients is not None:
            return f"{self.clients} client{'' if self.clients == 1 else 's'}"
        return f"{self.rate:.4g} requests/s"


def closed_steps(clients: Sequence[int], *, duration_s: float | None, requests: int | None) -> tuple[LoadStep, ...]:
    """Return a step for each number of clients."""
    return tuple(LoadStep(duration_s, requests, clients=number) for number in clients)


def poisson_steps(
    rates: Sequence[float], *, duration_s: float | None, requests: int | None, seed: int, max_in_flight: int
) -> tuple[LoadStep, ...]:
    """Return a step for each rate, each with its own random arrivals.

    Raises:
        UsageError: there are too few or too many arrivals.
    """
    schedules = [
        poisson(rate, duration_s=duration_s, requests=requests, seed=(seed, number))
        for number, rate in enumerate(rates)
    ]
    return tuple(
        _open_step(rate, schedule, duration_s, requests, max_in_flight)
        for rate, schedule in zip(rates, schedules, strict=True)
    )


def constant_steps(
    rates: Sequence[float], *, duration_s: float | None, requests: int | None, max_in_flight: int
) -> tuple[LoadStep, ...]:
    """Return a step of evenly spaced arrivals for each rate.

    Raises:
        UsageError: there are too many arrivals.
    """
    schedules = [constant(rate, duration_s=duration_s, requests=requests) for rate in rates]
    return tuple(
        _open_step(rate, schedule, duration_s, requests, max_in_flight)
        for rate, schedule in zip(rates, schedules, strict=True)
    )


def trace_step(
    trace: Schedule, *, scale: float, duration_s: float | None, requests: int | None, max_in_flight: int
) -> LoadStep:
    """Return a step of recorded arrivals, played ``scale`` times faster.

    Raises:
        UsageError: there are too many arrivals.
    """
    schedule = replay(trace, scale=scale, duration_s=duration_s, requests=requests)
    # A trace that ends before the duration is over one mean gap after its last arrival.
    ends_s = float(schedule[-1]) * schedule.size / max(schedule.size - 1, 1)
    cut = duration_s is not None and schedule.size < trace.size and schedule.size != requests
    span_s = duration_s if cut and duration_s is not None else max(ends_s, 1e-3)
    return LoadStep(span_s, max_in_flight=max_in_flight, rate=schedule.size / span_s, schedule=schedule)


def _open_step(
    rate: float, schedule: Schedule, duration_s: float | None, requests: int | None, max_in_flight: int
) -> LoadStep:
    by_count = duration_s is None or schedule.size == requests
    span_s = schedule.size / rate if by_count or duration_s is None else duration_s
    span_s = max(span_s, float(schedule[-1]))
    return LoadStep(span_s, max_in_flight=max_in_flight, rate=rate, schedule=schedule)

"""How many workers a version should have. Pure: a function of its workers and queue, its limits, and the time.

A worker is started when the predictions that wait or run need more workers, and stopped when it has been idle for long
enough and is not needed. A worker that runs a prediction is never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.config.serving import GatewaySettings
from pilotlight.errors import UsageError

_DEFAULT = GatewaySettings()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a version.

    Attributes:
        min_workers: never fewer, once the gateway runs; with 0 an idle version has none.
        max_workers: never more; with 0 predictions wait until there may be one.
        slots: predictions that one worker is given at once.
        idle_timeout_s: how long a worker without a prediction is kept above ``min_workers``.
        max_waiting: predictions that may wait for a slot; further ones are refused.
        hold_s: after a worker could not be started, how long before the next is tried.
        predict_timeout_s: how long a prediction may run; 0 for no limit. One that does not react to its cancel then
            takes its worker with it.

    Raises:
        UsageError: they contradict each other.
    """

    min_workers: int = _DEFAULT.min_workers
    max_workers: int = _DEFAULT.max_workers
    slots: int = 1
    idle_timeout_s: float = _DEFAULT.idle_timeout_s
    max_waiting: int = _DEFAULT.max_waiting
    hold_s: float = 60.0
    predict_timeout_s: float = _DEFAULT.predict_timeout_s

    def __post_init__(self) -> None:
        if not 0 <= self.min_workers <= self.max_workers:
            raise UsageError(
                f"a minimum of {self.min_workers} and a maximum of {self.max_workers} workers contradict each other; "
                "give a minimum of 0 or more, and a maximum that is not below it"
            )


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What the decision needs to know of one worker.

    Attributes:
        number: its number within the version.
        ready: whether it takes predictions.
        running: how many predictions it has.
        idle_since: when it last became ready, or its last prediction ended.
    """

    number: int
    ready: bool
    running: int
    idle_since: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        start: how many workers to start.
        stop: the workers to stop, by number.
        again_at: when to ask again even if nothing happens; ``None`` for never.
    """

    start: int
    stop: tuple[int, ...]
    again_at: float | None


def decide(
    limits: Limits,
    workers: Sequence[WorkerView],
    waiting: int,
    now: float,
    *,
    retry_at: float = 0.0,
    allotted: int | None = None,
) -> Decision:
    """Decide which workers to start and to stop, when ``waiting`` predictions have no slot yet.

    Args:
        limits: of the version.
        workers: all of the version, those that are starting included, those being stopped not.
        waiting: predictions without a slot.
        now: the time, by the clock of all other times here.
        retry_at: no worker is started before this time.
        allotted: how many workers there may be where several versions share theirs; idle ones beyond that are stopped
            at once. ``None`` for ``limits.max_workers``.
    """
    most = limits.max_workers if allotted is None else allotted
    wanted = min(most, desired(limits, workers, waiting))
    missing = max(0, wanted - len(workers))
    held = missing > 0 and now < retry_at
    surplus = max(0, len(workers) - wanted)
    # The one that has been idle for the longest goes first; those that are still starting stay and are judged then.
    idle = sorted((w for w in workers if w.ready and w.running == 0), key=lambda w: (w.idle_since, w.number))
    candidates = idle[:surplus]
    beyond = max(0, len(workers) - most)
    expired = [w for i, w in enumerate(candidates) if i < beyond or now >= w.idle_since + limits.idle_timeout_s]
    times = [w.idle_since + limits.idle_timeout_s for w in candidates[len(expired) :]]
    if held:
        times.append(retry_at)
    return Decision(0 if held else missing, tuple(w.number for w in expired), min(times, default=None))


def desired(limits: Limits, workers: Sequence[WorkerView], waiting: int) -> int:
    """Return how many workers the predictions need that wait or run, within the limits."""
    at_hand = waiting + sum(worker.running for worker in workers)
    return min(limits.max_workers, max(limits.min_workers, math.ceil(at_hand / limits.slots)))


def retry_after_s(limits: Limits, predict_s: float) -> int:
    """Return after how many seconds a refused caller may try again: when the first slot should be free."""
    return min(60, max(1, math.ceil(predict_s / (max(limits.max_workers, 1) * limits.slots))))

"""The common part of ``bench cold`` and ``bench warm``: workers of several projects started in turn, and results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from pilotlight.bench.harness.documents import Document, Outcome, Strict, require_same
from pilotlight.bench.harness.targets import SeriesStep

__all__ = ["Series", "SeriesProcess", "Taker", "merge_series", "take_turns", "with_info"]


class SeriesProcess(Strict):
    """One worker of a series.

    Attributes:
        round: the round, from 0; every project starts once in each round.
        measured: ``False`` for the first start, which fills caches and shows what a start reads.
        message: the error message.
        load_1m: the load when it was started.
        steal_share: the share of the processors' time that the hypervisor gave to others meanwhile.
    """

    project: str
    round: int
    measured: bool
    outcome: Outcome
    message: str | None = None
    load_1m: float
    steal_share: float | None = None


P = TypeVar("P", bound=SeriesProcess)


class Series(Document, Generic[P]):
    """One run, with its processes in the order of their starts."""

    settings: Strict
    processes: tuple[P, ...]

    def measured(self, project: str) -> list[P]:
        """Return a project's measured processes that succeeded, in order."""
        return [one for one in self.processes if one.project == project and one.measured and one.outcome == "succeeded"]

    def failures(self, project: str) -> list[P]:
        """Return a project's processes that failed."""
        return [one for one in self.processes if one.project == project and one.outcome != "succeeded"]


S = TypeVar("S", bound=Series[Any])


class Taker(Protocol[S]):
    """Takes one step after the other; ``result`` holds the results so far."""

    result: S

    async def take(self, step: SeriesStep) -> None: ...


async def take_turns(
    taker: Taker[S], steps: Iterable[SeriesStep], *, save: Callable[[S], None], announce: Callable[[SeriesStep], None]
) -> S:
    """Take the steps, except those of a project that has failed.

    Args:
        taker: the object that takes the steps.
        steps: the steps in order.
        save: called with the result so far, before the first step and after every one.
        announce: called before every step.
    """
    save(taker.result)
    for step in steps:
        if taker.result.failures(step.target.name):
            continue
        announce(step)
        await taker.take(step)
        save(taker.result)
    finished = taker.result.model_copy(update={"finished": True})
    save(finished)
    return finished


def with_info(result: S, name: str, **found: object) -> S:
    """Return the result with new information about a project."""
    projects = tuple(info.model_copy(update=found) if info.name == name else info for info in result.projects)
    return result.model_copy(update={"projects": projects})


def merge_series(first: S, second: S, count: str) -> S:
    """Return both runs as one: the processes of the second after those of the first. Pure.

    Args:
        first: one run.
        second: another run.
        count: the setting with the number of processes per project; the merged result has the sum.

    Raises:
        UsageError: they differ in machine, software or settings, or a project that is in both differs.
    """
    require_same("environment", *(one.environment.model_dump(exclude={"load_1m"}) for one in (first, second)))
    require_same("settings", *(one.settings.model_dump(exclude={count, "seed"}) for one in (first, second)))
    known = {info.name: info for info in first.projects}
    for info in second.projects:
        if info.name in known:
            require_same(f"project {info.name}", known[info.name].model_dump(), info.model_dump())
    rounds = 1 + max((one.round for one in first.processes), default=-1)
    later = [one.model_copy(update={"round": one.round + rounds}) for one in second.processes]
    total = getattr(first.settings, count) + getattr(second.settings, count)
    return first.model_copy(
        update={
            "finished": first.finished and second.finished,
            "settings": first.settings.model_copy(update={count: total}),
            "projects": (*first.projects, *(info for info in second.projects if info.name not in known)),
            "processes": (*first.processes, *later),
        }
    )

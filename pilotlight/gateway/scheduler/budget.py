"""How the versions of one deployment share the workers that it may have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Demand:
    """What one version needs.

    Attributes:
        needed: workers that its predictions need, its least number included.
        workers: workers that it has, those that are ending included.
        min_workers: its least number.
        waiting_since: when the prediction was created that has waited for a slot for longest; ``None`` without any.
    """

    needed: int
    workers: int
    min_workers: int = 0
    waiting_since: float | None = None


class Member(Protocol):
    """The workers of one version: ``Fleet``."""

    def demand(self) -> Demand: ...

    def rescale(self) -> None:
        """Have the number of workers decided again soon."""


class WorkerBudget:
    """The workers that several versions may have together.

    Args:
        max_workers: how many.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._members: list[Member] = []
        self._allotted: list[int] = []

    @property
    def max_workers(self) -> int:
        """How many workers all versions may have together."""
        return self._max_workers

    def resize(self, max_workers: int) -> None:
        """Apply another bound from now on."""
        if max_workers != self._max_workers:
            self._max_workers = max_workers
            self.changed()

    def join(self, member: Member) -> None:
        """Let a version have workers."""
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """Forget a version, whose workers have ended. Safe to call twice."""
        self._members = [one for one in self._members if one is not member]
        self.changed()

    def allotted(self, member: Member) -> int:
        """Return how many workers a version may have now; where that changes for others, they rescale."""
        demands = [one.demand() for one in self._members]
        allotted = allot(self._max_workers, demands)
        if allotted != self._allotted:
            self._allotted = allotted
            self.changed(besides=member)
        return allotted[self._members.index(member)]

    def room(self) -> int:
        """Return how many workers may be started now: those that are ending count until they have ended."""
        return max(0, self._max_workers - sum(one.demand().workers for one in self._members))

    def changed(self, besides: Member | None = None) -> None:
        """Have every version decide again how many workers it has."""
        for one in self._members:
            if one is not besides:
                one.rescale()


def allot(max_workers: int, demands: Sequence[Demand]) -> list[int]:
    """Return how many workers each version may have, at most ``max_workers`` together. Pure.

    In this order, as far as there are enough: one for each version where predictions wait, the longest wait first; the
    least numbers; what each has and needs, so that no worker in use is stopped where the other version has one; further
    needs, the largest first; what each has without need, so that idle workers stay until another version needs one.
    """
    left = max_workers
    allotted = [0] * len(demands)

    def grant(index: int, upto: int) -> None:
        nonlocal left
        more = min(left, max(0, upto - allotted[index]))
        allotted[index] += more
        left -= more

    waiting = [index for index, one in enumerate(demands) if one.waiting_since is not None]
    for index in sorted(waiting, key=lambda index: demands[index].waiting_since or 0.0):
        grant(index, 1)
    for index, one in enumerate(demands):
        grant(index, one.min_workers)
    for index, one in enumerate(demands):
        grant(index, min(one.workers, one.needed))
    while left and (lacking := [i for i, one in enumerate(demands) if one.needed > allotted[i]]):
        index = max(lacking, key=lambda index: demands[index].needed - allotted[index])
        grant(index, allotted[index] + 1)
    for index, one in enumerate(demands):
        grant(index, one.workers)
    return allotted


def split_minimum(min_workers: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Return how many of the workers that are always there each version gets, by its weight (largest remainder). Pure.

    Args:
        min_workers: how many there are.
        weights: weight by version; where remainders are equal, the first version comes first.
    """
    total = math.fsum(weights.values())
    exact = {version: min_workers * weight / total for version, weight in weights.items()}
    result = {version: math.floor(share) for version, share in exact.items()}
    by_remainder = sorted(exact, key=lambda version: result[version] - exact[version])
    for version in by_remainder[: min_workers - sum(result.values())]:
        result[version] += 1
    return result

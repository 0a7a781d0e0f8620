"""Plans the cache of an engine that starts on this machine, beside what the other workers have planned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from pilotlight.engines.memory.claims import Claims
from pilotlight.engines.memory.machine import free_memory_bytes
from pilotlight.engines.memory.plan import CachePlan

__all__ = ["Reservation", "log_plan", "reserve"]

log = logging.getLogger(__name__)


class Reservation:
    """A plan that the other workers know of, until ``release``.

    Args:
        plan: the plan.
        claim: the file that tells the others.
    """

    def __init__(self, plan: CachePlan, claim: Path | None) -> None:
        self.plan = plan
        self._claim = claim

    def release(self) -> None:
        """Tell the other workers that the memory is free again. Safe to call again."""
        claim, self._claim = self._claim, None
        Claims.remove(claim)


def reserve(
    plan: Callable[[int], CachePlan],
    *,
    mapped: Mapping[str, int] | None = None,
    claims: Claims | None = None,
    free_bytes: Callable[[], int] = free_memory_bytes,
) -> Reservation:
    """Plan in this machine's memory, log the plan, and tell the other workers of it.

    Args:
        plan: gives the plan for so many free bytes.
        mapped: files of weights that the plan counts and that stay mapped, with their bytes.
        claims: of the workers.
        free_bytes: what the machine has, without regard to other workers' plans.

    Raises:
        ConfigError: as ``plan_cache``.
    """
    claims, mapped = claims or Claims(), mapped or {}
    with claims.planning():
        made = plan(max(0, free_bytes() - claims.outstanding_bytes(mapped)))
        claim = claims.add(made.planned_bytes - sum(mapped.values()), mapped)
    log_plan(made)
    return Reservation(made, claim)


def log_plan(plan: CachePlan) -> None:
    """Log the plan, as a warning where the context is smaller than the model's."""
    log.log(logging.WARNING if plan.shortened else logging.INFO, "%s", plan.describe())

"""Warnings for any bench when the machine was not idle. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pilotlight.bench.harness.documents import Environment

__all__ = ["machine_warnings"]

# Above these limits the machine was busy with other work, and times are too long by an unknown amount.
_BUSY_LOAD_PER_CORE = 0.5
_BUSY_STEAL = 0.02


def machine_warnings(machine: Environment, steal_shares: Iterable[float | None]) -> list[str]:
    """Return warnings about a machine that was not idle; empty if it was.

    Args:
        machine: the machine before the first start.
        steal_shares: the share of the processors that the hypervisor took during each start.
    """
    found = []
    if machine.load_1m > _BUSY_LOAD_PER_CORE * machine.cores:
        found.append(
            f"the machine was busy before the first start (load {machine.load_1m:.1f} on {machine.cores} cores): "
            "times are too long; stop other programs"
        )
    steal = max((share or 0.0 for share in steal_shares), default=0.0)
    if steal > _BUSY_STEAL:
        found.append(
            f"the hypervisor gave up to {steal:.0%} of the processors to others during a start: repeat at another time"
        )
    return found

"""Judge and word evidence; shared by several rules."""

from __future__ import annotations

import re

from pilotlight.doctor.facts import Facts
from pilotlight.doctor.findings import Unclear
from pilotlight.doctor.observed import NotStarted, Observation

__all__ = ["DISTURBED", "no_predictions", "plain_error", "shown_bytes", "shown_s", "stood_still", "undisturbed_s"]

DISTURBED = "but other processes used the processors: repeat on a quiet machine"
# The loop counts as blocked when it did not run for this long (a busy machine delays it by tens of
# milliseconds) and for most of the time that predictions took.
_BLOCKED_S = 0.1
_BLOCKED_SHARE = 0.5


def undisturbed_s(facts: Facts, wall_s: float, waited_s: float | None) -> float:
    """Return the least seconds that a time would have taken if no other process had used the processors."""
    if waited_s is None:
        return 0.0 if facts.busy else wall_s
    return max(wall_s - waited_s, 0.0)


def no_predictions(facts: Facts) -> Unclear:
    """Return why there are no predictions to judge."""
    if facts.ran is None:
        return Unclear("needs a run")
    if isinstance(facts.ran, NotStarted):
        return Unclear(facts.ran.message if facts.ran.missing_module else "the project does not start")
    assert isinstance(facts.ran, Observation)
    return Unclear(facts.ran.unobserved.get("predictions", "too few predictions succeeded"))


def stood_still(ran: Observation) -> tuple[float, float]:
    """Return the total and the longest seconds that the event loop was blocked during predictions in sequence.

    Both are 0 if it was never blocked.
    """
    long = [(start, end) for start, end in ran.loop_blocked or () if end - start >= _BLOCKED_S]
    inside = [
        min(end, run.ended_s) - max(start, run.started_s)
        for start, end in long
        for run in ran.steady
        if end > run.started_s and start < run.ended_s
    ]
    if sum(inside) < _BLOCKED_SHARE * sum(run.wall_s for run in ran.steady):
        return 0.0, 0.0
    return sum(inside), max(inside, default=0.0)


def plain_error(error: str) -> str:
    """Return a prediction's error without the prefix that Cog adds once or twice."""
    return re.sub(r"^((?:Async )?[Pp]rediction failed: )*", "", error.strip())


def shown_s(seconds: float) -> str:
    """Return ``0.4 ms``, ``12 ms`` or ``1.30 s``."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def shown_bytes(size_bytes: int) -> str:
    """Return ``812 kB``, ``24.1 MB`` or ``1.2 GB``."""
    if size_bytes >= 10**9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 10**6 else f"{size_bytes / 1e3:.0f} kB"

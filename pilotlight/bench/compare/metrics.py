"""The metrics that two projects can be compared by, and how to read their values from a result. Pure."""

from __future__ import annotations

from enum import StrEnum

from pilotlight.bench.cold.results import ColdResult
from pilotlight.bench.warm.results import WarmResult

__all__ = ["CompareMetric", "Result", "values_of"]

Result = ColdResult | WarmResult


class CompareMetric(StrEnum):
    """A time in seconds, one for each process."""

    COLD = "cold"
    READY = "ready"
    FIRST_OUTPUT = "first-output"
    STEADY = "steady"

    @property
    def words(self) -> str:
        """Return a description of the metric."""
        return _WORDS[self]

    @property
    def where_missing(self) -> str:
        """Return why a project without failures has no value."""
        return _MISSING[self]


_WORDS = {
    CompareMetric.COLD: "cold start to the end of the first prediction",
    CompareMetric.READY: "start until ready",
    CompareMetric.FIRST_OUTPUT: "start until the first output",
    CompareMetric.STEADY: "prediction in the steady state",
}
_MISSING = {
    CompareMetric.COLD: "was not started",
    CompareMetric.READY: "was not started",
    CompareMetric.FIRST_OUTPUT: "gives no output",
    CompareMetric.STEADY: "reaches no steady state",
}


def values_of(metric: CompareMetric, result: Result, project: str) -> tuple[float, ...]:
    """Return one time for each measured process of a project that has it, in order."""
    if isinstance(result, WarmResult):
        return tuple(result.steady_times_s(project))
    field = {
        CompareMetric.COLD: "wall_s",
        CompareMetric.READY: "ready_s",
        CompareMetric.FIRST_OUTPUT: "first_output_s",
    }[metric]
    times_s = (getattr(process, field) for process in result.measured(project))
    return tuple(time_s for time_s in times_s if time_s is not None)

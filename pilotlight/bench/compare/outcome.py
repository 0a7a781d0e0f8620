"""Decide the outcome of a comparison from its result, and word it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pilotlight.bench.cold import summary as cold
from pilotlight.bench.compare.conditions import Condition
from pilotlight.bench.compare.metrics import CompareMetric, Result, values_of
from pilotlight.bench.harness.documents import ProjectInfo
from pilotlight.bench.stats.intervals import Comparison, Estimate, TooSmall, Verdict, compare, median_interval
from pilotlight.bench.stats.warmup import format_seconds
from pilotlight.bench.warm import summary as warm
from pilotlight.bench.warm.results import WarmResult

__all__ = ["CompareOutcome", "SideTimes", "judge"]


@dataclass(frozen=True, slots=True)
class SideTimes:
    """One side's times.

    Attributes:
        letter: ``A`` or ``B``.
        info: the project that was started.
        values_s: one time per process, in seconds; empty if no process has one.
        failures: the error messages.
    """

    letter: str
    info: ProjectInfo
    values_s: tuple[float, ...]
    failures: tuple[str, ...]

    @property
    def median_s(self) -> float | None:
        return median(self.values_s) if self.values_s else None

    @property
    def interval(self) -> Estimate | TooSmall:
        return median_interval(self.values_s)


@dataclass(frozen=True, slots=True)
class CompareOutcome:
    """The result of comparing B with A.

    Attributes:
        metric: the compared metric.
        a: the baseline.
        b: the candidate.
        comparison: the comparison of their times.
        conditions: the given conditions, each with whether it holds.
        warnings: warnings about the validity of the figures.
    """

    metric: CompareMetric
    a: SideTimes
    b: SideTimes
    comparison: Comparison
    conditions: tuple[tuple[Condition, bool], ...]
    warnings: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Return whether a condition holds, or a side has failed."""
        return bool(self.a.failures or self.b.failures) or any(holds for _, holds in self.conditions)

    @property
    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        ratio, verdict = self.comparison.ratio, self.comparison.verdict
        for side in (self.a, self.b):
            if not side.values_s:
                return f"Cannot tell: {side.letter} {'failed' if side.failures else self.metric.where_missing}."
        if isinstance(ratio, TooSmall):
            return f"Cannot tell: {ratio.n} processes per side are too few, each side needs {ratio.needed}."
        a_s, b_s = (format_seconds(side.median_s or 0.0) for side in (self.a, self.b))
        times = f"{ratio.value:.3f} times as long as A"
        interval = f"{ratio.confidence:.0%} interval {ratio.low:.3f} to {ratio.high:.3f}"
        medians = f"the medians are {a_s} (A) and {b_s} (B)"
        if verdict is Verdict.CANNOT_TELL:
            return f"Cannot tell: B takes {times}, but the {interval} includes 1; {medians}."
        return f"B is {verdict}: it takes {times} ({interval}); {medians}."

    def document(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        ratio = self.comparison.ratio
        shown = None
        if isinstance(ratio, Estimate):
            shown = {"value": ratio.value, "low": ratio.low, "high": ratio.high, "confidence": ratio.confidence}
        return {
            "metric": self.metric,
            "verdict": self.comparison.verdict,
            "sentence": self.sentence,
            "ratio": shown,
            "failed": self.failed,
            "fail_if": [{"condition": one.text, "holds": holds} for one, holds in self.conditions],
            "a": _side_document(self.a),
            "b": _side_document(self.b),
            "warnings": list(self.warnings),
        }


def judge(result: Result, metric: CompareMetric, conditions: Sequence[Condition]) -> CompareOutcome:
    """Return the verdict on a result whose first project is the baseline, and whose second is the candidate."""
    a, b = (_side(letter, info, result, metric) for letter, info in zip("AB", result.projects, strict=True))
    comparison = compare(a.values_s, b.values_s)
    return CompareOutcome(
        metric=metric,
        a=a,
        b=b,
        comparison=comparison,
        conditions=tuple((one, one.holds(comparison)) for one in conditions),
        warnings=tuple(warm.warnings(result) if isinstance(result, WarmResult) else cold.warnings(result)),
    )


def _side(letter: str, info: ProjectInfo, result: Result, metric: CompareMetric) -> SideTimes:
    failures = tuple(f"{one.outcome.replace('_', ' ')}: {one.message}" for one in result.failures(info.name))
    return SideTimes(letter, info, values_of(metric, result, info.name), failures)


def _side_document(side: SideTimes) -> dict[str, Any]:
    return {
        **side.info.model_dump(),
        "median_s": side.median_s,
        "values_s": list(side.values_s),
        "failures": list(side.failures),
    }

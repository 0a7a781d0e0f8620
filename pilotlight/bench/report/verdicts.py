"""Word the findings of the results as one short sentence each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from pilotlight.bench.cold.results import ColdResult
from pilotlight.bench.cold.summary import Against, walls_s
from pilotlight.bench.cold.summary import comparisons as cold_comparisons
from pilotlight.bench.load.render import level
from pilotlight.bench.load.results import LoadResult
from pilotlight.bench.stats.intervals import Estimate, TooSmall, Verdict, median_interval
from pilotlight.bench.stats.warmup import format_seconds
from pilotlight.bench.warm.results import WarmResult
from pilotlight.bench.warm.summary import comparisons as warm_comparisons

__all__ = ["Said", "between", "cold_verdicts", "exact_seconds", "load_verdicts", "warm_verdicts"]


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict.

    Attributes:
        text: a sentence without its full stop.
        grounds: the statistical evidence, for smaller print; may be empty.
    """

    text: str
    grounds: str = ""


def exact_seconds(seconds: float) -> str:
    """Format seconds to the millisecond, as for cold starts."""
    return f"{seconds:.3f} s"


def between(estimate: Estimate | TooSmall, shown: Callable[[float], str] = format_seconds) -> str:
    """Return the interval of seconds as text, or why there is none."""
    if isinstance(estimate, TooSmall):
        return f"no interval: {estimate}"
    return f"{estimate.confidence:.0%} interval {shown(estimate.low)} to {shown(estimate.high)}"


def cold_verdicts(result: ColdResult) -> list[Said]:
    """Compare each project with the first; if nothing can be compared, tell how long a start takes."""
    found = [_against(one, "starts", "to start") for one in cold_comparisons(result)]
    return found or [_cold(info.name, walls_s(result.measured(info.name))) for info in result.projects]


def warm_verdicts(result: WarmResult) -> list[Said]:
    """Compare each project's steady state with the first's; if nothing can be compared, describe the warm-up."""
    found = [_against(one, "predicts", "for a prediction", "In the steady state, ") for one in warm_comparisons(result)]
    return found or [_warm(info.name, result) for info in result.projects]


def load_verdicts(name: str, result: LoadResult) -> Said:
    """Return the highest throughput, or the load up to which the server kept up."""
    sound = [step for step in result.steps if step.verdict is not None]
    if not sound:
        return Said(f"{name}: no step of its load has a verdict; the reasons are below")
    if result.settings.loop == "open":
        kept = [step for step in sound if step.verdict == "keeps_up"]
        lost = [step for step in sound if step.verdict == "overloaded"]
        said = [f"keeps up with {level(max(kept, key=lambda step: step.rate or 0.0))}"] if kept else []
        said += [f"is overloaded at {level(min(lost, key=lambda step: step.rate or 0.0))}"] if lost else []
        return Said(f"{name} {' and '.join(said)}")
    best = max(sound, key=lambda step: step.summary.achieved_per_s)
    return Said(f"{name} serves up to {best.summary.achieved_per_s:.3g} requests per second, with {level(best)}")


def _cold(name: str, walls: Sequence[float]) -> Said:
    if not walls:
        return Said(f"No start of {name} succeeded")
    takes = f"{name} takes {exact_seconds(median(walls))} from the spawn to the end of its first prediction"
    return Said(takes, f"median of {len(walls)}; {between(median_interval(walls), exact_seconds)}")


def _warm(name: str, result: WarmResult) -> Said:
    warmup = result.warmup(name)
    if warmup is None:
        return Said(f"No process of {name} ran all of its predictions")
    return Said(f"{name}: {warmup.sentence.removesuffix('.')}")


def _against(one: Against, verb: str, purpose: str, when: str = "") -> Said:
    ratio = one.comparison.ratio
    if isinstance(ratio, TooSmall):
        few = f"{ratio.n} per side, {ratio.needed} needed"
        return Said(f"{when}{one.name} and {one.baseline} cannot be compared yet", f"too few processes: {few}")
    sure = f"{ratio.confidence:.0%} interval"
    match one.comparison.verdict:
        case Verdict.FASTER:
            value, low, high = _digits([1 / ratio.value, 1 / ratio.high, 1 / ratio.low])
            text = f"{when}{one.name} {verb} {value} times as fast as {one.baseline}"
        case Verdict.SLOWER:
            value, low, high = _digits([ratio.value, ratio.low, ratio.high])
            text = f"{when}{one.name} takes {value} times as long {purpose} as {one.baseline}"
        case Verdict.CANNOT_TELL:
            low, high = _digits([ratio.low, ratio.high])
            text = f"{when}{one.name} may {verb.removesuffix('s')} faster or slower than {one.baseline}: cannot tell"
            sure = f"between {low} and {high} times as long, {sure}"
            return Said(text, sure)
    return Said(text, f"{sure} {low} to {high}")


def _digits(values: Sequence[float]) -> list[str]:
    """Format with two decimals below 100, else with none."""
    return [f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in values]

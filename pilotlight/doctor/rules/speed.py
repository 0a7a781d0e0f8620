"""Rules about time: the first prediction, repeated work, the event loop, the cold start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from statistics import median

from pilotlight.doctor.facts import CallFact, Code, Facts
from pilotlight.doctor.findings import Fault, Fine, How, Outcome, Rule, Severity, Unclear
from pilotlight.doctor.observed import Observation, Start
from pilotlight.doctor.rules.evidence import DISTURBED, no_predictions, shown_s, stood_still, undisturbed_s
from pilotlight.doctor.vocabulary import BLOCKING, is_loader, is_weight, matches

__all__ = ["SPEED_RULES", "worth_a_second_start"]

# A slow first prediction is a fault when both hold in every start. Cog itself adds 0.12 s to the first one (measured),
# and three times that on a busy machine; a single delay below half a second is seldom noticed.
_SLOW_RATIO = 2.0
_SLOW_EXTRA_S = 0.5
# A file that is opened in each of this many predictions counts as opened in every one.
_LEAST_RUNS = 3
# The limit for a health check during predictions if it is quick otherwise: Cog gives up after 5 s.
_SLOW_HEALTH_S = 1.0


def worth_a_second_start(facts: Facts) -> bool:
    """Return whether the first start looks so slow that a second start has to confirm it."""
    if not isinstance(facts.ran, Observation) or not facts.ran.starts:
        return False
    start = facts.ran.starts[0]
    return _is_cold(start) or (start.cold_s is not None and start.cold_s > facts.budget_s)


def no_warm_up(facts: Facts) -> Outcome:
    """Judge the first predictions or, if only read, whether a prediction calls a model that ``setup()`` never calls."""
    if not isinstance(facts.ran, Observation):
        return _unwarmed(facts)
    starts = [start for start in facts.ran.starts if len(start.runs) > 1]
    if not starts:
        return no_predictions(facts)
    if starts[0].failed:
        return Unclear("the first predictions failed, see dishonest-health")
    firsts = [f"first {shown_s(one.runs[0].wall_s)}, then {shown_s(_steady_s(one))}" for one in starts]
    if not all(_is_cold(start) for start in starts):
        return Fine(firsts[-1])
    if not all(_is_cold(_undisturbed(facts, start)) for start in starts):
        return Unclear(f"{firsts[-1]}, {DISTURBED}")
    ratio = min(start.runs[0].wall_s / _steady_s(start) for start in starts)
    return Fault(
        evidence=(*(f"start {number}: {text}" for number, text in enumerate(firsts, 1)), f"{ratio:.1f} times as long"),
        change="Make one small prediction at the end of setup(), so that no caller waits for it.",
        code='self.predict(prompt="warm-up", max_tokens=1)  # last line of setup(), with your own inputs',
        severity=Severity.HIGH,
        how="ran",
    )


def _undisturbed(facts: Facts, start: Start) -> Start:
    """Return the start with the shortest time that its first prediction can have taken undisturbed."""
    first, *others = start.runs
    least_s = undisturbed_s(facts, first.wall_s, first.waited_s)
    return replace(start, runs=(replace(first, ended_s=first.started_s + least_s), *others))


def _is_cold(start: Start) -> bool:
    if len(start.runs) < 2:
        return False
    first_s, steady_s = start.runs[0].wall_s, _steady_s(start)
    return first_s >= _SLOW_RATIO * steady_s and first_s - steady_s >= _SLOW_EXTRA_S


def _steady_s(start: Start) -> float:
    return median(run.wall_s for run in start.runs[1:])


def _unwarmed(facts: Facts) -> Outcome:
    code = facts.read.code
    if code is None or not code.loaded:
        return Unclear("needs a run")
    in_setup = _uses(code, "setup")
    cold = {name: where for name, where in _uses(code, "predict").items() if name not in in_setup}
    rehearsed = any("warm" in call.name or call.name in ("self.predict", "self.run") for call in code.reached("setup"))
    if not cold or rehearsed:
        return Fine("setup() calls everything that predictions call")
    return Fault(
        evidence=tuple(f"{where}: {name} is called in a prediction, never in setup()" for name, where in cold.items()),
        change="Call it once in setup(), so that the first caller does not wait for one-time work.",
        code="self.model.generate(**self.tokenizer('warm-up', return_tensors='pt'), max_new_tokens=1)",
        severity=Severity.MEDIUM,
        how="read",
    )


def _uses(code: Code, phase: str) -> dict[str, str]:
    """Return the loaded attributes that are called or passed to a thread, with the first place of each."""
    found: dict[str, str] = {}
    for call in code.calls:
        # A tokenizer needs no warm-up, and moving a model is not a use of it.
        for name in (call.name, *call.sources.values()) if call.phase == phase else ():
            owner = name.removesuffix(".generate")
            if owner in code.loaded and not any(word in owner for word in ("tokenizer", "processor")):
                found.setdefault(name, call.where)
    return found


def loads_per_request(facts: Facts) -> Outcome:
    """Find weights opened in every prediction, or a loader that a prediction calls unconditionally."""
    code = facts.read.code
    called = [call for call in (code.reached("predict") if code else ()) if _loads(call) and not call.guarded]
    evidence = [f"{call.where}: {call.name} in a prediction" for call in called]
    opened = tuple(_opened_every_time(facts.ran)) if isinstance(facts.ran, Observation) else ()
    counted = len(facts.ran.steady) if isinstance(facts.ran, Observation) else 0
    evidence += [f"{_near(path)} was opened in each of {counted} predictions" for path in opened]
    if evidence:
        return Fault(
            evidence=tuple(evidence),
            change="Load it once in setup(), keep it on self, and use it in predict().",
            code="self.model = load(...)  # in setup(); in predict(): self.model(...)",
            severity=Severity.HIGH,
            how="ran" if opened else "read",
        )
    if isinstance(facts.ran, Observation) and len(facts.ran.steady) < _LEAST_RUNS:
        return no_predictions(facts)
    return Fine("predictions load nothing")


def _loads(call: CallFact) -> bool:
    opens = call.name == "open" and call.argument is not None and is_weight(PurePath(call.argument))
    return opens or is_loader(call.name)


def _opened_every_time(ran: Observation) -> Iterator[Path]:
    if len(ran.steady) < _LEAST_RUNS:
        return
    for path in sorted({one.path for one in ran.opened if is_weight(one.path)}):
        times = [one.at_s for one in ran.opened if one.path == path]
        if all(any(run.started_s <= at_s <= run.ended_s for at_s in times) for run in ran.steady):
            yield path


def _near(path: Path) -> str:
    return "/".join(path.parts[-2:])


def blocked_loop(facts: Facts) -> Outcome:
    """Find an event loop that is blocked during predictions, or a health check that is not answered then."""
    code = facts.read.code
    if code is None:
        return Unclear("the source cannot be read")
    suspects = [call for call in code.reached("predict") if call.on_loop and matches(call.name, BLOCKING)]
    places = tuple(f"{call.where}: {call.name} in an async def" for call in suspects)
    if not isinstance(facts.ran, Observation):
        return _blocking(facts, places, suspects, "read") if places else Fine("no async def has a known blocking call")
    if not facts.ran.steady:
        return no_predictions(facts)
    slow = _slow_health(facts.ran)
    total_s, longest_s = stood_still(facts.ran) if code.is_async else (0.0, 0.0)
    if not (slow or total_s):
        words = "the event loop was not blocked" if code.is_async else "predict() runs in its own thread"
        return Fine(f"{words}; health answered in {shown_s(max(facts.ran.health_busy_s, default=0.0))}")
    if not (slow or places) and not _blocked_for_sure(facts, facts.ran, total_s):
        return Unclear(f"the event loop was blocked for {shown_s(longest_s)}, {DISTURBED}")
    stops = f"the event loop was blocked for {shown_s(total_s)} in all during predictions, up to {shown_s(longest_s)}"
    blocked = (f"{stops} at a time",) if total_s else ()
    return _blocking(facts, (*blocked, *slow, *places), suspects, "ran")


def _blocked_for_sure(facts: Facts, ran: Observation, total_s: float) -> bool:
    """Return whether it was blocked for longer than its thread can have waited for a processor."""
    waited_s = sum(run.wall_s - undisturbed_s(facts, run.wall_s, run.waited_s) for run in ran.steady)
    return total_s > 2 * waited_s


def _slow_health(ran: Observation) -> tuple[str, ...]:
    busy, idle = ran.health_busy_s, ran.health_idle_s
    if not busy or not idle or median(busy) < _SLOW_HEALTH_S or median(idle) > _SLOW_HEALTH_S / 2:
        return ()
    return (f"health check answered in {shown_s(median(busy))} during predictions, {shown_s(median(idle))} otherwise",)


def _blocking(facts: Facts, evidence: tuple[str, ...], suspects: list[CallFact], how: How) -> Fault:
    shared = facts.read.max_concurrency > 1
    name = suspects[0].name if suspects else "self.model.generate"
    return Fault(
        evidence=evidence,
        change="Run the blocking call in a thread and await it, or use an asyncio library.",
        code="await asyncio.sleep(...)" if name == "time.sleep" else f"await asyncio.to_thread({name}, ...)",
        severity=Severity.HIGH if shared else Severity.MEDIUM,
        how=how,
    )


def slow_cold_start(facts: Facts) -> Outcome:
    """Judge the time from exec to the end of the first prediction, of the fastest start."""
    if not isinstance(facts.ran, Observation):
        return Unclear("needs a run")
    starts = [start for start in facts.ran.starts if start.cold_s is not None]
    if not starts:
        return no_predictions(facts)
    best = min(starts, key=lambda start: start.cold_s or 0.0)
    cold_s = best.cold_s or 0.0
    if cold_s <= facts.budget_s:
        return Fine(f"{shown_s(cold_s)} of {shown_s(facts.budget_s)}")
    if undisturbed_s(facts, cold_s, best.waited_s) <= facts.budget_s:
        return Unclear(f"{shown_s(cold_s)} of {shown_s(facts.budget_s)}, {DISTURBED}")
    runs = len(best.failed) + 1
    after = f", then {shown_s(cold_s - best.ready_s)} for {'the first prediction' if runs == 1 else 'predictions'}"
    return Fault(
        evidence=(
            f"{shown_s(cold_s)} from exec to the end of the first prediction, budget {shown_s(facts.budget_s)}",
            f"ready after {shown_s(best.ready_s)}{after}",
            f"the faster of {len(starts)} starts" if len(starts) > 1 else "one start",
        ),
        change="Find the stage that takes the time and shorten it: imports, weights or warm-up.",
        code="pilotlight bench cold PROJECT",
        severity=Severity.MEDIUM,
        how="ran",
    )


SPEED_RULES = (
    Rule(
        "no-warm-up",
        1,
        "No warm-up",
        "The first caller after every start waits for one-time work: kernels, caches, lazy loading.",
        no_warm_up,
    ),
    Rule(
        "loads-per-request",
        2,
        "Loads per request",
        "Every caller waits for a load that could happen once at startup.",
        loads_per_request,
    ),
    Rule(
        "blocked-event-loop",
        5,
        "A blocked event loop",
        "Meanwhile nothing else runs: other predictions, cancellations, the project's own async health check.",
        blocked_loop,
    ),
    Rule(
        "slow-cold-start",
        8,
        "Cold start over budget",
        "A caller who finds no warm worker waits this long, and the time is billed.",
        slow_cold_start,
    ),
)

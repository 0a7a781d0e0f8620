"""Rules about concurrent callers: batching, the number of slots, the number of replicas."""

from __future__ import annotations

import math
from statistics import median

from pilotlight.doctor.facts import Facts
from pilotlight.doctor.findings import Fault, Fine, Outcome, Rule, Severity, Unclear
from pilotlight.doctor.observed import Observation, Wave
from pilotlight.doctor.rules.evidence import DISTURBED, no_predictions, shown_s, stood_still, undisturbed_s

__all__ = ["CLIENTS", "LOAD_RULES", "QUICK_S", "wave_sizes"]

# "Throughput at 8 clients against 1": enough to show batching, few enough to measure quickly.
CLIENTS = 8
# Below this, a queue of 8 ends in less than a second: callers do not notice it, and batching would not gain anything.
QUICK_S = 0.1
# The least gain of several slots over one. A second processor alone brings 2; noise of a busy machine brings less.
_GAIN = 1.3
# Half of the slots may be there for bursts. But where a quarter of them does as much (to 10 %, the noise of a few
# dozen predictions), the others only share the same resources.
_QUARTER = 4
_SAME = 1.1
# The smallest number of waves of one size that agree or disagree.
_ROUNDS = 2


def wave_sizes(slots: int) -> tuple[int, ...]:
    """Return the numbers of concurrent clients to try, ascending: 8, a quarter of the slots, all of them."""
    if slots == 1:
        return (CLIENTS,)
    return tuple(sorted({max(slots // _QUARTER, 1), min(CLIENTS, slots), slots}))


def one_at_a_time(facts: Facts) -> Outcome:
    """Find a single slot with predictions long enough that callers notice a queue."""
    ran, slots = facts.ran, facts.read.max_concurrency
    if not isinstance(ran, Observation):
        return Unclear("needs a run")
    if not ran.steady:
        return no_predictions(facts)
    each_s = median(run.wall_s for run in ran.steady)
    if slots > 1:
        return Fine(f"{slots} slots; too-many-slots judges their gain")
    if each_s < QUICK_S:
        return Fine(f"predictions take {shown_s(each_s)}: a queue of {CLIENTS} ends in {shown_s(CLIENTS * each_s)}")
    lists = [name for name, value in ran.inputs.items() if isinstance(value, list)]
    if lists:
        return Fine(f"one request can hold several items: {', '.join(lists)} is a list")
    waves = [wave for wave in ran.waves if wave.clients == CLIENTS and not wave.failed]
    if waves:
        gain = max(wave.rate for wave in waves) * each_s
        if gain >= _GAIN:
            return Fine(f"{CLIENTS} clients get {gain:.1f} times the throughput of one")
        measured = [
            f"{CLIENTS} clients at once get {gain:.1f} times the throughput of one",
            f"the last of them waits {shown_s(min(wave.wall_s for wave in waves))} instead of {shown_s(each_s)}",
        ]
    else:
        measured = [f"one slot, {shown_s(each_s)} each: the last of {CLIENTS} waits {shown_s(CLIENTS * each_s)}"]
    return Fault(
        evidence=(*measured, "concurrency is 1"),
        change="Serve several at once: an async predict() that passes its work to a batcher, and slots for it.",
        code="@cog.concurrent(max=8)  # above: async def predict(...): return await self.batcher.submit(...)",
        severity=Severity.MEDIUM,
        how="ran",
    )


def too_many_slots(facts: Facts) -> Outcome:
    """Find slots that add nothing: all of them finish no more predictions per second than a quarter of them."""
    ran, slots = facts.ran, facts.read.max_concurrency
    if slots == 1:
        return Fine("one slot")
    if not isinstance(ran, Observation):
        return Unclear("needs a run")
    if not ran.steady:
        return no_predictions(facts)
    each_s = median(run.wall_s for run in ran.steady)
    if each_s < QUICK_S:
        return Fine(f"{slots} slots; predictions take {shown_s(each_s)}, so few slots are in use at a time")
    few = max(slots // _QUARTER, 1)
    all_waves, few_waves = _of(ran, slots), _of(ran, few)
    if len(all_waves) < _ROUNDS or len(few_waves) < _ROUNDS:
        return Unclear(ran.unobserved.get("waves", "too few waves of predictions succeeded"))
    most, fewer = max(wave.rate for wave in all_waves), max(wave.rate for wave in few_waves)
    words = f"{slots} at once {most:.1f}/s, {few} at once {fewer:.1f}/s"
    if most >= _SAME * fewer:
        return Fine(words)
    if facts.read.code is not None and facts.read.code.is_async and stood_still(ran)[0]:
        return Unclear("the event loop is blocked: fix that first")
    if facts.read.gpu and not facts.gpu_here:
        return Unclear(f"{words}, but without the GPU that cog.yaml requests")
    if _least_disturbed(facts, all_waves) >= _SAME * _least_disturbed(facts, few_waves):
        return Unclear(f"{words}, {DISTURBED}")
    return Fault(
        evidence=(words, f"best of {len(all_waves)} rounds each"),
        change=f"Offer only as many slots as add throughput, {few} here; other requests wait in the queue.",
        code=f"@cog.concurrent(max={few})  # or in cog.yaml: concurrency: {{max: {few}}}",
        severity=Severity.MEDIUM,
        how="ran",
    )


def _of(ran: Observation, clients: int) -> list[Wave]:
    return [wave for wave in ran.waves if wave.clients == clients and not wave.failed]


def _least_disturbed(facts: Facts, waves: list[Wave]) -> float:
    """Return the best rate if no other process had used the processors; infinite if that is unknown."""
    times_s = [undisturbed_s(facts, wave.wall_s, wave.waited_s) for wave in waves]
    rates = (wave.clients / time_s for wave, time_s in zip(waves, times_s, strict=True) if time_s)
    return max(rates) if all(times_s) else math.inf


def too_many_replicas(facts: Facts) -> Outcome:
    """Find more replicas that are always on than the expected rate needs at the measured throughput."""
    least = facts.read.min_replicas
    if least is None or least <= 1:
        return Fine("at most one replica is always on")
    if facts.rate is None:
        return Unclear(f"infera.yaml keeps {least} replicas on; give the expected requests per second with --rate")
    if not isinstance(facts.ran, Observation):
        return Unclear("needs a run")
    rates = [wave.rate for wave in facts.ran.waves if not wave.failed]
    rates += [1 / run.wall_s for run in facts.ran.steady]
    if not rates:
        return no_predictions(facts)
    needed = max(math.ceil(facts.rate / max(rates)), 1)
    words = f"one replica serves {max(rates):.1f}/s; the expected {facts.rate:g}/s need {needed}"
    if needed >= least:
        return Fine(words)
    if facts.read.gpu and not facts.gpu_here:
        return Unclear(f"{words}, but without the GPU that cog.yaml requests")
    return Fault(
        evidence=(f"infera.yaml: {least} replicas are always on", words),
        change="Keep on as many replicas as the expected rate needs; let the autoscaler add the rest.",
        code=f"min_replicas: {needed}  # infera.yaml",
        severity=Severity.MEDIUM,
        how="ran",
    )


LOAD_RULES = (
    Rule(
        "one-at-a-time",
        4,
        "No batching",
        "Callers wait in a queue although the device could serve several in nearly the same time.",
        one_at_a_time,
    ),
    Rule(
        "too-many-slots",
        10,
        "More slots than useful",
        "A worker accepts requests that only wait there, although another worker could serve them at once.",
        too_many_slots,
    ),
    Rule(
        "too-many-replicas",
        10,
        "More replicas than are needed",
        "Each replica that is always on is paid for around the clock.",
        too_many_replicas,
    ),
)

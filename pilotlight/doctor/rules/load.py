"""Rules about concurrent callers: batching, the number of slots, the number of replicas."""

from __future__ import annotations

import math
from statistics import median

from pilotlight.doctor.facts import Facts
from pilotlight.doctor.findings import Fault, Fine, Outcome, Rule, Severity, Unclear
from pilotlight.doctor.observed import Observation, Wave
from pilotlight.doctor.rules.evidence import DISTURBED, no_predictions, shown_s, stood_still, undisturbed_s

__all__ = ["CLIENTS", "LOAD_RULES", "QUICK_S", "wave_sizes"]

# "Throughput at 8 clients against 1": enough that batching shows, few enough to wait for.
CLIENTS = 8
# A queue of 8 is through in less than a second below this: nobody feels it, and a batch would not pay for its waiting.
QUICK_S = 0.1
# So much more must several slots bring than one. A second processor alone would bring 2, noise of a busy machine less.
_GAIN = 1.3
# Half of the slots may be there for bursts. But where a quarter of them does as much (to 10 %, the noise of a few
# dozen predictions), the others only share what there is.
_QUARTER = 4
_SAME = 1.1
# The smallest number of waves of one size that agree or disagree.
_ROUNDS = 2


def wave_sizes(slots: int) -> tuple[int, ...]:
    """How many clients to try at once, the fewest first: 8, a quarter of the slots, all of them."""
    if slots == 1:
        return (CLIENTS,)
    return tuple(sorted({max(slots // _QUARTER, 1), min(CLIENTS, slots), slots}))


def one_at_a_time(facts: Facts) -> Outcome:
    """One slot, and predictions long enough for a queue to be felt."""
    ran, slots = facts.ran, facts.read.max_concurrency
    if not isinstance(ran, Observation):
        return Unclear("only a run can tell")
    if not ran.steady:
        return no_predictions(facts)
    each_s = median(run.wall_s for run in ran.steady)
    if slots > 1:
        return Fine(f"{slots} slots; see too-many-slots for what they bring")
    if each_s < QUICK_S:
        return Fine(
            f"predictions take {shown_s(each_s)}: a queue of {CLIENTS} is through in {shown_s(CLIENTS * each_s)}"
        )
    lists = [name for name, value in ran.inputs.items() if isinstance(value, list)]
    if lists:
        return Fine(f"one request may hold several: {', '.join(lists)} is a list")
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
        change="Serve several at once: an async predict() that hands its work to a batcher, and slots for it.",
        code="@cog.concurrent(max=8)  # above: async def predict(...): return await self.batcher.submit(...)",
        severity=Severity.MEDIUM,
        how="ran",
    )


def too_many_slots(facts: Facts) -> Outcome:
    """All slots at once finish no more predictions a second than a quarter of them."""
    ran, slots = facts.ran, facts.read.max_concurrency
    if slots == 1:
        return Fine("one slot")
    if not isinstance(ran, Observation):
        return Unclear("only a run can tell")
    if not ran.steady:
        return no_predictions(facts)
    each_s = median(run.wall_s for run in ran.steady)
    if each_s < QUICK_S:
        return Fine(f"{slots} slots; predictions take {shown_s(each_s)}, so that few are ever taken")
    few = max(slots // _QUARTER, 1)
    all_waves, few_waves = _of(ran, slots), _of(ran, few)
    if len(all_waves) < _ROUNDS or len(few_waves) < _ROUNDS:
        return Unclear(ran.unobserved.get("waves", "too few waves of predictions succeeded"))
    most, fewer = max(wave.rate for wave in all_waves), max(wave.rate for wave in few_waves)
    words = f"{slots} at once {most:.1f}/s, {few} at once {fewer:.1f}/s"
    if most >= _SAME * fewer:
        return Fine(words)
    if facts.read.code is not None and facts.read.code.is_async and stood_still(ran)[0]:
        return Unclear("the event loop is blocked: mend that first")
    if facts.read.gpu and not facts.gpu_here:
        return Unclear(f"{words}, but without the GPU that cog.yaml asks for")
    if _least_disturbed(facts, all_waves) >= _SAME * _least_disturbed(facts, few_waves):
        return Unclear(f"{words}, {DISTURBED}")
    return Fault(
        evidence=(words, f"best of {len(all_waves)} rounds each"),
        change=f"Offer as many slots as bring something, {few} here; the others queue where a retry is cheap.",
        code=f"@cog.concurrent(max={few})  # or in cog.yaml: concurrency: {{max: {few}}}",
        severity=Severity.MEDIUM,
        how="ran",
    )


def _of(ran: Observation, clients: int) -> list[Wave]:
    return [wave for wave in ran.waves if wave.clients == clients and not wave.failed]


def _least_disturbed(facts: Facts, waves: list[Wave]) -> float:
    """The best rate if nothing else had wanted the processors; infinite where that cannot be known."""
    times_s = [undisturbed_s(facts, wave.wall_s, wave.waited_s) for wave in waves]
    rates = (wave.clients / time_s for wave, time_s in zip(waves, times_s, strict=True) if time_s)
    return max(rates) if all(times_s) else math.inf


def too_many_replicas(facts: Facts) -> Outcome:
    """More replicas are kept on than the expected rate needs, at the throughput that was measured."""
    least = facts.read.min_replicas
    if least is None or least <= 1:
        return Fine("no more than one replica is kept on")
    if facts.rate is None:
        return Unclear(f"infera.yaml keeps {least} replicas on; give --rate, the requests a second that you expect")
    if not isinstance(facts.ran, Observation):
        return Unclear("only a run can tell")
    rates = [wave.rate for wave in facts.ran.waves if not wave.failed]
    rates += [1 / run.wall_s for run in facts.ran.steady]
    if not rates:
        return no_predictions(facts)
    needed = max(math.ceil(facts.rate / max(rates)), 1)
    words = f"one replica does {max(rates):.1f}/s, expected {facts.rate:g}/s: {needed} needed"
    if needed >= least:
        return Fine(words)
    if facts.read.gpu and not facts.gpu_here:
        return Unclear(f"{words}, but without the GPU that cog.yaml asks for")
    return Fault(
        evidence=(f"infera.yaml: {least} replicas are always on", words),
        change="Keep on what the expected rate needs; let the scaler add the rest.",
        code=f"min_replicas: {needed}  # infera.yaml",
        severity=Severity.MEDIUM,
        how="ran",
    )


LOAD_RULES = (
    Rule(
        "one-at-a-time",
        4,
        "No batching",
        "Callers queue one behind the other while the device could serve several in nearly the same time.",
        one_at_a_time,
    ),
    Rule(
        "too-many-slots",
        10,
        "More slots than bring anything",
        "A worker takes requests that it can only make wait, which another worker could have served at once.",
        too_many_slots,
    ),
    Rule(
        "too-many-replicas",
        10,
        "More replicas than are needed",
        "Each one that is always on is paid for around the clock.",
        too_many_replicas,
    ),
)

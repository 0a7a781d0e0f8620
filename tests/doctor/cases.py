"""Facts for the tests of the rules: a project in which nothing is wrong, and parts to put in its place."""

from dataclasses import replace

from pilotlight.doctor.diagnose import RULES
from pilotlight.doctor.facts import CallFact, Code, Facts, FileFact, InputFact, Reading, Requirement
from pilotlight.doctor.observed import Attempt, Observation, Run, Start, Wave

__all__ = ["call", "check", "facts", "run", "runs", "series", "start", "waves"]

CODE = Code(
    where="predict.py:9",
    inputs=(InputFact("text", "predict.py:11", number=False, described=True, bounded=True),),
    records_metrics=True,
)
READING = Reading(
    requirements=(Requirement("requirements.txt:1", "numpy==2.4.6", pinned=True),),
    files=(FileFact("predict.py", 800),),
    code=CODE,
)


def run(wall_s, at_s=0.0, waited_s=0.001, **more):
    return Run(at_s, at_s + wall_s, waited_s=waited_s, metrics=("word_count",), **more)


def series(*walls_s, at_s=100.0, **more):
    """Predictions one after the other."""
    found = []
    for wall_s in walls_s:
        found.append(run(wall_s, at_s, **more))
        at_s += wall_s
    return tuple(found)


def start(*walls_s, ready_s=0.5, cold_s=None, **more):
    found = series(*walls_s)
    return Start(
        ready_s=ready_s, cold_s=cold_s or ready_s + (walls_s[0] if walls_s else 0), waited_s=0.01, runs=found, **more
    )


def runs(*walls_s, **more):
    """An observation with one start."""
    attempts = (Attempt("text", "''", "succeeded"),)
    return replace(Observation(inputs={"text": "a"}, starts=(start(*walls_s),), attempts=attempts), **more)


def waves(**walls_s):
    """Two waves of each size, such as ``c8=1.2``."""
    return tuple(Wave(int(size[1:]), wall_s, waited_s=0.001) for size, wall_s in walls_s.items() for _ in range(2))


def call(name, phase="predict", where="predict.py:20", keywords=None, **more):
    """A call whose keyword arguments are constants."""
    keywords = keywords or {}
    sources = {name: value if name == "target" else repr(value) for name, value in keywords.items()}
    return CallFact(where, name, phase, keywords=keywords, **{"sources": sources, **more})


def facts(ran=None, *, code=None, busy=False, gpu_here=False, budget_s=10.0, rate=None, **reading):
    """Facts that differ from the good ones in these."""
    read = replace(READING, code=replace(CODE, **(code or {})), **reading)
    return Facts(read, ran=ran, budget_s=budget_s, rate=rate, busy=busy, gpu_here=gpu_here)


def check(rule_id, given):
    """What one rule says."""
    return next(rule for rule in RULES if rule.id == rule_id).check(given)

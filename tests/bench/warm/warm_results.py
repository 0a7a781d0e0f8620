"""A result of ``bench warm``, made up."""

from datetime import UTC, datetime

import numpy as np

from pilotlight.bench.stats.synthetic import lognormal
from pilotlight.bench.warm.results import WarmProcess, WarmResult, WarmSettings
from tests.bench.cold.cold_results import ENVIRONMENT, info

SETTINGS = WarmSettings(
    processes=5, iterations=60, pause_s=0.01, seed=0, setup_timeout_s=300.0, predict_timeout_s=300.0
)


def times(*levels, seed=0):
    """Levels as (count, seconds), with 2 % of noise."""
    level_s = np.repeat([seconds for _, seconds in levels], [count for count, _ in levels])
    noise = lognormal(np.random.default_rng(seed), len(level_s), sigma=0.02)
    return tuple(float(time_s) for time_s in level_s * noise)


def process(project="plain", number=0, times_s=(), **changes):
    given = {"measured": True, "outcome": "succeeded", "ready_s": 1 + number / 8, "load_1m": 0.1, "steal_share": 0.0}
    return WarmProcess(project=project, round=number, times_s=times_s, **{**given, **changes})


def unmeasured(project="plain"):
    return process(project, measured=False, ready_s=2.0)


def failure(project, outcome, message, **changes):
    return process(project, **{"outcome": outcome, "message": message, "ready_s": None, **changes})


def many(project, *levels, count=5):
    return [process(project, number, times(*levels, seed=number)) for number in range(count)]


def result(*processes, projects=(), **changes):
    given = {"created_at": datetime(2026, 1, 2, tzinfo=UTC), "finished": True}
    given |= {"settings": SETTINGS, "environment": ENVIRONMENT}
    return WarmResult(projects=projects or (info(),), processes=processes, **{**given, **changes})

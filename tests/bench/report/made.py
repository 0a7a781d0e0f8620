"""Results of every kind, made up: two projects, one of them better at everything."""

import numpy as np

from pilotlight.bench.calibrate.figures import CalibrationFigure
from pilotlight.bench.calibrate.measure import Calibration
from pilotlight.bench.cold.results import ImportSeconds, Span, StageSeconds
from pilotlight.bench.cold.stages import Interval, waterfall
from pilotlight.bench.report.sources import ReportSources
from tests.bench.cold import cold_results
from tests.bench.load import load_results
from tests.bench.warm import warm_results

# What a name must not do to a page, a drawing or a terminal.
WICKED = '<script>alert(1)</script> & "$\\frac{1}{2}$" \N{SNOWMAN}\N{ROCKET} \x1b[31m'
# In which stages a second of a cold start is spent, as they lie in time.
SPANS = (
    ("spawn", 0.0, 0.06),
    ("interpreter", 0.06, 0.08),
    ("imports", 0.08, 0.70),
    ("weights", 0.45, 0.80),
    ("setup", 0.40, 0.94),
    ("compile", 0.80, 0.90),
    ("ready", 0.94, 0.95),
    ("first_prediction", 0.95, 1.0),
)
_IMPORTS = (("torch", 0.3), ("transformers", 0.2), ("cog", 0.05), ("predictor", 0.01))


def cold_start(project="plain", number=0, wall_s=4.0, spans=SPANS, **changes):
    placed = [Interval(stage, start * wall_s, end * wall_s) for stage, start, end in spans]
    times = waterfall(placed, wall_s)
    given = {
        "stages": tuple(
            StageSeconds(stage=one.stage, charged_s=one.charged_s, overlapped_s=one.overlapped_s) for one in times
        ),
        "spans": tuple(Span(stage=one.stage, start_s=one.start_s, end_s=one.end_s) for one in placed),
        "imports": tuple(
            ImportSeconds(package=package, self_s=share * wall_s, modules=10) for package, share in _IMPORTS
        ),
    }
    return cold_results.start(project, number, wall_s, **{**given, **changes})


def cold(walls=(("plain", 4.0), ("ours", 0.9)), runs=8, processes=None, **changes):
    """Starts that differ by some percent."""
    starts = (
        processes
        if processes is not None
        else [cold_start(name, number, wall_s * (1 + number / 100)) for number in range(runs) for name, wall_s in walls]
    )
    given = {"projects": tuple(cold_results.info(name) for name, _ in walls)}
    return cold_results.result(*starts, **{**given, **changes})


def warm(names=("plain", "ours"), count=5, processes=None, **changes):
    """The first one warms up in 25 predictions, the others are flat."""
    first, *others = names
    made = warm_results.many(first, (1, 0.4), (24, 0.11), (95, 0.05), count=count)
    for name in others:
        made += warm_results.many(name, (120, 0.012), count=count)
    given = {"projects": tuple(cold_results.info(name) for name in names)}
    return warm_results.result(*(made if processes is None else processes), **{**given, **changes})


def closed_load(name="plain", clients=(1, 2, 4, 8), slots=1, objective="250ms", **changes):
    """A server that takes 50 ms, with some slots and one queue, under clients that never pause."""
    steps = [
        load_results.step(_answered(number, slots), None, objective, clients=number, **changes) for number in clients
    ]
    settings = {"loop": "closed", "arrivals": None, "rates": (), "clients": clients, "objectives": (objective,)}
    return load_results.result(*steps, settings=settings, projects=(cold_results.info(name),))


def open_load(name="plain", rates=(4.0, 16.0, 30.0), objective="250ms"):
    """The same with one slot, under Poisson arrivals: it can serve 20 a second."""
    steps = []
    for rate in rates:
        rng = np.random.default_rng(5)
        intended = np.cumsum(rng.exponential(1 / rate, int(rate * 20))).tolist()
        free, sent, took = 0.0, [], []
        for start in intended:
            sent.append(max(start, free))
            free = sent[-1] + 0.05 * rng.lognormal(0, 0.15)
            took.append(free - start)
        rows = load_results.requests(intended, took, sent_s=tuple(sent))
        steps.append(load_results.step(rows, "poisson", objective, window_s=20.0, rate=rate))
    settings = {"rates": rates, "objectives": (objective,)}
    return load_results.result(*steps, settings=settings, projects=(cold_results.info(name),))


def calibration(**changes):
    false = CalibrationFigure("A/A false positives, lognormal", 0.05, "share", 0.0, 0.06, 6000)
    held = CalibrationFigure("coverage, median, lognormal", 0.95, "share", 0.93, 0.97, 6000)
    timer = CalibrationFigure("timer resolution", 5e-8, "s", 0.0, 1e-5, 19999)
    return Calibration(**{"runs": 500, "seed": 0, "figures": (false, held, timer), **changes})


def sources(cold=None, warm=None, loads=None, calibration=None):
    return ReportSources(cold=cold, warm=warm, loads=loads or {}, calibration=calibration)


def everything():
    loads = {
        "plain": closed_load(clients=(1, 4)),
        "ours": closed_load("ours", (1, 4, 16), slots=8),
        "open": open_load(),
    }
    return sources(cold(), warm(), loads, calibration())


def _answered(clients, slots, duration_s=10.0):
    rng = np.random.default_rng(3)
    ready, free = np.zeros(clients), np.zeros(slots)
    starts, took = [], []
    while ready.min() < duration_s:
        client, slot = int(ready.argmin()), int(free.argmin())
        start = float(ready[client])
        free[slot] = ready[client] = max(start, free[slot]) + 0.05 * rng.lognormal(0, 0.15)
        starts.append(start)
        took.append(float(free[slot]) - start)
    return load_results.requests(starts, took)

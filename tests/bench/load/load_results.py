"""Requests of a load, made up."""

from pilotlight.bench.load.audit import audit_step, judge
from pilotlight.bench.load.objectives import parse_objective
from pilotlight.bench.load.results import Generator, LoadResult, LoadSettings, Requests, StepResult
from pilotlight.bench.load.summary import summarize_step
from tests.bench.cold.cold_results import ENVIRONMENT, info

IDLE = Generator(wall_s=10.0, cpu_s=1.0, lags_s=(0.001,) * 100, steal_share=0.0)
SETTINGS = LoadSettings(
    url=None,
    mode="plain",
    loop="open",
    arrivals="poisson",
    rates=(10.0,),
    clients=(),
    trace=None,
    trace_scale=None,
    duration_s=10.0,
    requests=None,
    seed=0,
    queue=True,
    max_in_flight=1024,
    warmup=3,
    timeout_s=300.0,
    objectives=(),
)


def requests(intended_s, service_s=0.1, late_s=0.0, **changes):
    """All of them succeed, ``service_s`` after they were sent, which is ``late_s`` after they should have been."""
    n = len(intended_s)
    service, late = ([one] * n if isinstance(one, float) else list(one) for one in (service_s, late_s))
    started = [time + delay for time, delay in zip(intended_s, late, strict=True)]
    given = {
        "outcome": ("succeeded",) * n,
        "http_status": (200,) * n,
        "intended_s": tuple(intended_s),
        "started_s": tuple(started),
        "sent_s": tuple(started),
        "done_s": tuple(time + took for time, took in zip(started, service, strict=True)),
        "refusals": (0,) * n,
        "output_s": ((),) * n,
        "outputs": (1,) * n,
        "tokens": (None,) * n,
    }
    return Requests(**{**given, **changes})


def summary(rows, window_s=10.0, *objectives, open_loop=True, streamed=False):
    found = tuple(map(parse_objective, objectives))
    return summarize_step(rows, window_s=window_s, open_loop=open_loop, streamed=streamed, objectives=found)


def step(rows, arrivals="poisson", *objectives, generator=IDLE, complete=True, window_s=10.0, **changes):
    open_loop = arrivals is not None
    figures = summary(rows, window_s, *objectives, open_loop=open_loop, streamed=any(rows.output_s))
    audit = audit_step(rows, generator, figures, arrivals)
    given = {
        "rate": len(rows) / window_s if open_loop else None,
        "clients": None if open_loop else 4,
        "complete": complete,
        "verdict": judge(rows, figures, audit, complete=complete),
    }
    return StepResult(requests=rows, generator=generator, summary=figures, audit=audit, **{**given, **changes})


def result(*steps, settings=None, **changes):
    given = {"created_at": "2026-01-02T00:00:00Z", "finished": True, "environment": ENVIRONMENT, "projects": (info(),)}
    return LoadResult(settings=SETTINGS.model_copy(update=settings or {}), steps=steps, **{**given, **changes})

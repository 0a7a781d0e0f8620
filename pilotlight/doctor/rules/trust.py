"""Rules about reliability: health checks, input validation, metrics, and whether the project starts."""

from __future__ import annotations

from pilotlight.doctor.facts import Code, Facts
from pilotlight.doctor.findings import Fault, Fine, Outcome, Rule, Severity, Unclear
from pilotlight.doctor.observed import Observation, Run
from pilotlight.doctor.rules.evidence import plain_error, shown_s
from pilotlight.doctor.vocabulary import matches

__all__ = ["TRUST_RULES"]

_BACKGROUND = (
    "threading.Thread",
    "multiprocessing.Process",
    "subprocess.Popen",
    "asyncio.create_task",
    "asyncio.ensure_future",
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.ProcessPoolExecutor",
)


def does_not_start(facts: Facts) -> Outcome:
    """Find a project that does not start: ``setup()`` raises or hangs, or the predictor cannot be imported."""
    if facts.ran is None:
        return Unclear("needs a run")
    if isinstance(facts.ran, Observation):
        return Fine(f"ready after {shown_s(facts.ran.starts[0].ready_s)}" if facts.ran.starts else "the project starts")
    if facts.ran.missing_module:
        return Unclear(f"{facts.ran.message}; install the project's requirements there, or give another --python")
    last = tuple(line for line in facts.ran.logs.strip().splitlines()[-3:] if line.strip())
    return Fault(
        evidence=(facts.ran.message, *last),
        change="Run one prediction and fix the error that it prints.",
        code="pilotlight predict --project PROJECT",
        severity=Severity.HIGH,
        how="ran",
    )


def dishonest_health(facts: Facts) -> Outcome:
    """Find READY before predictions succeed, unhealthy while they do, or a health check that checks nothing."""
    code = facts.read.code
    if isinstance(facts.ran, Observation):
        outcome = _health_ran(facts.ran, code)
        if outcome is not None:
            return outcome
    if code is None:
        return Unclear("the source cannot be read")
    if code.healthcheck == "constant":
        return _no_check(f"{code.healthcheck_where}: it always returns the same constant", Severity.MEDIUM)
    background = [call for call in code.reached("setup") if matches(call.name, _BACKGROUND)]
    if code.healthcheck == "none" and background:
        first = background[0]
        return _no_check(
            f"{first.where}: {first.name} in setup() can die, with no healthcheck() for it", Severity.MEDIUM
        )
    if code.healthcheck == "none" and facts.read.gpu:
        return _no_check("cog.yaml requests a GPU, which can fail, and no healthcheck() checks it", Severity.LOW)
    words = (
        "the predictor has its own healthcheck()"
        if code.healthcheck == "checks"
        else "Cog's own is enough: nothing runs beside predict()"
    )
    return Fine(words)


def _health_ran(ran: Observation, code: Code | None) -> Outcome | None:
    start = ran.starts[0] if ran.starts else None
    if start is not None and start.failed and (start.runs or not ran.made_up):
        errors = start.failed
        lasted = f"for {shown_s(start.late_s)}" if start.runs else "and none succeeded"
        background = [call for call in (code.reached("setup") if code else ()) if matches(call.name, _BACKGROUND)]
        return Fault(
            evidence=(
                f"READY after {shown_s(start.ready_s)}, but predictions failed {lasted} ({len(errors)} of them)",
                f"the first error: {plain_error(errors[0].error or '')}",
                *(f"{call.where}: {call.name} in setup()" for call in background[:1]),
            ),
            change="Let setup() return only when a prediction can succeed: wait for the load and make a prediction.",
            code="self.loading.join(); self.predict(prompt='warm-up')  # last lines of setup()",
            severity=Severity.HIGH,
            how="ran",
        )
    if ran.unhealthy is not None and start is not None and start.runs:
        return Fault(
            evidence=(f"predictions succeed, and the health check says {ran.unhealthy}",),
            change="Make healthcheck() return False only when predictions cannot succeed, and answer within 5 s.",
            code="def healthcheck(self) -> bool: return self.engine.is_alive()",
            severity=Severity.HIGH,
            how="ran",
        )
    return None


def _no_check(evidence: str, severity: Severity) -> Fault:
    return Fault(
        evidence=(evidence,),
        change="Give the predictor a healthcheck() that checks what can fail; Cog calls it for GET /health-check.",
        code="def healthcheck(self) -> bool: return self.thread.is_alive()",
        severity=severity,
        how="read",
    )


def no_metrics(facts: Facts) -> Outcome:
    """Find a project whose predictions carry no metric of its own or, if only read, whose source records none."""
    if isinstance(facts.ran, Observation) and facts.ran.steady:
        names = sorted({name for run in facts.ran.steady for name in run.metrics})
        if names:
            return Fine(f"records {', '.join(names)}")
    code = facts.read.code
    if code is None:
        return Unclear("the source cannot be read")
    if code.records_metrics:
        return Fine("its source records metrics")
    ran = isinstance(facts.ran, Observation) and bool(facts.ran.steady)
    counted = len(facts.ran.steady) if isinstance(facts.ran, Observation) else 0
    return Fault(
        evidence=(
            f"{code.where}: no function that it calls records a metric",
            *((f"{counted} predictions carried only Cog's predict_time",) if ran else ()),
        ),
        change="Record what tells a good prediction from a bad one: sizes, tokens, time to the first output.",
        code='self.record_metric("output_token_count", len(tokens))  # in an async predict: current_scope()',
        severity=Severity.LOW,
        how="ran" if ran else "read",
    )


def mute_generator(facts: Facts) -> Outcome:
    """Find ``async def predict`` with ``yield``: Cog 0.23 collects the yielded values and sends them at the end."""
    code = facts.read.code
    if code is None:
        return Unclear("the source cannot be read")
    if not (code.is_async and code.is_generator):
        return Fine("predict() is not an async generator")
    if any(call.keywords.get("mode") == "append" for call in code.reached("predict")):
        return Fine("predict() is an async generator that sends its output as metrics")
    measured = []
    for run in _chunked(facts):
        first_s = (run.first_output_s or run.ended_s) - run.started_s
        measured.append(f"{run.chunks} chunks, the first after {shown_s(first_s)} of {shown_s(run.wall_s)}")
    return Fault(
        evidence=(f"{code.where}: async def with yield", *measured[:1]),
        change="Return a generator from a plain async def; Cog streams its chunks.",
        code="async def predict(self, ...) -> ConcatenateIterator[str]: return self.stream(...)",
        severity=Severity.MEDIUM,
        how="ran" if measured else "read",
    )


def _chunked(facts: Facts) -> list[Run]:
    steady = facts.ran.steady if isinstance(facts.ran, Observation) else ()
    return [run for run in steady if run.chunks > 1]


TRUST_RULES = (
    Rule(
        "does-not-start",
        None,
        "The project does not start",
        "Nothing can be served.",
        does_not_start,
    ),
    Rule(
        "dishonest-health",
        3,
        "The health check is wrong",
        "Traffic goes to a worker that cannot serve it, and stays there.",
        dishonest_health,
    ),
    Rule(
        "no-metrics",
        9,
        "No metrics",
        "Without metrics, slow, short or odd answers go unnoticed until a user complains.",
        no_metrics,
    ),
    Rule(
        "mute-generator",
        None,
        "An async generator, which does not stream",
        "The first word reaches the caller only together with the last.",
        mute_generator,
    ),
)

"""The result file of ``pilotlight doctor``: findings, passed checks, and the measurements behind them. Format 1.

History: 1, the first.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

from pilotlight.bench.harness.documents import Document, Strict
from pilotlight.bench.harness.targets import BenchTarget, describe
from pilotlight.doctor.examine import Examination
from pilotlight.doctor.findings import Severity
from pilotlight.doctor.observe.run import Plan
from pilotlight.doctor.observed import Attempt, AttemptOutcome, NotStarted, Observation, Run

__all__ = ["Checked", "DoctorResult", "DoctorSettings", "FindingInfo", "Measured", "WaveInfo", "result_of"]


class DoctorSettings(Strict):
    """The options of the examination."""

    ran: bool
    budget_s: float
    rate: float | None
    ignored: tuple[str, ...]


class FindingInfo(Strict):
    """One finding; ``mistake`` is its number among the ten common mistakes, ``how`` says how it was found."""

    id: str
    mistake: int | None
    title: str
    severity: Severity
    how: Literal["read", "ran"]
    evidence: tuple[str, ...]
    why: str
    change: str
    code: str


class Checked(Strict):
    """A rule that is kept or could not be checked, with an explanation."""

    id: str
    mistake: int | None
    title: str
    words: str


class WaveInfo(Strict):
    """A number of concurrent predictions, and the seconds until all had ended."""

    clients: int
    wall_s: float
    failed: int


class AttemptInfo(Strict):
    """An invalid or extreme input and its outcome."""

    name: str
    shown: str
    outcome: AttemptOutcome
    message: str
    took_s: float


class StartInfo(Strict):
    """The seconds of one start: to READY, to the end of the first prediction, and of each prediction in order."""

    ready_s: float
    cold_s: float | None
    failures: tuple[str, ...]
    predictions_s: tuple[float, ...]


class Measured(Strict):
    """Raw values of the run.

    Attributes:
        busy: whether other processes used the processors before.
        made_up: the names of the inputs that doctor made up.
        not_started: why the project did not start; the other fields are then empty.
        loop_blocked_s: the seconds of each time that the event loop was blocked; ``None`` if it could not be watched.
    """

    busy: bool
    made_up: tuple[str, ...] = ()
    not_started: str | None = None
    starts: tuple[StartInfo, ...] = ()
    health_idle_s: tuple[float, ...] = ()
    health_busy_s: tuple[float, ...] = ()
    loop_blocked_s: tuple[float, ...] | None = None
    waves: tuple[WaveInfo, ...] = ()
    attempts: tuple[AttemptInfo, ...] = ()


class DoctorResult(Document):
    """One examination of one project."""

    format: Literal["pilotlight doctor"] = "pilotlight doctor"
    format_version: Literal[1] = 1
    settings: DoctorSettings
    findings: tuple[FindingInfo, ...]
    passed: tuple[Checked, ...]
    unclear: tuple[Checked, ...]
    measured: Measured | None


def result_of(examination: Examination, plan: Plan, ignored: Collection[str]) -> DoctorResult:
    """Return the examination as a document, without the outputs of predictions."""
    facts, diagnosis = examination.facts, examination.diagnosis
    inputs = dict(facts.ran.inputs) if isinstance(facts.ran, Observation) else None
    target = BenchTarget(plan.project.root.resolve().name or "project", plan.project)
    (info,) = describe((target,), plan.options)
    return DoctorResult(
        created_at=datetime.now(UTC),
        finished=True,
        environment=examination.environment,
        projects=(info.model_copy(update={"inputs": inputs}),),
        settings=DoctorSettings(
            ran=facts.ran is not None, budget_s=facts.budget_s, rate=facts.rate, ignored=tuple(sorted(ignored))
        ),
        findings=tuple(
            FindingInfo(
                id=one.id,
                mistake=one.mistake,
                title=one.title,
                severity=one.severity,
                how=one.how,
                evidence=one.evidence,
                why=one.why,
                change=one.change,
                code=one.code,
            )
            for one in diagnosis.findings
        ),
        passed=tuple(
            Checked(id=rule.id, mistake=rule.mistake, title=rule.title, words=fine.words)
            for rule, fine in diagnosis.passed
        ),
        unclear=tuple(
            Checked(id=rule.id, mistake=rule.mistake, title=rule.title, words=unclear.why)
            for rule, unclear in diagnosis.unclear
        ),
        measured=_measured(facts.ran, busy=facts.busy),
    )


def _measured(ran: Observation | NotStarted | None, *, busy: bool) -> Measured | None:
    if ran is None:
        return None
    if isinstance(ran, NotStarted):
        return Measured(busy=busy, not_started=ran.message)
    return Measured(
        busy=busy,
        made_up=ran.made_up,
        starts=tuple(
            StartInfo(
                ready_s=start.ready_s,
                cold_s=start.cold_s,
                failures=tuple(run.error or "" for run in start.failed),
                predictions_s=_times(start.runs),
            )
            for start in ran.starts
        ),
        health_idle_s=ran.health_idle_s,
        health_busy_s=ran.health_busy_s,
        loop_blocked_s=None if ran.loop_blocked is None else tuple(end - start for start, end in ran.loop_blocked),
        waves=tuple(WaveInfo(clients=one.clients, wall_s=one.wall_s, failed=one.failed) for one in ran.waves),
        attempts=tuple(_attempt(one) for one in ran.attempts),
    )


def _attempt(one: Attempt) -> AttemptInfo:
    return AttemptInfo(name=one.name, shown=one.shown, outcome=one.outcome, message=one.message, took_s=one.took_s)


def _times(runs: tuple[Run, ...]) -> tuple[float, ...]:
    return tuple(run.wall_s for run in runs)

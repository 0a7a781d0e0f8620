"""Run every rule on the facts of a project. Pure."""

from __future__ import annotations

from collections.abc import Collection

from pilotlight.doctor.facts import Facts
from pilotlight.doctor.findings import Diagnosis, Fault, Finding, Fine, Rule, Severity, Unclear
from pilotlight.doctor.rules.image import IMAGE_RULES
from pilotlight.doctor.rules.inputs import INPUT_RULES
from pilotlight.doctor.rules.load import LOAD_RULES
from pilotlight.doctor.rules.speed import SPEED_RULES
from pilotlight.doctor.rules.trust import TRUST_RULES

__all__ = ["RULES", "diagnose"]

# The ten common mistakes by their number, then the other rules.
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (*TRUST_RULES, *SPEED_RULES, *LOAD_RULES, *INPUT_RULES, *IMAGE_RULES),
        key=lambda rule: rule.mistake if rule.mistake is not None else 11,
    )
)
_ORDER = tuple(Severity)


def diagnose(facts: Facts, ignore: Collection[str] = ()) -> Diagnosis:
    """Return the outcome of every rule whose id is not in ``ignore``."""
    findings: list[Finding] = []
    passed: list[tuple[Rule, Fine]] = []
    unclear: list[tuple[Rule, Unclear]] = []
    for rule in RULES:
        if rule.id in ignore:
            continue
        match rule.check(facts):
            case Fault() as fault:
                findings.append(_finding(rule, fault))
            case Fine() as fine:
                passed.append((rule, fine))
            case Unclear() as open_question:
                unclear.append((rule, open_question))
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    return Diagnosis(tuple(findings), tuple(passed), tuple(unclear))


def _finding(rule: Rule, fault: Fault) -> Finding:
    return Finding(
        id=rule.id,
        mistake=rule.mistake,
        title=rule.title,
        evidence=fault.evidence,
        why=rule.why,
        change=fault.change,
        code=fault.code,
        how=fault.how,
        severity=fault.severity,
    )

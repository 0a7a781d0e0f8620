"""Examine one project: read it, run it, and apply the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace

from pilotlight.bench.harness.documents import Environment
from pilotlight.bench.harness.environment import read_environment
from pilotlight.bench.harness.warnings import machine_warnings
from pilotlight.doctor.diagnose import diagnose
from pilotlight.doctor.facts import Facts
from pilotlight.doctor.findings import Diagnosis
from pilotlight.doctor.observe.run import Plan, observe, observe_again
from pilotlight.doctor.observed import Observation
from pilotlight.doctor.reading.project import read_project
from pilotlight.doctor.rules.speed import worth_a_second_start
from pilotlight.errors import UsageError

__all__ = ["DEFAULT_BUDGET_S", "Examination", "examine"]

# Users turn to something else after 10 s (Nielsen, "Response Times: The 3 Important Limits").
DEFAULT_BUDGET_S = 10.0


@dataclass(frozen=True, slots=True)
class Examination:
    """The result of an examination: the facts, the outcome of the rules, and the machine."""

    facts: Facts
    diagnosis: Diagnosis
    environment: Environment


async def examine(
    plan: Plan,
    *,
    run: bool = True,
    budget_s: float = DEFAULT_BUDGET_S,
    rate: float | None = None,
    ignore: Collection[str] = (),
) -> Examination:
    """Read the project and, unless ``run`` is false, run it. When cancelled, leave no process behind.

    Args:
        plan: the project and how to run it.
        run: whether to run the project as well.
        budget_s: the time that a cold start may take, in seconds.
        rate: the expected requests per second.
        ignore: the ids of rules to leave out.

    Raises:
        UsageError: the given Python has no cog, or a given input is wrong.
        ConfigError: cog.yaml cannot be read.
    """
    plan.announce("reading the project")
    read = await asyncio.to_thread(read_project, plan.project)
    machine = await asyncio.to_thread(read_environment, plan.options.python)
    facts = Facts(
        read,
        budget_s=budget_s,
        rate=rate,
        busy=bool(machine_warnings(machine, ())),
        gpu_here=bool(machine.gpus),
    )
    if run:
        if "cog" not in machine.packages:
            raise UsageError(
                f"{plan.options.python} has no cog: install it there, give --python, or read only: --no-run"
            )
        facts = replace(facts, ran=await observe(plan))
        if isinstance(facts.ran, Observation) and worth_a_second_start(facts):
            again = await observe_again(plan, facts.ran.inputs)
            if again is not None:
                facts = replace(facts, ran=replace(facts.ran, starts=(*facts.ran.starts, again)))
    return Examination(facts, diagnose(facts, ignore), machine)

"""The targets to measure, their names and order, and how their workers start."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotlight.bench.harness.documents import ProjectInfo
from pilotlight.bench.harness.environment import read_revision, shown_variables
from pilotlight.errors import InputError
from pilotlight.runtime import Project, schema_for

__all__ = [
    "BenchTarget",
    "InputMaker",
    "SeriesStep",
    "StartOptions",
    "describe",
    "inputs_of",
    "name_targets",
    "schedule",
]

# A function from a project's OpenAPI document to the input of its predictions.
InputMaker = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """A project and its name in the result.

    Attributes:
        env: the variables for its worker alone, on top of those for all targets.
        revision: the commit that the project was checked out from; ``None`` to read it from the folder.
    """

    name: str
    project: Project
    env: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class StartOptions:
    """The options for starting the workers of all targets.

    Attributes:
        python: the interpreter whose environment has cog and the predictor's packages.
        env: the variables on top of this process's and the project's.
        setup_timeout_s: the time limit of ``setup()`` including imports.
        predict_timeout_s: the time limit of a prediction, including the first one.
    """

    python: Path
    env: Mapping[str, str]
    setup_timeout_s: float
    predict_timeout_s: float

    def of(self, target: BenchTarget) -> StartOptions:
        """Return the options with a target's variables."""
        return replace(self, env={**self.env, **target.env})


@dataclass(frozen=True, slots=True)
class SeriesStep:
    """One planned start; round -1 holds the starts that are not measured."""

    round: int
    target: BenchTarget


def name_targets(projects: Sequence[Project]) -> tuple[BenchTarget, ...]:
    """Name each project after its folder, with a number where several have the same name."""
    targets: list[BenchTarget] = []
    for project in projects:
        folder = project.root.resolve().name or "project"
        taken = {target.name for target in targets}
        names = (folder, *(f"{folder}-{number}" for number in range(2, len(projects) + 1)))
        targets.append(BenchTarget(next(name for name in names if name not in taken), project))
    return tuple(targets)


def schedule(targets: Sequence[BenchTarget], runs: int, seed: int) -> list[SeriesStep]:
    """Return one unmeasured start of each target, then rounds with one start of each in random order. Pure.

    Slow changes (heat, a neighbor's load) then affect all projects alike, and no project always follows the same other
    one.
    """
    steps = [SeriesStep(-1, target) for target in targets]
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    for number in range(runs):
        order = list(targets)
        chance.shuffle(order)
        steps += [SeriesStep(number, target) for target in order]
    return steps


def describe(targets: Sequence[BenchTarget], options: StartOptions) -> tuple[ProjectInfo, ...]:
    """Return what is known of the projects before any of them has started."""
    return tuple(
        ProjectInfo(
            name=target.name,
            env=shown_variables({**options.env, **target.env}),
            inputs=None,
            revision=target.revision or read_revision(target.project.root),
            weights={},
        )
        for target in targets
    )


async def inputs_of(target: BenchTarget, inputs_for: InputMaker, options: StartOptions) -> dict[str, Any]:
    """Return the input of a target's predictions, made from its schema.

    Raises:
        InputError: an input is wrong or missing; the message names the project.
        UsageError, ConfigError: the project has no schema.
    """
    document = await asyncio.to_thread(
        schema_for, target.project, python=options.python, import_limit_s=options.setup_timeout_s
    )
    try:
        return inputs_for(document)
    except InputError as error:
        raise InputError(error.name, f"{error.problem} (project {target.name})") from error

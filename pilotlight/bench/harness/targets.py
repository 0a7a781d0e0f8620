"""What to measure, under which names, in which order, and how its workers start."""

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

# From a project's OpenAPI document to the input of its predictions.
InputMaker = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """A project under the name that it has in the result.

    Attributes:
        env: variables for its worker alone, on top of those that all targets get.
        revision: the commit that the project was checked out from; ``None``: its folder says.
    """

    name: str
    project: Project
    env: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How to start workers, of all targets alike.

    Attributes:
        python: the interpreter whose environment has cog and what the predictor imports.
        env: variables on top of this process's and the project's.
        setup_timeout_s: how long ``setup()`` may take, imports included.
        predict_timeout_s: how long a prediction may take, the first one included.
    """

    python: Path
    env: Mapping[str, str]
    setup_timeout_s: float
    predict_timeout_s: float

    def of(self, target: BenchTarget) -> StartOptions:
        """With the variables of a target."""
        return replace(self, env={**self.env, **target.env})


@dataclass(frozen=True, slots=True)
class SeriesStep:
    """One start to come; round -1 holds the starts that are not measured."""

    round: int
    target: BenchTarget


def name_targets(projects: Sequence[Project]) -> tuple[BenchTarget, ...]:
    """Each project under the name of its folder, with a number where several have the same."""
    targets: list[BenchTarget] = []
    for project in projects:
        folder = project.root.resolve().name or "project"
        taken = {target.name for target in targets}
        names = (folder, *(f"{folder}-{number}" for number in range(2, len(projects) + 1)))
        targets.append(BenchTarget(next(name for name in names if name not in taken), project))
    return tuple(targets)


def schedule(targets: Sequence[BenchTarget], runs: int, seed: int) -> list[SeriesStep]:
    """First one unmeasured start of each; then rounds with one start of each, in an order of its own. Pure.

    What changes slowly (heat, a neighbor's load) then meets all projects alike, and no project is always the one after
    a certain other.
    """
    steps = [SeriesStep(-1, target) for target in targets]
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    for number in range(runs):
        order = list(targets)
        chance.shuffle(order)
        steps += [SeriesStep(number, target) for target in order]
    return steps


def describe(targets: Sequence[BenchTarget], options: StartOptions) -> tuple[ProjectInfo, ...]:
    """What is known of the projects before any of them has started."""
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
    """The input of a target's predictions, from its schema.

    Raises:
        InputError: an input is wrong, or has to be given; it says of which project.
        UsageError, ConfigError: the project has no schema as it stands.
    """
    document = await asyncio.to_thread(
        schema_for, target.project, python=options.python, import_limit_s=options.setup_timeout_s
    )
    try:
        return inputs_for(document)
    except InputError as error:
        raise InputError(error.name, f"{error.problem} (project {target.name})") from error

"""The facts read from a project; ``observed`` holds those of a run. The rules use nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pilotlight.doctor.observed import NotStarted, Observation

__all__ = [
    "BuildFact",
    "CallFact",
    "Code",
    "Facts",
    "FileFact",
    "InputFact",
    "Phase",
    "Reading",
    "Requirement",
]

Phase = Literal["import", "setup", "predict"]


@dataclass(frozen=True, slots=True)
class CallFact:
    """A call in the project's own code that is reachable from its import, from ``setup()`` or from a prediction.

    Attributes:
        where: ``file:line``, relative to the project.
        name: the name of the called function with imports resolved, such as ``torch.load`` or ``self.model.generate``.
        phase: the phase that reaches the call.
        argument: the first argument if it is a string, written as a literal or a constant of the module.
        first: the source of the first argument; empty without one.
        keywords: the keyword arguments that are constants (literals or constants of the module).
        sources: the source of every keyword argument.
        guarded: whether it lies under an ``if`` or in a cached function, so that it may happen only once.
        on_loop: whether it lies directly in an ``async def``, so that waiting in it blocks the event loop.
    """

    where: str
    name: str
    phase: Phase
    argument: str | None = None
    first: str = ""
    keywords: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    guarded: bool = False
    on_loop: bool = False


@dataclass(frozen=True, slots=True)
class InputFact:
    """One input, as declared in the signature."""

    name: str
    where: str
    number: bool
    described: bool
    bounded: bool


@dataclass(frozen=True, slots=True)
class Code:
    """The predictor's source.

    Attributes:
        where: ``file:line`` of the function that predicts.
        is_async: whether it is an ``async def``.
        is_generator: whether it yields.
        healthcheck: whether the predictor defines one, and whether that checks anything.
        healthcheck_where: ``file:line`` of the health check; empty without one.
        inputs: the inputs in the order of the signature.
        calls: all calls that could be followed.
        loaded: attributes of ``self`` to which ``setup()`` assigns something loaded, such as ``self.model``.
        records_metrics: whether a module of the project records a metric.
    """

    where: str
    is_async: bool = False
    is_generator: bool = False
    healthcheck: Literal["none", "constant", "checks"] = "none"
    healthcheck_where: str = ""
    inputs: tuple[InputFact, ...] = ()
    calls: tuple[CallFact, ...] = ()
    loaded: tuple[str, ...] = ()
    records_metrics: bool = False

    def reached(self, *phases: Phase) -> tuple[CallFact, ...]:
        """Return the calls that these phases reach."""
        return tuple(call for call in self.calls if call.phase in phases)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that the image installs; ``pinned`` if the requirement allows one version only."""

    where: str
    text: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file that goes into the image.

    Attributes:
        path: relative to the project.
        pickled: whether it is named like weights and begins like a pickle or like torch's zip archive of pickles.
    """

    path: str
    size_bytes: int
    pickled: bool = False


@dataclass(frozen=True, slots=True)
class BuildFact:
    """Something in the predictor's source that ``cog build`` does not read as Python does.

    Attributes:
        where: ``file:line``, relative to the project.
        problem: what is wrong, and what to change.
        refused: whether ``cog build`` refuses the project for it.
    """

    where: str
    problem: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """The contents of a project's files.

    Attributes:
        max_concurrency: the number of predictions at once.
        gpu: whether the image asks for a GPU.
        python_version: the Python version in cog.yaml; ``None`` if not given.
        sdk_version: the Cog version in cog.yaml; ``None`` if not given.
        requirements: the packages of cog.yaml, of its requirements file, and of its ``pip install`` commands.
        commands: the commands of ``build.run`` and ``build.pre_install``.
        environment: the variables that the image sets.
        files: the files that go into the image after ``.dockerignore`` is applied.
        min_replicas: the number of replicas that infera.yaml keeps on; ``None`` if not given.
        code: the predictor's source; ``None`` if it is not Python.
        unbuilt: the parts of the source that do not reach the image.
    """

    max_concurrency: int = 1
    gpu: bool = False
    python_version: str | None = "3.11"
    sdk_version: str | None = "0.23.1"
    requirements: tuple[Requirement, ...] = ()
    commands: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FileFact, ...] = ()
    min_replicas: int | None = None
    code: Code | None = None
    unbuilt: tuple[BuildFact, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the rules may use.

    Attributes:
        budget_s: the time that a cold start may take, in seconds.
        rate: the expected requests per second; ``None`` if not given.
        busy: whether other processes used the processors before the worker was started. Used only where the time that
            the worker's threads waited for a processor is unknown.
        gpu_here: whether this machine has a GPU.
        ran: the observations of the run; ``None`` if the project was only read.
    """

    read: Reading
    ran: Observation | NotStarted | None = None
    budget_s: float = 10.0
    rate: float | None = None
    busy: bool = False
    gpu_here: bool = False

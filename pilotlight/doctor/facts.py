"""The facts about a project that were read; ``observed`` has those of a run. The rules see nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pilotlight.doctor.observed import NotStarted, Observation

__all__ = [
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
    """A call in the project's own code that importing it, ``setup()`` or a prediction can reach.

    Attributes:
        where: ``file:line``, relative to the project.
        name: what is called, with imports resolved, such as ``torch.load`` or ``self.model.generate``.
        phase: who reaches it.
        argument: the first argument where it is a text: written out, or a constant of the module.
        first: the source of the first argument; empty without one.
        keywords: the keyword arguments that are constants, likewise.
        sources: the source of every keyword argument.
        guarded: it lies under an ``if`` or in a function with a cache, so it may happen only once.
        on_loop: it lies directly in an ``async def``, so what it waits for the event loop waits for.
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
    """One input, as the signature in the source says."""

    name: str
    where: str
    number: bool
    described: bool
    bounded: bool


@dataclass(frozen=True, slots=True)
class Code:
    """The predictor's source.

    Attributes:
        where: of the function that predicts.
        is_async: it is an ``async def``.
        is_generator: it yields.
        healthcheck: whether it has its own, and whether that looks at anything.
        healthcheck_where: of that; empty without one.
        inputs: in the order of the signature.
        calls: all that could be followed.
        loaded: attributes of ``self`` to which ``setup()`` assigns something loaded, such as ``self.model``.
        records_metrics: some module of the project records a metric.
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
        """The calls of these phases."""
        return tuple(call for call in self.calls if call.phase in phases)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that the image installs, as it is written; ``pinned`` when that allows one version only."""

    where: str
    text: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file that goes into the image.

    Attributes:
        path: relative to the project.
        pickled: it is named like weights and begins like a pickle, or like the archive of them that torch writes.
    """

    path: str
    size_bytes: int
    pickled: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A project's files.

    Attributes:
        max_concurrency: predictions at once.
        gpu: the image asks for one.
        python_version: ``None`` when cog.yaml does not say.
        sdk_version: likewise, of Cog.
        requirements: of cog.yaml, its requirements file, and its ``pip install`` commands.
        commands: ``build.run`` and ``build.pre_install``.
        environment: that the image sets.
        files: that go into the image: ``.dockerignore`` has been applied.
        min_replicas: that infera.yaml keeps on; ``None`` when it does not say.
        code: ``None`` where the predictor's source is not Python.
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


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rules may know.

    Attributes:
        budget_s: that a cold start may take.
        rate: requests a second that are expected; ``None`` when nobody said.
        busy: other processes were taking the processors before the worker was started. What that did to a time is
            told by how long its threads waited; this counts only where that is not known.
        gpu_here: this machine has one.
        ran: ``None`` where the project was only read.
    """

    read: Reading
    ran: Observation | NotStarted | None = None
    budget_s: float = 10.0
    rate: float | None = None
    busy: bool = False
    gpu_here: bool = False

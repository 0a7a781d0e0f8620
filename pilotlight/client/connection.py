"""The interface of every kind of target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pilotlight.runtime.events import Event
from pilotlight.types import Status


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each thing may take, in seconds; ``None`` is as long as it takes.

    Attributes:
        connect_s: to reach the target, per try.
        answer_s: for the target to answer one request, a stream aside.
        wait_s: before a prediction begins: the queue and a cold start. Where a target tells the two apart, they still
            share it: a caller who waits does not care why.
        predict_s: from when it begins.
        total_s: all of it. Where it can be, the target is told as well, so that a client that dies leaves nothing
            running for longer.
    """

    connect_s: float = 10.0
    answer_s: float = 60.0
    wait_s: float | None = None
    predict_s: float | None = None
    total_s: float | None = 600.0


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target stands, as its control plane says.

    Attributes:
        status: in the target's own word, such as ``InService``.
        serves: whether it takes predictions.
        reason: why it does not; ``None`` where it does not say.
        hardware: how many machines are up, by the target's name for their kind; empty where it does not say.
        usd_per_hour: what those cost, predictions or not, by the price file; ``None`` where that is not known, or the
            target charges otherwise.
    """

    status: str
    serves: bool
    reason: str | None
    hardware: Mapping[str, int]
    usd_per_hour: float | None


class Job(Protocol):
    """A prediction that a target has accepted, or is about to."""

    @property
    def id(self) -> str:
        """The target's name for it."""

    def events(self) -> AsyncGenerator[Event, None]:
        """What happens to it, to be read once: ``Started`` when it begins, ``Completed`` last.

        Times in the completed prediction's metrics: ``queue_s``, ``cold_start_s``, ``wait_s`` (both of them, where the
        target does not tell them apart) and ``predict_s``, as far as the target knows them.

        Raises:
            TargetError: the target cannot say any more what becomes of it.
            InputError: an input is wrong, where the target looks at it late.
        """

    async def status(self) -> Status:
        """How it stands."""

    async def cancel(self) -> None:
        """Has the target end it; nothing happens to one that has ended."""


class Connection(Protocol):
    """A target that predictions can be sent to."""

    async def schema(self) -> Mapping[str, Any] | None:
        """The predictor's OpenAPI document; ``None`` where the target does not give it."""

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> Job:
        """Sends a prediction.

        Args:
            inputs: by name, JSON values.
            total_s: after how long the target may cancel it by itself.

        Raises:
            InputError: the target refuses an input.
            TargetError: it was not accepted.
        """

    async def attach(self, job_id: str) -> Job:
        """A prediction that was sent before, perhaps by another process.

        Raises:
            UsageError: this kind of target forgets a prediction together with its connection.
            TargetMissingError: there is none with this id.
        """

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        """Keeps a file for an input, and returns its URL; ``None`` where the target has no place for files."""

    async def close(self) -> None:
        """Ends what was opened; predictions that run on this connection alone end too."""


@runtime_checkable
class Described(Protocol):
    """A connection whose target has a control plane."""

    async def state(self) -> TargetState:
        """How the target stands.

        Raises:
            TargetError: it is not there, or cannot be asked.
        """

"""Protocols that every kind of target implements, and its timeouts and state."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pilotlight.runtime.events import Event
from pilotlight.types import Status


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds; ``None`` sets no limit.

    Attributes:
        connect_s: for each attempt to connect to the target.
        answer_s: for the target's response to one request; streams are exempt.
        wait_s: from the request until the prediction begins: queue and cold start together, also where the target
            reports the two separately.
        predict_s: from the prediction's beginning to its end.
        total_s: from the request to the prediction's end. It is also sent to targets that support a limit, so that a
            prediction does not outlive a client that has crashed by more than this.
    """

    connect_s: float = 10.0
    answer_s: float = 60.0
    wait_s: float | None = None
    predict_s: float | None = None
    total_s: float | None = 600.0


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target's state, as its control plane reports it.

    Attributes:
        status: the target's own term, such as ``InService``.
        serves: whether it accepts predictions.
        reason: why it does not accept predictions; ``None`` when the target gives no reason.
        hardware: number of running machines by the target's name for their kind; empty when not reported.
        usd_per_hour: price of those machines, busy or idle, from the price file; ``None`` when it is unknown or the
            target does not charge by the hour.
    """

    status: str
    serves: bool
    reason: str | None
    hardware: Mapping[str, int]
    usd_per_hour: float | None


class Job(Protocol):
    """A prediction that a target has accepted, or is being asked to accept."""

    @property
    def id(self) -> str:
        """The target's id for the prediction."""

    def events(self) -> AsyncGenerator[Event, None]:
        """Yield the prediction's events, once: ``Started`` when it begins, ``Completed`` last.

        The metrics of the completed prediction contain ``queue_s``, ``cold_start_s``, ``wait_s`` (the two together, for
        targets that do not report them separately) and ``predict_s``, as far as the target reports them.

        Raises:
            TargetError: the prediction's state can no longer be read from the target.
            InputError: an input is invalid, for targets that check inputs after accepting the prediction.
        """

    async def status(self) -> Status:
        """Return the prediction's status."""

    async def cancel(self) -> None:
        """Cancel the prediction at the target; does nothing if it has ended."""


class Connection(Protocol):
    """A connection to one target, through which predictions are sent."""

    async def schema(self) -> Mapping[str, Any] | None:
        """Return the predictor's OpenAPI document, or ``None`` if the target does not provide it."""

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> Job:
        """Send a prediction.

        Args:
            inputs: JSON values by input name.
            total_s: seconds after which the target may cancel the prediction itself; ``None`` for no limit.

        Raises:
            InputError: the target rejects an input.
            TargetError: the prediction was not accepted.
        """

    async def attach(self, job_id: str) -> Job:
        """Return the job of a prediction that was sent earlier, possibly by another process.

        Raises:
            UsageError: this kind of target does not keep predictions after their connection is closed.
            TargetMissingError: the target has no prediction with this id.
        """

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        """Store a file for use as an input and return its URL, or ``None`` if the target stores no files."""

    async def close(self) -> None:
        """Close the connection. Predictions that exist only on this connection end with it."""


@runtime_checkable
class Described(Protocol):
    """A connection whose target has a control plane."""

    async def state(self) -> TargetState:
        """Return the target's state.

        Raises:
            TargetError: the target does not exist or its state cannot be read.
        """

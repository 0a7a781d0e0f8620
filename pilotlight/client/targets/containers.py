"""The common part of Vertex AI and SageMaker endpoints that run pilotlight's container (``pilotlight serve --on``).

Both clouds forward a request to the container and its response back, so a prediction lasts as long as its connection:
closing the connection cancels it. The last item of a stream has the prediction's status, logs and metrics.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pilotlight.client.http import Retry
from pilotlight.client.targets.local import LocalJob
from pilotlight.client.targets.names import Target
from pilotlight.errors import TargetError, UsageError
from pilotlight.runtime import Event, Feed
from pilotlight.types import Prediction, Status


class PassingConnection(ABC):
    """A connection to an endpoint that forwards requests; it has no schema, file storage or lookup of predictions."""

    def __init__(self, target: Target, retry: Retry | None) -> None:
        self._target = target
        self._retry = retry or Retry()

    async def schema(self) -> Mapping[str, Any] | None:
        return None

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        return LocalJob(self, inputs)

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"{self._target}: an endpoint does not keep predictions after their connection is closed")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    async def run(self, inputs: Mapping[str, Any], feed: Feed, *, prediction_id: str) -> Prediction:
        """Run one prediction; send it again while the endpoint does not accept it and it cannot have begun."""
        failures = 0
        told = False

        def note(event: Event) -> None:
            nonlocal told
            told = True
            feed(event)

        while True:
            try:
                return await self._run_once(inputs, note, prediction_id)
            except TargetError as error:
                failures += 1
                if told:
                    raise
                await self._retry.wait(failures, error, repeatable=False)

    @abstractmethod
    async def _run_once(self, inputs: Mapping[str, Any], feed: Feed, prediction_id: str) -> Prediction:
        """Send the prediction once; ``Started`` is the first event."""


def json_of(text: str | bytes, target: Target, kind: type = object) -> Any:
    """Return the JSON that pilotlight's container sent.

    Raises:
        TargetError: the response is not from pilotlight's container.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise not_ours(target, error) from error
    if not isinstance(found, kind):
        raise not_ours(target, text)
    return found


def not_ours(target: Target, why: object) -> TargetError:
    """Return the error for a response that pilotlight's container does not give."""
    return TargetError(f"{target} did not answer as `pilotlight serve --on {target.kind}` does: {str(why)[:200]}")


def ended(prediction_id: str, chunks: list[Any], end: Any, target: Target) -> Prediction:
    """Return the prediction as described by the last item of its stream.

    Raises:
        TargetError: the item is not from pilotlight's container.
    """
    try:
        output: Any = chunks if end["iterates"] else (chunks[0] if chunks else None)
        logs, metrics = end.get("logs") or "", dict(end.get("metrics") or {})
        return Prediction(prediction_id, Status(end["status"]), output, end["error"], logs, metrics)
    except (AttributeError, KeyError, TypeError, ValueError) as wrong:
        raise not_ours(target, wrong) from wrong

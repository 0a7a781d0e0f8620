"""The common part of Vertex AI and SageMaker endpoints that run pilotlight's container (``pilotlight serve --on``).

Both clouds pass a request through to the container and its answer back, so a prediction lives and dies with its
connection: leaving it cancels it. A stream ends with what became of the prediction, logs and metrics included.
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
    """An endpoint that passes requests on: no schema, no files, no second look at a prediction."""

    def __init__(self, target: Target, retry: Retry | None) -> None:
        self._target = target
        self._retry = retry or Retry()

    async def schema(self) -> Mapping[str, Any] | None:
        return None

    async def submit(self, inputs: Mapping[str, Any], *, total_s: float | None) -> LocalJob:
        return LocalJob(self, inputs)

    async def attach(self, job_id: str) -> LocalJob:
        raise UsageError(f"{self._target}: an endpoint forgets a prediction together with its connection")

    async def upload(self, name: str, content: bytes, content_type: str) -> str | None:
        return None

    async def run(self, inputs: Mapping[str, Any], feed: Feed, *, prediction_id: str) -> Prediction:
        """Run one prediction, sent again while the endpoint takes none and it cannot have begun."""
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
        """Send it once; ``Started`` is the first event."""


def json_of(text: str | bytes, target: Target, kind: type = object) -> Any:
    """What our container has sent.

    Raises:
        TargetError: another one has.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise not_ours(target, error) from error
    if not isinstance(found, kind):
        raise not_ours(target, text)
    return found


def not_ours(target: Target, why: object) -> TargetError:
    """The error for an answer that our containers do not give."""
    return TargetError(f"{target} did not answer as `pilotlight serve --on {target.kind}` does: {str(why)[:200]}")


def ended(prediction_id: str, chunks: list[Any], end: Any, target: Target) -> Prediction:
    """The prediction by what its stream has ended with.

    Raises:
        TargetError: another container has sent that.
    """
    try:
        output: Any = chunks if end["iterates"] else (chunks[0] if chunks else None)
        logs, metrics = end.get("logs") or "", dict(end.get("metrics") or {})
        return Prediction(prediction_id, Status(end["status"]), output, end["error"], logs, metrics)
    except (AttributeError, KeyError, TypeError, ValueError) as wrong:
        raise not_ours(target, wrong) from wrong

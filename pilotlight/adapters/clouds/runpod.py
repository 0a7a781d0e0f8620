"""A Cog project as a RunPod serverless worker: RunPod's loop with streams, concurrency, cancels and proper errors."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from pilotlight.adapters.hosting import Host
from pilotlight.errors import ConfigError, PilotlightError
from pilotlight.runtime import Completed, Log, Output
from pilotlight.types import Prediction, Status

_LOG = logging.getLogger(__name__)

# Keys of a handler's dictionary that RunPod's loop consumes instead of passing them on.
_TAKEN_KEYS = ("error", "refresh_worker")

Handler = Callable[[dict[str, Any]], Any]


def require_package() -> None:
    """Check that RunPod's package is there, without importing it: before a setup that may take minutes.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("runpod") is None:
        raise ConfigError("serving on RunPod needs the package runpod: pip install 'pilotlight[runpod]'")


def serve(host: Host) -> None:
    """Run RunPod's worker loop until it is told to stop. ``host`` is already warm, so RunPod snapshots a warm process.

    Raises:
        ConfigError: the package ``runpod`` cannot be imported.
    """
    try:
        runpod = importlib.import_module("runpod")
    except ImportError as error:
        raise ConfigError(f"RunPod's package cannot be imported: {error}; pip install 'pilotlight[runpod]'") from error
    runpod.serverless.start(configuration(host))


def configuration(host: Host) -> dict[str, Any]:
    """Return the configuration for ``runpod.serverless.start``."""
    return {
        "handler": streaming_handler(host) if host.iterates else handler(host),
        # /run and /runsync then return the chunks too, not only /stream.
        "return_aggregate_stream": True,
        "concurrency_modifier": lambda _: host.slots,
    }


def handler(host: Host) -> Callable[[dict[str, Any]], Awaitable[Any]]:
    """Return the handler for a predictor that returns its output as a whole."""

    async def handle(job: dict[str, Any]) -> Any:
        prediction: Prediction | None = None
        try:
            async with aclosing(host.stream(inputs_of(job), job["id"])) as events:
                async for event in events:
                    _tell(event)
                    if isinstance(event, Completed):
                        prediction = event.prediction
        except PilotlightError as error:
            return {"error": str(error)}
        return (
            {"error": problem} if (problem := _problem(prediction)) else keep(prediction.output if prediction else None)
        )

    return handle


def streaming_handler(host: Host) -> Callable[[dict[str, Any]], AsyncGenerator[Any, None]]:
    """Return the handler for a predictor that yields; RunPod requires a generator function for streams."""

    async def handle(job: dict[str, Any]) -> AsyncGenerator[Any, None]:
        problem: str | None = None
        try:
            async with aclosing(host.stream(inputs_of(job), job["id"])) as events:
                async for event in events:
                    _tell(event)
                    if isinstance(event, Output):
                        yield keep(event.chunk)
                    if isinstance(event, Completed):
                        problem = _problem(event.prediction)
        except PilotlightError as error:
            problem = str(error)
        if problem:
            # Raising would put a traceback into the caller's response.
            yield {"error": problem}

    return handle


def inputs_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's input without null values, which mean not given; an input that is not an object becomes empty."""
    given = job.get("input")
    return {name: value for name, value in given.items() if value is not None} if isinstance(given, Mapping) else {}


def keep(value: Any) -> Any:
    """Return the value in a form that RunPod's loop passes on unchanged: the loop consumes some dictionary keys."""
    if isinstance(value, dict) and any(key in value for key in _TAKEN_KEYS):
        return {"output": value}
    return value


def _problem(prediction: Prediction | None) -> str | None:
    if prediction is None or prediction.status is Status.CANCELED:
        return "the prediction was cancelled"
    if prediction.status is Status.FAILED:
        return prediction.error or "the prediction failed without a message"
    return None


def _tell(event: object) -> None:
    """Print the predictor's output to the worker's log, which RunPod shows; RunPod keeps no logs per job."""
    if isinstance(event, Log):
        _LOG.info("%s", event.text.rstrip("\n"))

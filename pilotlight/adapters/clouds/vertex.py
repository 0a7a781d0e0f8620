"""A Cog project as a custom container of Vertex AI: its variables, its routes, its shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilotlight.adapters.hosting import Host
from pilotlight.adapters.web import (
    PredictionError,
    body_of,
    ending,
    health,
    predict,
    require_object,
    streamed,
    while_asked,
)
from pilotlight.errors import ConfigError
from pilotlight.runtime import Completed, Output
from pilotlight.runtime.predictor_schema import InputField

# Google's words for the statuses that a prediction can end with.
_STATUSES = {400: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


@dataclass(frozen=True, slots=True)
class VertexSettings:
    """What Vertex AI tells a container by its environment."""

    port: int = 8080
    health_route: str = "/health"
    predict_route: str = "/predict"


def settings_from(environ: Mapping[str, str]) -> VertexSettings:
    """From ``AIP_HTTP_PORT``, ``AIP_HEALTH_ROUTE`` and ``AIP_PREDICT_ROUTE``.

    Raises:
        ConfigError: one of them makes no sense.
    """
    port = environ.get("AIP_HTTP_PORT") or "8080"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"AIP_HTTP_PORT is {port!r}; expected a port, 1 to 65535")
    routes = {
        "AIP_HEALTH_ROUTE": environ.get("AIP_HEALTH_ROUTE") or "/health",
        "AIP_PREDICT_ROUTE": environ.get("AIP_PREDICT_ROUTE") or "/predict",
    }
    for name, route in routes.items():
        if not route.startswith("/"):
            raise ConfigError(f"{name} is {route!r}; expected a path that starts with /")
    return VertexSettings(int(port), routes["AIP_HEALTH_ROUTE"], routes["AIP_PREDICT_ROUTE"])


def create_app(host: Host, settings: VertexSettings) -> Starlette:
    """The container's HTTP.

    ``POST predict`` takes ``{"instances": [...], "parameters": {...}}``: each instance is one prediction's inputs, or
    a text where the predictor has one required input or a ``prompt``; parameters are inputs of all of them. The answer
    is ``{"predictions": [...]}``, in order. As an endpoint answers for all instances or none, the first failure is the
    answer: ``{"error": {"code", "message", "status"}}``. With ``Accept: text/event-stream``, as ``streamRawPredict``
    sends it, the chunks of a single instance come as they are made.
    """

    async def healthy(_: Request) -> Response:
        return health(host)

    async def predictions(request: Request) -> Response:
        body = require_object(await body_of(request), "the body")
        if "instances" not in body:  # rawPredict passes on whatever it was sent
            body = {"instances": [body]}
        instances = body["instances"]
        if not isinstance(instances, list) or not instances:
            raise PredictionError("instances has to be a list of at least one", 400)
        parameters = require_object(body.get("parameters") or {}, "parameters")
        inputs = [_inputs(host, one, parameters) for one in instances]
        if "text/event-stream" in request.headers.get("accept", ""):
            if len(inputs) > 1:
                raise PredictionError("only one instance can be streamed", 400)
            return await streamed(request, host, inputs[0], partial(_event, host), "text/event-stream")
        return JSONResponse({"predictions": await while_asked(request, _all(host, inputs))})

    return Starlette(
        routes=[
            Route(settings.health_route, healthy),
            Route(settings.predict_route, predictions, methods=["POST"]),
        ],
        exception_handlers={PredictionError: _answer_error},
    )


async def _answer_error(_: Request, error: Exception) -> Response:
    """In the form that Google's own clients take apart; any other makes them fail with an error about the error."""
    status = error.status if isinstance(error, PredictionError) else 500
    body = {"code": status, "message": str(error), "status": _STATUSES.get(status, "UNKNOWN")}
    return JSONResponse({"error": body}, status)


async def _all(host: Host, inputs: list[dict[str, Any]]) -> list[Any]:
    """The outputs, in order; the first failure cancels the others."""
    running = [asyncio.create_task(predict(host, one)) for one in inputs]
    try:
        return list(await asyncio.gather(*running))
    finally:
        for task in running:
            task.cancel()


def _inputs(host: Host, instance: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One prediction's inputs, with whole floats as the integers that they were before the client sent them."""
    schema = host.schema
    if isinstance(instance, str):
        name = schema.required[0] if len(schema.required) == 1 else "prompt"
        if name not in schema.inputs:
            raise PredictionError("an instance has to be an object of inputs by name", 400)
        instance = {name: instance}
    given = {**parameters, **require_object(instance, "an instance")}
    return {name: _whole(value, schema.inputs.get(name)) for name, value in given.items()}


def _whole(value: Any, declared: InputField | None) -> Any:
    types = frozenset() if declared is None else declared.types
    if isinstance(value, float) and value.is_integer() and "integer" in types and "number" not in types:
        return int(value)
    return value


def _event(host: Host, event: Output | Completed) -> bytes:
    """A server-sent event: ``output`` with a chunk, as JSON, or ``end`` with what became of the prediction."""
    if isinstance(event, Output):
        name, value = "output", event.chunk
    else:
        name, value = "end", ending(host, event.prediction)
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()

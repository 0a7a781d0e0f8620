"""A Cog project as a custom container of Vertex AI: its environment variables, routes, requests and responses."""

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
from pilotlight.runtime.predictor_schema import alternatives

# Google's status names for the HTTP statuses of a failed prediction.
_STATUSES = {400: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


@dataclass(frozen=True, slots=True)
class VertexSettings:
    """Settings that Vertex AI gives a container in environment variables."""

    port: int = 8080
    health_route: str = "/health"
    predict_route: str = "/predict"


def settings_from(environ: Mapping[str, str]) -> VertexSettings:
    """Read ``AIP_HTTP_PORT``, ``AIP_HEALTH_ROUTE`` and ``AIP_PREDICT_ROUTE``.

    Raises:
        ConfigError: the port is not a number from 1 to 65535, or a route does not start with ``/``.
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
    """Return the container's HTTP application.

    ``POST predict`` takes ``{"instances": [...], "parameters": {...}}``. Each instance is one prediction's inputs, or a
    text if the predictor has one required input or a ``prompt``; parameters are inputs of all instances. The response
    is ``{"predictions": [...]}``, in order. Because an endpoint succeeds for all instances or for none, the first
    failure is the response: ``{"error": {"code", "message", "status"}}``. With ``Accept: text/event-stream``, as
    ``streamRawPredict`` sends it, the chunks of a single instance are streamed.
    """

    async def healthy(_: Request) -> Response:
        return health(host)

    async def predictions(request: Request) -> Response:
        body = require_object(await body_of(request), "the body")
        instances = body.get("instances")
        if not isinstance(instances, list) or not instances:
            raise PredictionError("instances must be a list of at least one instance", 400)
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
    """Return an error in the form that Google's clients parse; another form makes them fail with a misleading error."""
    status = error.status if isinstance(error, PredictionError) else 500
    body = {"code": status, "message": str(error), "status": _STATUSES.get(status, "UNKNOWN")}
    return JSONResponse({"error": body}, status)


async def _all(host: Host, inputs: list[dict[str, Any]]) -> list[Any]:
    """Return the outputs, in order; the first failure cancels the other predictions."""
    running = [asyncio.create_task(predict(host, one)) for one in inputs]
    try:
        return list(await asyncio.gather(*running))
    finally:
        for task in running:
            task.cancel()


def _inputs(host: Host, instance: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return one prediction's inputs; whole floats become the integers that Google's clients turned into floats."""
    schema = host.schema
    if isinstance(instance, str):
        name = schema.required[0] if len(schema.required) == 1 else "prompt"
        if name not in schema.inputs:
            raise PredictionError("an instance must be an object of inputs by name", 400)
        instance = {name: instance}
    given = {**parameters, **require_object(instance, "an instance")}
    declared = {name: schema.inputs[name].schema if name in schema.inputs else {} for name in given}
    return {name: whole_numbers(value, declared[name]) for name, value in given.items()}


def whole_numbers(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value with whole floats as integers where its schema has integers and no other numbers."""
    kinds = list(alternatives(schema))
    if isinstance(value, float):
        types = {kind["type"] for kind in kinds}
        return int(value) if value.is_integer() and "integer" in types and "number" not in types else value
    if isinstance(value, list):
        items = {"anyOf": [kind["items"] for kind in kinds if kind.get("items")]}
        return [whole_numbers(one, items) for one in value]
    if isinstance(value, dict):
        return {name: whole_numbers(one, _property(kinds, name)) for name, one in value.items()}
    return value


def _property(kinds: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the schema of a property of an object: its own, or that of any further one."""
    further = [kind.get("properties", {}).get(name) or kind.get("additionalProperties") for kind in kinds]
    return {"anyOf": [one for one in further if isinstance(one, Mapping)]}


def _event(host: Host, event: Output | Completed) -> bytes:
    """Return a server-sent event: ``output`` with a chunk as JSON, or ``end`` with the rest of the prediction."""
    if isinstance(event, Output):
        name, value = "output", event.chunk
    else:
        name, value = "end", ending(host, event.prediction)
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()

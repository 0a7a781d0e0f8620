"""The OpenAPI document, ``/openapi.json``: what each route takes, and every answer it may give.

Routes come from their declarations, bodies from the pydantic models that read them, answers from
``openapi_schemas``. A test sends random requests to hold the gateway to the document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pilotlight.gateway.api.openai import errors as openai_errors
from pilotlight.gateway.api.openapi_schemas import FREE, SCHEMAS, TEXT, Schema, ref
from pilotlight.gateway.api.routing import JSON, OPEN, Routes, RouteSpec, as_json
from pilotlight.gateway.api.tokens import Scope

ROUTES = Routes("Operations")

_PROBLEM = "application/problem+json"
# The methods that OpenAPI 3.1 can describe, of those that the gateway has.
_METHODS = ("GET", "POST", "PATCH", "DELETE")

# Why a route answers with a status.
_REASONS = {
    200: "Done.",
    201: "Created.",
    202: "Accepted; it has not ended within the wait.",
    204: "Deleted.",
    400: "The request cannot be read.",
    401: "A token is needed.",
    403: "The token has too narrow a scope.",
    404: "Not found.",
    409: "The present state does not allow it.",
    413: "The body is too large.",
    415: "The body is not sent as JSON, or as a form.",
    421: "The gateway is not known under this name.",
    422: "The request can be read, and is wrong.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "The prediction failed.",
    503: "The gateway is starting or stopping.",
    507: "There is no more space for this caller.",
}


@ROUTES.add(
    "GET",
    "/openapi.json",
    scope=Scope.READ,
    summary="Describe the routes for programs.",
    answers={200: as_json(FREE)},
)
async def show_document(request: Request) -> Response:
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = document(request.app.router.specs)
    return JSONResponse(state.document)


def document(routes: Sequence[RouteSpec]) -> Schema:
    """Return the OpenAPI 3.1 document of the routes that programs use."""
    described = [route for route in routes if route.documented]
    models = sorted({route.body for route in described if route.body is not None}, key=lambda one: one.__name__)
    _, made = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Schema] = {}
    for route in described:
        if route.method in _METHODS:
            paths.setdefault(route.plain_path, {})[route.method.lower()] = _operation(route)
    others = [f"{route.label}: {route.summary}" for route in described if route.method not in _METHODS]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pilotlight gateway",
            "version": "1",
            "description": "Replicate's HTTP API, plain routes, and OpenAI's API. OpenAPI 3.1 cannot describe "
            f"{' '.join(others)}",
        },
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, **made.get("$defs", {})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def error_statuses(route: RouteSpec) -> set[int]:
    """Return the statuses of the errors of a route: its own, and those that follow from its declaration."""
    statuses = {*route.errors, 421, 503}
    if route.scope is not OPEN:
        statuses |= {401, 429}
    if route.scope in (Scope.PREDICT, Scope.ADMIN):
        statuses |= {403}
    if route.path_parameters:
        statuses |= {400}  # for control characters
    if route.body is not None:
        statuses |= {400, 413, 415, 422}
    elif route.takes:
        statuses |= {400, 413, 415}
    elif route.method == "POST":
        statuses |= {413, 415}
    if route.path.startswith(openai_errors.PREFIX):
        statuses = {int(openai_errors.status_of(HTTPStatus(status))) for status in statuses}
    return statuses


def _operation(route: RouteSpec) -> Schema:
    described: Schema = {
        "operationId": re.sub(r"\W+", "_", route.label).strip("_").lower(),
        "summary": route.summary,
        "tags": [route.group],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": TEXT} for name in route.path_parameters),
            *route.parameters,
        ],
        "responses": {str(status): one for status, one in sorted(_responses(route).items())},
    }
    if route.scope is OPEN:
        described["security"] = []
    content = dict(route.takes) if route.body is None else {JSON: ref(route.body.__name__)}
    if content:
        described["requestBody"] = {
            "required": route.body is None or bool(route.body.model_json_schema().get("required")),
            "content": {kind: {"schema": schema} for kind, schema in content.items()},
        }
    return described


def _responses(route: RouteSpec) -> dict[int, Schema]:
    openai = route.path.startswith(openai_errors.PREFIX)
    error: Schema = {JSON: {"schema": ref("OpenAIError")}} if openai else {_PROBLEM: {"schema": ref("Problem")}}
    responses: dict[int, Schema] = {
        status: {"description": _REASONS[status], "content": dict(error)} for status in error_statuses(route)
    }
    for status, content in route.answers.items():
        shown = responses.setdefault(status, {"description": _REASONS[status]})
        for kind, schema in content.items():
            shown.setdefault("content", {})[kind] = {"schema": schema}
    return responses

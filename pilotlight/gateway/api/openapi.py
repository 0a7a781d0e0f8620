"""The gateway's description of itself, ``/openapi.json``: of every route what it takes, and every answer it may give.

What is sent is described by the pydantic models that read it. What is answered is described by hand, and a test sends
random requests to hold the gateway to it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pilotlight.gateway.api.openai import errors as openai_errors
from pilotlight.gateway.api.openai import schemas as openai_schemas
from pilotlight.gateway.api.openapi_schemas import EVENT, FREE, SCHEMAS, TEXT, Schema, list_of, page_of, record, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas

_JSON, _PROBLEM, _STREAM, _PLAIN = "application/json", "application/problem+json", "text/event-stream", "text/plain"
_OTHER = {_STREAM: EVENT}
_OPEN = ("/health", "/openai/health")

# Of every route that is behind the guard; and of those that take a body.
_GUARDED = (401, 421, 429, 503)
_READS = (400, 413, 415, 422)

_REASONS = {
    200: "Done.",
    201: "Created.",
    202: "Accepted, and not ended within the wait.",
    204: "Gone.",
    400: "It cannot be read.",
    401: "A token is needed.",
    403: "The token is not for this.",
    404: "There is none.",
    409: "What is there does not allow it.",
    413: "It is too large.",
    415: "It is not sent as JSON, or as a form.",
    421: "The gateway is not known by this name.",
    422: "It can be read, and is wrong.",
    429: "Too much at once; Retry-After says when to come back.",
    500: "The prediction failed.",
    503: "Not now.",
}

_CURSOR: Schema = {
    "name": "cursor",
    "in": "query",
    "required": False,
    "schema": TEXT,
    "description": "A place in the list, as `next` and `previous` give it.",
}
_PREFER: Schema = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^wait=([1-9]|[1-5][0-9]|60)$"},
    "description": "Wait for the end for up to so many seconds, 60 for `wait` alone.",
}
_CANCEL_AFTER: Schema = {
    "name": "Cancel-After",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^([5-9]|[1-9][0-9]{1,3})s?$"},
    "description": "Cancel it when it has not ended so long after its creation, such as 90s or 1h30m; 5 s to a day.",
}
_MODEL_NAME: Schema = {"name": "model", "in": "query", "required": False, "schema": TEXT}
_TAIL: Schema = {
    "name": "tail",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": 5000},
    "description": "How many of the last lines; with follow=1, those to come are sent as events.",
}
_FORM: Schema = record({"metadata": TEXT}, content={"type": "string", "format": "binary"})


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route takes and answers.

    Attributes:
        answers: by status, the schema of a JSON answer, or the content type of another; ``None`` for an empty one.
        problems: the statuses of the errors that are its own.
        body: the model that reads what it takes.
        content: what it takes and no model reads, by content type.
        parameters: in the query and in headers.
    """

    answers: Mapping[int, Schema | str | None]
    problems: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    content: Mapping[str, Schema] = field(default_factory=dict)
    parameters: tuple[Schema, ...] = ()

    @property
    def reads(self) -> bool:
        return self.body is not None or bool(self.content)


def _creates(*problems: int) -> Operation:
    shown = ref("Prediction")
    return Operation(
        {201: shown, 202: shown}, (404, *problems), replicate_schemas.PredictionBody, {}, (_PREFER, _CANCEL_AFTER)
    )


def _reads(schema: Schema, *problems: int) -> Operation:
    return Operation({200: schema}, problems)


_PREDICTION, _MODEL, _VERSION, _DEPLOYMENT, _FILE = (
    ref(name) for name in ("Prediction", "Model", "Version", "Deployment", "File")
)
_HEALTH = Operation({200: ref("Health"), 503: ref("Health")}, (404,))
_COMPLETES = {200: FREE}

OPERATIONS = {
    "GET /v1/predictions": Operation({200: page_of(_PREDICTION)}, (400,), parameters=(_CURSOR,)),
    "POST /v1/predictions": _creates(),
    "GET /v1/predictions/{id}": _reads(_PREDICTION, 404),
    "POST /v1/predictions/{id}/cancel": _reads(_PREDICTION, 404),
    "GET /v1/predictions/{id}/stream/{key}": Operation({200: _STREAM}, (404,)),
    "POST /v1/models/{owner}/{name}/predictions": _creates(),
    "POST /v1/deployments/{owner}/{name}/predictions": _creates(),
    "GET /v1/models": _reads(page_of(_MODEL)),
    "POST /v1/models": Operation({201: _MODEL}, (403, 409), replicate_schemas.ModelBody),
    "GET /v1/models/{owner}/{name}": _reads(_MODEL, 404),
    "DELETE /v1/models/{owner}/{name}": Operation({204: None}, (403, 404, 409)),
    "GET /v1/models/{owner}/{name}/versions": _reads(page_of(_VERSION), 404),
    "GET /v1/models/{owner}/{name}/versions/{id}": _reads(_VERSION, 404),
    "DELETE /v1/models/{owner}/{name}/versions/{id}": Operation({204: None}, (403, 404, 409)),
    "GET /v1/deployments": _reads(page_of(_DEPLOYMENT)),
    "POST /v1/deployments": Operation({201: _DEPLOYMENT}, (403, 404, 409), replicate_schemas.DeploymentBody),
    "GET /v1/deployments/{owner}/{name}": _reads(_DEPLOYMENT, 404),
    "PATCH /v1/deployments/{owner}/{name}": Operation(
        {200: _DEPLOYMENT}, (403, 404, 409), replicate_schemas.DeploymentChanges
    ),
    "DELETE /v1/deployments/{owner}/{name}": Operation({204: None}, (403, 404, 409)),
    "GET /v1/files": _reads(page_of(_FILE)),
    "POST /v1/files": Operation({201: _FILE}, content={"multipart/form-data": _FORM}),
    "GET /v1/files/{id}": _reads(_FILE, 404),
    "DELETE /v1/files/{id}": Operation({204: None}, (404,)),
    "GET /v1/files/{id}/{key}/{name}": Operation({200: "*/*"}, (404,)),
    "GET /v1/account": _reads(ref("Account")),
    "GET /v1/hardware": _reads(list_of(record(sku=TEXT, name=TEXT))),
    "GET /v1/webhooks/default/secret": _reads(record(key=TEXT)),
    "GET /v1/collections": _reads(page_of(FREE)),
    "GET /v1/collections/{slug}": Operation({}, (404,)),
    "GET /v1/trainings": _reads(page_of(FREE)),
    "GET /v1/trainings/{id}": Operation({}, (404,)),
    "POST /v1/trainings/{id}/cancel": Operation({}, (404,)),
    "POST /v1/models/{owner}/{name}/versions/{id}/trainings": Operation({}, (404, 422)),
    "GET /health": _HEALTH,
    "POST /predict": Operation(
        {200: ref("PlainPrediction"), 422: ref("Mistakes")}, (404,), replicate_schemas.PlainBody
    ),
    "POST /predict/batch": Operation(
        {200: record(predictions=list_of(ref("PlainPrediction")))}, (404,), replicate_schemas.BatchBody
    ),
    "GET /metrics": Operation({200: _PLAIN}),
    "GET /status": _reads(FREE),
    "GET /logs": Operation({200: FREE}, (400, 404), parameters=(_MODEL_NAME, _TAIL)),
    "GET /openapi.json": _reads(FREE),
    "GET /openai/health": _HEALTH,
    "GET /openai/v1/models": _reads(record(object=TEXT, data=list_of(FREE))),
    "GET /openai/v1/models/{model}": _reads(FREE, 404),
    "POST /openai/v1/completions": Operation(_COMPLETES, (404, 409, 500), openai_schemas.CompletionBody),
    "POST /openai/v1/chat/completions": Operation(_COMPLETES, (404, 409, 500), openai_schemas.ChatBody),
}


def routes() -> list[Route]:
    """The one for the description."""
    return [Route("/openapi.json", show_document)]


async def show_document(request: Request) -> Response:
    """This description."""
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = document(request.app.routes)
    return JSONResponse(state.document)


def document(routes: Sequence[BaseRoute]) -> Schema:
    """OpenAPI 3.1, of those of the routes that ``OPERATIONS`` has."""
    models = sorted({one.body for one in OPERATIONS.values() if one.body is not None}, key=lambda one: one.__name__)
    _, made = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Schema] = {}
    for label, endpoint in endpoints(routes):
        method, _, path = label.partition(" ")
        if label in OPERATIONS:
            paths.setdefault(path, {})[method.lower()] = _described(label, OPERATIONS[label], endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pilotlight gateway",
            "version": "1",
            "description": "Replicate's HTTP API, plain routes, and OpenAI's API. What OpenAPI 3.1 has no words for: "
            "QUERY /v1/models searches models for the words of a plain text.",
        },
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, **made.get("$defs", {})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def endpoints(routes: Sequence[BaseRoute]) -> list[tuple[str, Callable[..., Any]]]:
    """``METHOD /path`` and the function, of all routes."""
    return [
        (f"{method} {re.sub(':path}', '}', route.path)}", route.endpoint)
        for route in routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]


def _described(label: str, operation: Operation, endpoint: Callable[..., Any]) -> Schema:
    method, _, path = label.partition(" ")
    described: Schema = {
        "operationId": re.sub(r"\W+", "_", label).strip("_").lower(),
        "summary": (inspect.getdoc(endpoint) or endpoint.__name__.replace("_", " ")).splitlines()[0],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": TEXT} for name in re.findall(r"{(\w+)}", path)),
            *operation.parameters,
        ],
        "responses": {str(status): one for status, one in sorted(_responses(method, path, operation).items())},
    }
    content = dict(operation.content)
    if operation.body is not None:
        content[_JSON] = ref(operation.body.__name__)
    if content:
        described["requestBody"] = {
            "required": operation.body is None or bool(operation.body.model_json_schema().get("required")),
            "content": {kind: {"schema": schema} for kind, schema in content.items()},
        }
    return described


def _responses(method: str, path: str, operation: Operation) -> dict[int, Schema]:
    problems = {*operation.problems, *(() if path in _OPEN else _GUARDED)}
    if operation.reads:
        problems |= {*_READS}
    elif method == "POST":
        problems |= {413, 415}
    openai = path.startswith(openai_errors.PREFIX)
    if openai:
        problems -= {422}
    error: Schema = {_JSON: {"schema": ref("OpenAIError")}} if openai else {_PROBLEM: {"schema": ref("Problem")}}
    responses: dict[int, Schema] = {
        status: {"description": _REASONS[status], "content": dict(error)} for status in problems
    }
    for status, answer in operation.answers.items():
        shown = responses.setdefault(status, {"description": _REASONS[status]})
        if answer is not None:
            kind, schema = (_JSON, answer) if isinstance(answer, dict) else (answer, _OTHER.get(answer, TEXT))
            shown.setdefault("content", {})[kind] = {"schema": schema}
    if operation.body in (openai_schemas.CompletionBody, openai_schemas.ChatBody):
        responses[200]["content"][_STREAM] = {"schema": EVENT}
    return responses

"""Replicate's API for searching models: ``QUERY /v1/models``, and ``GET /v1/search``."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pilotlight.gateway.api.errors import bad_request
from pilotlight.gateway.api.openapi_schemas import FREE, TEXT, Schema, list_of, page_of, record, ref
from pilotlight.gateway.api.replicate.models import shown_model
from pilotlight.gateway.api.replicate.pages import listing
from pilotlight.gateway.api.request import base_of, gateway_of
from pilotlight.gateway.api.routing import JSON, Routes, as_json
from pilotlight.gateway.api.tokens import Scope

ROUTES = Routes("Models")

_LONGEST = 1000
# As many as Replicate gives by default, and at most.
_LIMIT, _MOST = 20, 50

_QUERY: Schema = {
    "name": "query",
    "in": "query",
    "required": True,
    "schema": TEXT,
    "description": "The words that a model's name or description has.",
}
_LIMIT_PARAMETER: Schema = {
    "name": "limit",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": _MOST},
    "description": f"How many models at most; {_LIMIT} by default.",
}
_FOUND = record(
    query=TEXT,
    models=list_of(record(model=ref("Model"), metadata=FREE)),
    collections=list_of(FREE),
    pages=list_of(FREE),
)


@ROUTES.add(
    "QUERY",
    "/v1/models",
    scope=Scope.READ,
    summary="Search the models whose name or description has every word of the body, a plain text or a JSON string.",
    answers={200: as_json(page_of(ref("Model")))},
    takes={"text/plain": TEXT, JSON: TEXT},
)
async def search_models(request: Request) -> Response:
    return JSONResponse(listing(await _found(request, words_of(await request.body()))))


@ROUTES.add(
    "GET",
    "/v1/search",
    scope=Scope.READ,
    summary="Search the models whose name or description has every word of the query.",
    answers={200: as_json(_FOUND)},
    errors=(400,),
    parameters=(_QUERY, _LIMIT_PARAMETER),
)
async def search(request: Request) -> Response:
    """Answer with models only: there are no collections here, and no pages of documentation."""
    query = request.query_params.get("query")
    if query is None:
        raise bad_request("query is required: give the words to search for, as in /v1/search?query=WORDS.")
    limit = request.query_params.get("limit", str(_LIMIT))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MOST):
        raise bad_request(f"limit {limit[:40]!r}: give 1 to {_MOST}.")
    models = [{"model": model, "metadata": {"tags": []}} for model in await _found(request, query, int(limit))]
    return JSONResponse({"query": query, "models": models, "collections": [], "pages": []})


def words_of(body: bytes) -> str:
    """Return the text of a search: the body, or the string where it is one in JSON, as newer clients send it."""
    text = body.decode(errors="replace")
    try:
        found = json.loads(text) if text.startswith('"') else text
    except ValueError:
        found = text
    return str(found)


async def _found(request: Request, text: str, limit: int | None = None) -> list[dict[str, object]]:
    gateway, words = gateway_of(request), text[:_LONGEST].lower().split()
    models = [
        model
        for model in gateway.catalog.models
        if all(word in f"{model.model} {model.description or ''}".lower() for word in words)
    ]
    return [await shown_model(gateway, model, base_of(request)) for model in models[:limit]]

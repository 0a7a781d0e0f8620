"""Status and logs, for ``pilotlight top``, ``pilotlight logs`` and the page."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pilotlight.gateway.api.errors import bad_request
from pilotlight.gateway.api.openapi_schemas import FREE, TEXT, Schema
from pilotlight.gateway.api.request import caller_of, gateway_of
from pilotlight.gateway.api.routing import EVENTS, Routes, as_json
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.scheduler.log_buffer import LogBuffer
from pilotlight.gateway.scheduler.status import snapshot
from pilotlight.gateway.sse import PING, StreamEvent, encode

ROUTES = Routes("Operations")

_MOST_LINES = 5000

_MODEL: Schema = {
    "name": "model",
    "in": "query",
    "required": False,
    "schema": TEXT,
    "description": "The lines of this model only, as owner/name.",
}
_TAIL: Schema = {
    "name": "tail",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": _MOST_LINES, "default": 100},
    "description": "How many of the last lines; with follow=1 they, and each new one, are sent as events.",
}


@ROUTES.add(
    "GET",
    "/status",
    scope=Scope.READ,
    summary="Show models, workers, queues, durations and the latest predictions, without their content.",
    answers={200: as_json(FREE)},
)
async def show_status(request: Request) -> Response:
    """Answer with a ``GatewayStatus``."""
    status = await snapshot(gateway_of(request), owner=caller_of(request).only_owner)
    return JSONResponse(asdict(status), headers={"Cache-Control": "no-store"})


@ROUTES.add(
    "GET",
    "/logs",
    scope=Scope.READ,
    summary="Show the last lines that workers and predictions have printed; a token of scope predict sees those of its "
    "own predictions.",
    answers={200: as_json(FREE) | EVENTS},
    errors=(400, 404),
    parameters=(_MODEL, _TAIL),
)
async def show_logs(request: Request) -> Response:
    gateway, owner = gateway_of(request), caller_of(request).only_owner
    model = request.query_params.get("model")
    if model is not None:
        gateway.catalog.model(model)  # raises where there is none
    count = _count(request.query_params.get("tail", "100"))
    if request.query_params.get("follow") == "1":
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            _follow(gateway.logs, count, model, owner), media_type="text/event-stream", headers=headers
        )
    lines = [asdict(line) for line in gateway.logs.tail(count, model, owner)]
    return JSONResponse({"lines": lines}, headers={"Cache-Control": "no-store"})


async def _follow(logs: LogBuffer, count: int, model: str | None, owner: str | None) -> AsyncGenerator[bytes, None]:
    yield PING  # sends the headers at once, also while there are no lines
    async with aclosing(logs.follow(count, model, owner)) as lines:
        async for line in lines:
            if line is None:
                yield PING
            else:
                yield encode(StreamEvent("line", json.dumps(asdict(line))), str(line.number))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_MOST_LINES)) or int(text) > _MOST_LINES:
        raise bad_request(f"tail={text[:40]!r}: give 0 to {_MOST_LINES}.")
    return int(text)

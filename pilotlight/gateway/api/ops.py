"""Routes for those who watch the gateway: ``pilotlight top``, ``pilotlight logs`` and the page."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pilotlight.gateway.api.errors import ProblemError
from pilotlight.gateway.api.replicate.predictions import gateway_of
from pilotlight.gateway.scheduler.log_buffer import LogBuffer
from pilotlight.gateway.scheduler.status import snapshot
from pilotlight.gateway.sse import PING, StreamEvent, encode

_MOST_LINES = 5000


def routes() -> list[Route]:
    """All of them."""
    return [Route("/status", show_status), Route("/logs", show_logs)]


async def show_status(request: Request) -> Response:
    """As ``status.GatewayStatus``, in JSON."""
    return JSONResponse(asdict(await snapshot(gateway_of(request))), headers={"Cache-Control": "no-store"})


async def show_logs(request: Request) -> Response:
    """The last lines: of ``model`` or of all, ``tail`` of them (100), as one list or, with ``follow=1``, as events."""
    gateway = gateway_of(request)
    model = request.query_params.get("model")
    if model is not None:
        gateway.catalog.model(model)  # raises where there is none
    count = _count(request.query_params.get("tail", "100"))
    if request.query_params.get("follow") == "1":
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_follow(gateway.logs, count, model), media_type="text/event-stream", headers=headers)
    lines = [asdict(line) for line in gateway.logs.tail(count, model)]
    return JSONResponse({"lines": lines}, headers={"Cache-Control": "no-store"})


async def _follow(logs: LogBuffer, count: int, model: str | None) -> AsyncGenerator[bytes, None]:
    yield PING  # so that whoever follows knows at once that there is somebody to follow
    async with aclosing(logs.follow(count, model)) as lines:
        async for line in lines:
            if line is None:
                yield PING
            else:
                yield encode(StreamEvent("line", json.dumps(asdict(line))), str(line.number))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_MOST_LINES)) or int(text) > _MOST_LINES:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"tail={text[:40]!r}: give a number of lines up to {_MOST_LINES}.")
    return int(text)

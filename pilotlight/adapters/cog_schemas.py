"""Request and response bodies of Cog's HTTP API, as a Cog server reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pilotlight.errors import UsageError
from pilotlight.runtime import Completed, Event, Log, Metric, Output, Started, new_prediction_id
from pilotlight.runtime.http.request import check_prediction_id
from pilotlight.types import Prediction

__all__ = ["Asked", "RefusedError", "encode_event", "encode_prediction", "read_request", "unprocessable"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a prediction."""

    id: str
    inputs: Mapping[str, Any]
    context: Mapping[str, str]


class RefusedError(Exception):
    """A request is invalid; carries the response to it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


async def read_request(request: Request) -> Asked:
    """Read and check a request.

    Raises:
        RefusedError: the request is invalid; statuses are those of a Cog server.
    """
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise RefusedError(PlainTextResponse("Expected request with `Content-Type: application/json`", 415))
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise RefusedError(PlainTextResponse(f"Failed to parse the request body as JSON: {error}", 400)) from error
    if not isinstance(body, dict):
        raise RefusedError(PlainTextResponse('the body must be an object such as {"input": {}}', 422))
    prediction_id = request.path_params.get("prediction_id") or body.get("id") or new_prediction_id()
    if mistakes := [*_mistakes(body, request.headers.get("prefer", "")), *_wrong_id(body, prediction_id)]:
        raise RefusedError(unprocessable(mistakes))
    return Asked(prediction_id, body.get("input") or {}, body.get("context") or {})


def _mistakes(body: Mapping[str, Any], prefer: str) -> Iterator[dict[str, Any]]:
    if not isinstance(body.get("input") or {}, dict):
        yield _detail("body", "input", "must be an object of inputs by name")
    context = body.get("context") or {}
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        yield _detail("body", "context", "must be an object of texts by name")
    if body.get("webhook"):
        yield _detail("body", "webhook", "webhooks are not supported: read the response")
    if "respond-async" in prefer.lower():
        yield _detail("header", "prefer", "respond-async is not supported: a prediction ends with its connection")


def _wrong_id(body: Mapping[str, Any], prediction_id: Any) -> Iterator[dict[str, Any]]:
    if body.get("id", prediction_id) != prediction_id:
        yield _detail("body", "id", "prediction ID must match the ID supplied in the URL")
    try:
        check_prediction_id(prediction_id if isinstance(prediction_id, str) else "")
    except UsageError as error:
        yield _detail("body", "id", str(error))


def _detail(where: str, name: str, words: str) -> dict[str, Any]:
    return {"loc": [where, name], "msg": words, "type": "value_error"}


def unprocessable(details: Sequence[Mapping[str, Any]]) -> Response:
    return JSONResponse({"detail": details}, 422)


def encode_event(event: Event) -> bytes:
    """Return an event as a Cog server sends it; the inverse of ``runtime.events.decode_event``."""
    data: dict[str, Any]
    match event:
        case Started(prediction_id):
            name, data = "start", {"id": prediction_id, "status": "processing"}
        case Log(source, text):
            name, data = "log", {"source": source, "data": text}
        case Metric(metric, value, mode):
            name, data = "metric", {"name": metric, "value": value, "mode": mode}
        case Output(chunk, index):
            name, data = "output", {"chunk": chunk, "index": index}
        case Completed(prediction):
            name, data = "completed", encode_prediction(prediction)
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def encode_prediction(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as a Cog server returns it; fields that are ``None`` are left out."""
    body = {
        "id": prediction.id,
        "status": prediction.status,
        "output": prediction.output,
        "error": prediction.error,
        "logs": prediction.logs,
        "metrics": prediction.metrics,
    }
    return {name: value for name, value in body.items() if value is not None}

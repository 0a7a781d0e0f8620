"""Replicate's HTTP API, under ``/v1``."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pilotlight.gateway.api.errors import bad_request, not_found, unprocessable
from pilotlight.gateway.api.openapi_schemas import Schema, page_of, ref
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.headers import RequestOptions, read_cancel_after, read_wait, read_webhook
from pilotlight.gateway.api.replicate.pages import (
    CREATED,
    CURSOR,
    PAGE,
    listing,
    prediction_cursors,
    read_cursor,
    read_time,
)
from pilotlight.gateway.api.replicate.schemas import PredictionBody
from pilotlight.gateway.api.replicate.streams import events_of, read_position
from pilotlight.gateway.api.request import KEY_HEADER, base_of, caller_of, gateway_of, keys_of, name_of, services_of
from pilotlight.gateway.api.routing import EVENTS, OPEN, Routes, as_json
from pilotlight.gateway.api.run import accept
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.egress.addresses import RefusedUrlError
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.scheduler.router import ByDeployment, ByModel, ByVersion, Destination
from pilotlight.runtime import new_prediction_id

ROUTES = Routes("Predictions")

_PREDICTION = as_json(ref("Prediction"))
_CREATED = {201: _PREDICTION, 202: _PREDICTION}

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
_LAST_EVENT_ID: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]*$"},
    "description": "The id of the last event that was read: the stream goes on after it.",
}
_OPTIONS = (_PREFER, _CANCEL_AFTER)
_KEY = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Requests with the same value stay on one version of the deployment.",
}


@ROUTES.add_with_body(
    "POST",
    "/v1/predictions",
    PredictionBody,
    scope=Scope.PREDICT,
    summary="Create a prediction of a version, given as an id, owner/name:id, or owner/name.",
    answers=_CREATED,
    errors=(404,),
    parameters=_OPTIONS,
)
async def create_by_version(request: Request, body: PredictionBody) -> Response:
    if body.version is None:
        raise unprocessable("version is required: give an id, owner/name:id, or owner/name.")
    return await _create(request, body, gateway_of(request).route(ByVersion(body.version)))


@ROUTES.add_with_body(
    "POST",
    "/v1/models/{owner}/{name}/predictions",
    PredictionBody,
    scope=Scope.PREDICT,
    summary="Create a prediction of the latest version of a model.",
    answers=_CREATED,
    errors=(404,),
    parameters=_OPTIONS,
)
async def create_by_model(request: Request, body: PredictionBody) -> Response:
    return await _create_unversioned(request, body, gateway_of(request).route(ByModel(name_of(request))))


@ROUTES.add_with_body(
    "POST",
    "/v1/deployments/{owner}/{name}/predictions",
    PredictionBody,
    scope=Scope.PREDICT,
    summary="Create a prediction of a deployment.",
    answers=_CREATED,
    errors=(404,),
    parameters=(*_OPTIONS, _KEY),
)
async def create_by_deployment(request: Request, body: PredictionBody) -> Response:
    keys = keys_of(request, body.input)
    return await _create_unversioned(request, body, gateway_of(request).route(ByDeployment(name_of(request)), keys))


@ROUTES.add(
    "GET",
    "/v1/predictions/{id}",
    scope=Scope.READ,
    summary="Get a prediction.",
    answers={200: _PREDICTION},
    errors=(404,),
)
async def get_prediction(request: Request) -> Response:
    return _shown(request, await _find(request))


@ROUTES.add(
    "POST",
    "/v1/predictions/{id}/cancel",
    scope=Scope.PREDICT,
    summary="Cancel a prediction.",
    answers={200: _PREDICTION},
    errors=(404,),
)
async def cancel_prediction(request: Request) -> Response:
    found = await _find(request)
    return _shown(request, await gateway_of(request).cancel(found.id) or found)


@ROUTES.add(
    "GET",
    "/v1/predictions",
    scope=Scope.READ,
    summary="List predictions, newest first, in pages; a token of scope predict lists its own.",
    answers={200: as_json(page_of(ref("Prediction")))},
    errors=(400,),
    parameters=(*CREATED, CURSOR),
)
async def list_predictions(request: Request) -> Response:
    """Leave out inputs, outputs and logs that are long, which ``left_out`` names: the prediction itself has them."""
    query = request.query_params
    created = (
        read_time("created_after", query.get("created_after")),
        read_time("created_before", query.get("created_before")),
    )
    source, cursor = query.get("source"), query.get("cursor")
    if source not in (None, "api", "web"):
        raise bad_request(f"source {source[:40]!r}: give web, for what was created on a web page.")
    if source == "web":  # predictions of the gateway's page come by the API too
        return JSONResponse(listing([]))
    place = read_cursor(cursor) if cursor else {}
    page = await gateway_of(request).page(PAGE, owner=caller_of(request).only_owner, created=created, **place)
    base = base_of(request)
    shown = [replicate_schemas.prediction(record, base) for _, record in page.records]
    return JSONResponse(listing(shown, **prediction_cursors(request, page)))


@ROUTES.add(
    "GET",
    "/v1/predictions/{id}/stream/{key}",
    scope=OPEN,
    summary="Stream the output of a prediction from its beginning; the URL holds its secret.",
    answers={200: EVENTS},
    errors=(404,),
    parameters=(_LAST_EVENT_ID,),
)
async def stream_prediction(request: Request) -> Response:
    gateway = gateway_of(request)
    record = await gateway.find(request.path_params["id"])
    key = request.path_params["key"].encode()
    if record is None or not hmac.compare_digest(record.stream_key.encode(), key):
        raise not_found("such stream")
    events = events_of(record, gateway.active(record.id), read_position(request.headers.get("last-event-id")))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _create_unversioned(request: Request, body: PredictionBody, destination: Destination) -> Response:
    if body.version is not None:
        what = "model" if destination.deployment is None else "deployment"
        raise unprocessable(f"version {body.version[:140]!r}: the URL already names a {what}; leave version out.")
    return await _create(request, body, destination)


async def _create(request: Request, body: PredictionBody, destination: Destination) -> Response:
    wait_s = read_wait(request.headers.get("prefer"))
    options = _options_of(request, body)
    active = await accept(request, destination, body.input or {}, options=options)
    ended = wait_s is not None and await active.wait_ended(wait_s)
    shown = replicate_schemas.prediction(active.record, base_of(request), hide_progress=True)
    status = HTTPStatus.CREATED if ended or wait_s is None else HTTPStatus.ACCEPTED
    return JSONResponse(shown, status)


def _options_of(request: Request, body: PredictionBody) -> RequestOptions | None:
    """Return the webhook and the deadline of a prediction; ``None`` where it has neither."""
    after_s = read_cancel_after(request.headers.get("cancel-after"))
    url, events = read_webhook(body)
    if url is None and after_s is None:
        return None
    prediction = new_prediction_id()
    subscription = None
    if url is not None:
        try:
            subscription = services_of(request).dispatcher.subscription(prediction, url, events, base_of(request))
        except RefusedUrlError as error:
            raise unprocessable(f"webhook: {error}") from None
    cancel_at = None if after_s is None else gateway_of(request).clock() + after_s
    return RequestOptions(prediction, subscription, cancel_at)


async def _find(request: Request) -> PredictionRecord:
    """Return the prediction in the path; raises a 404 where there is none, or it is not there for this caller."""
    record = await gateway_of(request).find(request.path_params["id"])
    if record is None or not caller_of(request).may_use(record.owner):
        raise not_found(f"prediction {request.path_params['id'][:140]!r}")
    return record


def _shown(request: Request, record: PredictionRecord) -> Response:
    return JSONResponse(replicate_schemas.prediction(record, base_of(request)))

"""OpenAI's API, under ``/openai/v1``, for every served predictor that completes text.

``model`` is ``owner/name``, and by default the first of them. Errors have OpenAI's shape (``api.errors.respond``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.openai import inputs as openai_inputs
from pilotlight.gateway.api.openai import schemas as openai_schemas
from pilotlight.gateway.api.openai.errors import error
from pilotlight.gateway.api.openai.inputs import Mapped
from pilotlight.gateway.api.openai.schemas import CHAT, COMPLETION, DONE, AnswerShape, ChatBody, CompletionBody
from pilotlight.gateway.api.openapi_schemas import FREE, TEXT, list_of, record
from pilotlight.gateway.api.request import gateway_of
from pilotlight.gateway.api.routing import EVENTS, Routes, as_json
from pilotlight.gateway.api.run import accept, end_for, while_connected
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.prediction import PredictionRecord
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.gateway import Gateway
from pilotlight.gateway.scheduler.router import ByOpenAIName, Destination
from pilotlight.gateway.sse import PING, StreamEvent
from pilotlight.runtime.schema.validation import InvalidInputError
from pilotlight.types import Status

ROUTES = Routes("OpenAI's API")

# A prediction that has failed would fail again; without this header OpenAI's client repeats the request twice.
_NOT_AGAIN = {"X-Should-Retry": "false"}

# How a predictor says that an input is wrong which the schema allows: by raising an ``InputError``, as ours does.
_WRONG_INPUT = re.compile(r"(?<=InputError: )(?P<name>\w+): .*", re.DOTALL)


@ROUTES.add(
    "GET",
    "/openai/v1/models",
    scope=Scope.READ,
    summary="List the models that complete text.",
    answers={200: as_json(record(object=TEXT, data=list_of(FREE)))},
)
async def list_models(request: Request) -> Response:
    shown = [openai_schemas.model(version) for version in gateway_of(request).versions if _is_text(version)]
    return JSONResponse({"object": "list", "data": shown})


@ROUTES.add(
    "GET",
    "/openai/v1/models/{model:path}",
    scope=Scope.READ,
    summary="Get a model that completes text.",
    answers={200: as_json(FREE)},
    errors=(404,),
)
async def get_model(request: Request) -> Response:
    return JSONResponse(openai_schemas.model(_route(request, request.path_params["model"]).version))


@ROUTES.add_with_body(
    "POST",
    "/openai/v1/completions",
    CompletionBody,
    scope=Scope.PREDICT,
    summary="Complete a prompt; with stream: true, as events.",
    answers={200: as_json(FREE) | EVENTS},
    errors=(404, 409, 500),
)
async def complete(request: Request, body: CompletionBody) -> Response:
    destination = _route(request, body.model, body.end_user)
    mapped = openai_inputs.completion_inputs(body, destination.version.schema.inputs)
    return await _answer(request, destination, body, mapped, COMPLETION)


@ROUTES.add_with_body(
    "POST",
    "/openai/v1/chat/completions",
    ChatBody,
    scope=Scope.PREDICT,
    summary="Answer a conversation; with stream: true, as events.",
    answers={200: as_json(FREE) | EVENTS},
    errors=(404, 409, 500),
)
async def chat(request: Request, body: ChatBody) -> Response:
    destination = _route(request, body.model, body.end_user)
    mapped = openai_inputs.chat_inputs(body, destination.version.schema.inputs)
    return await _answer(request, destination, body, mapped, CHAT)


async def _answer(
    request: Request, destination: Destination, body: CompletionBody | ChatBody, mapped: Mapped, shape: AnswerShape
) -> Response:
    gateway, version = gateway_of(request), destination.version
    try:
        active = await accept(request, destination, mapped.inputs)
    except InvalidInputError as mistakes:
        raise _invalid(mistakes, mapped) from None
    headers = {"X-Request-Id": active.id}
    if body.stream:
        counts = body.stream_options is not None and bool(body.stream_options.include_usage)
        stream = _Stream(gateway, active, version, mapped, shape, counts=counts)
        # A prediction that fails before its first text is answered with a status of HTTP instead of a stream.
        await while_connected(request, stream.open())
        headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream.sent(), media_type="text/event-stream", headers=headers)
    record = await end_for(request, gateway, active)
    _require_success(record, mapped)
    return JSONResponse(shape.answer(version, record, openai_schemas.text_of_output(record.output)), headers=headers)


class _Stream:
    """One prediction as OpenAI's events; closing the connection cancels it."""

    def __init__(
        self,
        gateway: Gateway,
        active: ActivePrediction,
        version: Version,
        mapped: Mapped,
        shape: AnswerShape,
        *,
        counts: bool,
    ) -> None:
        self._gateway = gateway
        self._active = active
        self._version = version
        self._mapped = mapped
        self._shape = shape
        self._counts = counts
        self._events = active.follow()
        self._opening: StreamEvent | None = None

    async def open(self) -> None:
        """Wait for the first text, the end, or a ping.

        Raises:
            ApiError: the prediction failed before any text.
        """
        try:
            async for event in self._events:
                self._opening = event
                if event is None or event.name == "output":
                    return
        except asyncio.CancelledError:
            self._gateway.leave(self._active)
            raise
        _require_success(self._active.record, self._mapped)

    async def sent(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the events."""
        first = True
        try:
            async for event in self._from_the_opening():
                if event is None:
                    yield PING
                elif event.name == "output":
                    yield self._piece(event.data, first=first)
                    first = False
            record = self._active.record
            _require_success(record, self._mapped)
            if first:  # an output in one piece, or none
                yield self._piece(openai_schemas.text_of_output(record.output), first=True)
            yield self._piece(None, first=False)
            if self._counts:
                yield self._shape.counted(self._version, record)
            yield DONE
        except ApiError as failure:
            yield openai_schemas.encode(error(failure.status, failure.body))
        finally:
            self._gateway.leave(self._active)

    async def _from_the_opening(self) -> AsyncGenerator[StreamEvent | None, None]:
        async with aclosing(self._events) as events:
            yield self._opening
            async for event in events:
                yield event

    def _piece(self, text: str | None, *, first: bool) -> bytes:
        return self._shape.event(self._version, self._active.record, text, first=first, counts=self._counts)


def _require_success(record: PredictionRecord, mapped: Mapped) -> None:
    """Raise an ``ApiError`` for a prediction that has not succeeded."""
    if record.status is Status.SUCCEEDED:
        return
    if record.status is Status.CANCELED:
        raise ApiError(HTTPStatus.CONFLICT, f"Prediction {record.id} was cancelled.", headers=_NOT_AGAIN)
    if record.status is not Status.FAILED:
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The gateway is stopping: repeat the request later.",
            headers={"Retry-After": "5"},
        )
    wrong = _WRONG_INPUT.search(record.error or "")
    if wrong is not None and wrong["name"] in mapped.params:
        extra = {"param": mapped.params[wrong["name"]]}
        raise ApiError(HTTPStatus.BAD_REQUEST, wrong[0], headers=_NOT_AGAIN, extra=extra)
    detail = f"Prediction {record.id} failed: {record.error}"
    raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, detail, headers=_NOT_AGAIN)


def _invalid(mistakes: InvalidInputError, mapped: Mapped) -> ApiError:
    lines = [f"{mapped.params.get(one.field, one.field)}: {one.message}" for one in mistakes.mistakes]
    first = mistakes.mistakes[0].field
    return ApiError(HTTPStatus.BAD_REQUEST, "; ".join(lines), extra={"param": mapped.params.get(first, first)})


def _is_text(version: Version) -> bool:
    return version.schema.completes_text


def _route(request: Request, name: str | None, key: str | None = None) -> Destination:
    """Return where a request for a model of that name goes; raises an ``ApiError``, 404, when there is none."""
    try:
        return gateway_of(request).route(ByOpenAIName(name, _is_text), key)
    except MissingError as error:
        extra = {"param": "model", "code": "model_not_found"}
        raise ApiError(HTTPStatus.NOT_FOUND, str(error), extra=extra) from None

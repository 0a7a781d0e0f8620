"""OpenAI's API, under ``/openai/v1``, for every served predictor that completes text.

``model`` is ``owner/name``, and by default the first of them. Errors have OpenAI's shape (``api.errors.respond``).
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.openai import inputs as openai_inputs
from pilotlight.gateway.api.openai import schemas as openai_schemas
from pilotlight.gateway.api.openai.choices import ChoiceStream, accept_choices, ends_for
from pilotlight.gateway.api.openai.inputs import Mapped
from pilotlight.gateway.api.openai.schemas import CHAT, COMPLETION, AnswerShape, ChatBody, CompletionBody
from pilotlight.gateway.api.openapi_schemas import FREE, TEXT, list_of, record
from pilotlight.gateway.api.request import gateway_of, keys_of
from pilotlight.gateway.api.routing import EVENTS, Routes, as_json
from pilotlight.gateway.api.run import while_connected
from pilotlight.gateway.api.tokens import Scope
from pilotlight.gateway.registry.names import MissingError
from pilotlight.gateway.registry.versions import Version
from pilotlight.gateway.scheduler.router import ByOpenAIName, Destination

ROUTES = Routes("OpenAI's API")


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
    return JSONResponse(openai_schemas.model(_route(request, request.path_params["model"].rstrip("/")).version))


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
    request: Request,
    destination: Destination,
    body: CompletionBody | ChatBody,
    mapped: Sequence[Mapped],
    shape: AnswerShape,
) -> Response:
    version, samples = destination.version, body.n or 1
    choices = await accept_choices(request, destination, mapped, samples)
    headers = {"X-Request-Id": choices[0].id}
    if body.stream:
        counts = body.stream_options is not None and bool(body.stream_options.include_usage)
        stream = ChoiceStream(gateway_of(request), choices, version, shape, samples=samples, counts=counts)
        # A prediction that fails before its first text is answered with a status of HTTP instead of a stream.
        await while_connected(request, stream.open())
        headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream.sent(), media_type="text/event-stream", headers=headers)
    return JSONResponse(shape.answer(version, await ends_for(request, choices), samples), headers=headers)


def _is_text(version: Version) -> bool:
    return version.schema.completes_text


def _route(request: Request, name: str | None, end_user: str | None = None) -> Destination:
    """Return where a request for a model of that name goes; raises an ``ApiError``, 404, when there is none."""
    try:
        return gateway_of(request).route(ByOpenAIName(name, _is_text), keys_of(request, key=end_user))
    except MissingError as error:
        extra = {"param": "model", "code": "model_not_found"}
        raise ApiError(HTTPStatus.NOT_FOUND, str(error), extra=extra) from None

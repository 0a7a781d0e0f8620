"""The clouds' side of an endpoint: their routes and framing in front of a container of ours. On a thread."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import zlib
from contextlib import aclosing

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pilotlight.adapters.web import PredictionError, answer_error, while_asked


@contextlib.contextmanager
def on_a_thread(app):
    """The URL at which ``app`` answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(120)


def frame(headers, payload):
    """One message of AWS's event stream: lengths, checksum, headers of type 7 (text), payload, checksum."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", zlib.crc32(message))


def hanging_up(answer, client):
    """What ends a request to the container, however its answer was passed on: in part, or not at all."""

    async def close():
        await answer.aclose()
        await client.aclose()

    return BackgroundTask(close)


async def unavailable(request, error):
    """What both clouds say while no container can be reached."""
    body = {"error": {"code": 503, "message": "no replica of the model can be reached", "status": "UNAVAILABLE"}}
    return JSONResponse(body, 503, {"x-amzn-ErrorType": "ServiceUnavailable"})


def sagemaker_runtime(container, endpoint):
    """SageMaker's runtime API for one endpoint whose container is at this URL."""

    def refused(status, body):
        error = {"Message": "the container failed", "OriginalStatusCode": status, "OriginalMessage": body}
        return Response(json.dumps(error), 424, {"x-amzn-ErrorType": "ModelError"}, "application/json")

    def missing(name):
        error = {"message": f"Endpoint {name} of account 1 not found."}
        return Response(json.dumps(error), 400, {"x-amzn-ErrorType": "ValidationError"}, "application/json")

    def headers(request):
        kind = request.headers.get("content-type", "application/json")
        accept = request.headers.get("x-amzn-sagemaker-accept") or request.headers.get("accept", "*/*")
        return {"Content-Type": kind, "Accept": accept}

    async def invoke(request):
        if request.path_params["name"] != endpoint:
            return missing(request.path_params["name"])
        async with httpx2.AsyncClient(trust_env=False, timeout=120, verify=False) as client:
            url = f"{container}/invocations"
            answer = await client.post(url, content=await request.body(), headers=headers(request))
        if answer.status_code != 200:
            return refused(answer.status_code, answer.text)
        return Response(answer.content, media_type=answer.headers["content-type"])

    async def stream(request):
        if request.path_params["name"] != endpoint:
            return missing(request.path_params["name"])
        client = httpx2.AsyncClient(trust_env=False, timeout=120, verify=False)
        url = f"{container}/invocations"
        asked = client.build_request("POST", url, content=await request.body(), headers=headers(request))
        asked.headers["Accept"] = request.headers["x-amzn-sagemaker-accept"]
        answer = await while_asked(request, client.send(asked, stream=True))
        if answer.status_code != 200:
            body = (await answer.aread()).decode()
            await client.aclose()
            return refused(answer.status_code, body)

        async def frames():
            async with aclosing(answer.aiter_bytes()) as parts:
                async for part in parts:
                    kinds = {":message-type": "event", ":event-type": "PayloadPart"}
                    yield frame({**kinds, ":content-type": "application/octet-stream"}, part)

        kind = "application/vnd.amazon.eventstream"
        return StreamingResponse(frames(), media_type=kind, background=hanging_up(answer, client))

    return Starlette(
        routes=[
            Route("/endpoints/{name}/invocations", invoke, methods=["POST"]),
            Route("/endpoints/{name}/invocations-response-stream", stream, methods=["POST"]),
        ],
        exception_handlers={PredictionError: answer_error, httpx2.TransportError: unavailable},
    )


def vertex_api(container, endpoint):
    """The prediction routes of Vertex AI for one endpoint whose container is at this URL."""

    async def pass_on(request):
        name, _, verb = request.url.path.removeprefix("/v1/").rpartition(":")
        if name != endpoint:
            return Response('{"error": {"code": 404, "message": "no such endpoint"}}', 404)
        if request.headers.get("authorization") != "Bearer token":
            return Response('{"error": {"code": 401, "message": "no such token"}}', 401)
        client = httpx2.AsyncClient(trust_env=False, timeout=120, verify=False)
        accept = request.headers["accept"] if verb == "streamRawPredict" else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept}
        asked = client.build_request("POST", f"{container}/predict", content=await request.body(), headers=headers)
        answer = await while_asked(request, client.send(asked, stream=True))
        kind = answer.headers["content-type"]
        closing = hanging_up(answer, client)
        return StreamingResponse(answer.aiter_bytes(), answer.status_code, media_type=kind, background=closing)

    return Starlette(
        routes=[Route("/v1/{path:path}", pass_on, methods=["POST"])],
        exception_handlers={PredictionError: answer_error, httpx2.TransportError: unavailable},
    )

"""APIs that do what they may do, and what they should not: what becomes of it, over real connections."""

import asyncio
import contextlib
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pilotlight.client import Client, Retry, Timeouts
from pilotlight.errors import (
    DeadlineError,
    PredictionCanceledError,
    TargetBusyError,
    TargetError,
    TargetUnavailableError,
)
from pilotlight.types import Status
from tests.adapters.fronts import on_a_thread

FAST = Retry(tries=3, base_s=0.0, cap_s=0.0)
VERTEX = "projects/p/locations/l/endpoints/e"


class Api:
    """Gives each path its answers in turn, the last one again and again, and remembers what it was asked."""

    def __init__(self, answers):
        self.answers = {path: list(given) for path, given in answers.items()}
        self.asked = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request):
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        given = self.answers.get(path)
        if not given:
            return JSONResponse({"detail": f"no {path}"}, 404)
        answer = given.pop(0) if len(given) > 1 else given[0]
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    @contextlib.contextmanager
    def client(self, target="gateway:{}/me/m", **more):
        """A client of a target whose API this is; its address is to stand where the braces are."""
        with on_a_thread(self.app) as url:
            settings = {} if "{}" in target else {"url": url, "token": "key"}
            with Client(target.format(url), retry=FAST, check=False, **settings, **more) as client:
                client.url = url
                yield client


def torn():
    """The beginning of an answer, as of a server that dies while it sends."""
    return Response(b'{"status": "IN_PROG', headers={"Content-Length": "500"})


def prediction(status, **more):
    return {"id": "p", "status": status, **more}


def test_a_prediction_that_replicate_aborts_at_its_deadline_was_cancelled():
    started = prediction("starting")
    api = Api({"/v1/models/me/m/predictions": [started], "/v1/predictions/p": [started, prediction("aborted")]})
    with api.client() as client:
        with pytest.raises(PredictionCanceledError):
            client.run({})
        assert client.attach("p").wait().status is Status.CANCELED
    assert "POST /v1/predictions/p/cancel" not in api.asked


@pytest.mark.parametrize("status", [400, 401, 404, 429, 503])
def test_a_stream_that_cannot_be_had_is_replaced_by_asking(status):
    with_stream = prediction("starting", urls={"stream": "/stream/p"})
    done = prediction("succeeded", output=["a", "b"], logs="said")
    api = Api({"/v1/predictions/p": [done], "/stream/p": [JSONResponse({"detail": "no"}, status)]})
    with api.client() as client:
        with_stream["urls"]["stream"] = f"{client.url}/stream/p"
        api.answers["/v1/models/me/m/predictions"] = [with_stream]
        assert list(client.stream({})) == ["a", "b"]


def test_a_prediction_that_says_nothing_is_known_to_have_begun():
    async def silent():
        yield b": still here\n\n"
        await asyncio.sleep(60)

    api = Api(
        {
            "/v1/predictions/p": [prediction("starting"), prediction("processing")],
            "/v1/predictions/p/cancel": [prediction("canceled")],
            "/stream/p": [StreamingResponse(silent(), media_type="text/event-stream")],
        }
    )
    with api.client(timeouts=Timeouts(wait_s=30, predict_s=0.1)) as client:
        with_stream = prediction("starting", urls={"stream": f"{client.url}/stream/p"})
        api.answers["/v1/models/me/m/predictions"] = [with_stream]
        with pytest.raises(DeadlineError, match=r"did not end after it began within 0\.1 s") as caught:
            client.run({})
    assert caught.value.phase == "predict"
    assert "POST /v1/predictions/p/cancel" in api.asked


@pytest.mark.parametrize("wrong", [[], {}, "text", None, prediction("lost"), {"id": "p"}])
def test_what_is_no_prediction_is_the_targets_mistake(wrong):
    api = Api({"/v1/models/me/m/predictions": [prediction("starting"), wrong], "/v1/predictions/p": [wrong]})
    with api.client() as client:
        for _ in range(2):
            with pytest.raises(TargetError, match="of an unexpected form"):
                client.run({})


@pytest.mark.parametrize("wrong", [[], {"results": [{}]}, {"results": 5}, {}])
def test_a_list_of_models_that_is_none_is_the_targets_mistake(wrong):
    with (
        Api({"/v1/models": [wrong]}).client("gateway:{}") as client,
        pytest.raises(TargetError, match="of an unexpected form"),
    ):
        client.run({})


def job(status, **more):
    return {"id": "j", "status": status, **more}


def chunks(*outputs, status="IN_PROGRESS"):
    return {"status": status, "stream": [{"output": one} for one in outputs]}


def test_a_stream_of_runpods_that_tears_is_made_whole_from_its_end():
    api = Api(
        {
            "/e/run": [job("IN_QUEUE")],
            "/e/stream/j": [chunks("a", "b"), torn(), chunks("d", status="COMPLETED")],
            "/e/status/j": [job("IN_PROGRESS"), job("COMPLETED", output=["a", "b", "c", "d"])],
        }
    )
    with api.client("runpod:e") as client:
        assert list(client.stream({})) == ["a", "b", "c", "d"]
    # It forgets what it has given, even if that never arrived: it is not asked again.
    assert api.asked.count("GET /e/stream/j") == 2


@pytest.mark.parametrize("kept", [{}, {"output": []}, {"output": ["x", "y"]}])
def test_a_stream_of_runpods_that_tears_and_is_not_kept_is_no_success(kept):
    api = Api(
        {
            "/e/run": [job("IN_QUEUE")],
            "/e/stream/j": [chunks("a"), torn()],
            "/e/status/j": [job("COMPLETED", **kept)],
        }
    )
    with api.client("runpod:e") as client, pytest.raises(TargetError, match="does not keep its output"):
        client.run({})


def test_a_job_in_a_state_that_nobody_knows_is_cancelled_when_it_is_left():
    api = Api(
        {
            "/e/run": [job("IN_QUEUE")],
            "/e/stream/j": [chunks(status="DREAMING")],
            "/e/cancel/j": [job("CANCELLED")],
        }
    )
    with api.client("runpod:e") as client, pytest.raises(TargetError, match="DREAMING"):
        client.run({})
    assert api.asked[-1] == "POST /e/cancel/j"


@pytest.mark.parametrize("wrong", [[], {"status": "IN_PROGRESS", "stream": [{}]}, {"stream": 5}])
def test_what_is_no_job_is_the_targets_mistake(wrong):
    api = Api({"/e/run": [job("IN_QUEUE"), wrong], "/e/stream/j": [wrong], "/e/cancel/j": [job("CANCELLED")]})
    with api.client("runpod:e") as client:
        for _ in range(2):
            with pytest.raises(TargetError, match="of an unexpected form"):
                client.run({})


def vertex_stream(*events):
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return Response(body, media_type="text/event-stream")


END = {"iterates": True, "status": "succeeded", "error": None, "logs": "", "metrics": {}}


@pytest.mark.parametrize(
    ("trouble", "again"),
    [(JSONResponse({"error": {"message": "quota"}}, 429), True), (JSONResponse({"error": "down"}, 503), False)],
)
def test_an_endpoint_of_vertex_is_asked_again_where_nothing_can_have_begun(trouble, again):
    path = f"/v1/{VERTEX}:streamRawPredict"
    api = Api({path: [trouble, vertex_stream(("output", "a"), ("end", END))]})
    with api.client(f"vertex:{VERTEX}") as client:
        if again:
            assert client.run({}).output == ["a"]
        else:
            with pytest.raises(TargetUnavailableError, match="down"):
                client.run({})
    assert api.asked == [f"POST {path}"] * (1 + again)


def test_an_endpoint_of_vertex_that_stays_full_is_asked_no_more_than_so_often():
    path = f"/v1/{VERTEX}:streamRawPredict"
    api = Api({path: [JSONResponse({"error": {"message": "quota"}}, 429)]})
    with api.client(f"vertex:{VERTEX}") as client, pytest.raises(TargetBusyError, match="quota"):
        client.run({})
    assert len(api.asked) == FAST.tries


@pytest.mark.parametrize("end", [5, [], {}, {**END, "status": "lost"}, {**END, "metrics": 5}])
def test_an_end_that_is_none_is_the_containers_mistake(end):
    api = Api({f"/v1/{VERTEX}:streamRawPredict": [vertex_stream(("end", end))]})
    with (
        api.client(f"vertex:{VERTEX}") as client,
        pytest.raises(TargetError, match="did not answer as `pilotlight serve"),
    ):
        client.run({})

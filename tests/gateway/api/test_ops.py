"""Status, logs and the page over HTTP, with fake workers."""

import asyncio
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import httpx2
import pytest

from pilotlight.errors import SetupFailedError
from pilotlight.gateway.app import ROUTES
from pilotlight.gateway.scheduler.status import GatewayStatus, PredictionStatus, percentiles, snapshot
from pilotlight.gateway.ui.docs import render_docs
from pilotlight.gateway.ui.examples import example_input
from pilotlight.gateway.ui.format import seconds
from pilotlight.gateway.ui.live import render_live
from pilotlight.runtime import KeeperOptions, RestartPolicy
from pilotlight.types import Status
from tests.gateway.made import Fakes, made_version, opened, run, served, until


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


async def predict(client, prompt="a"):
    return (await client.post("/predict", json={"input": {"prompt": prompt}})).json()


def test_status_tells_how_models_and_predictions_stand_and_nothing_of_their_content(tmp_path):
    async def scenario(client):
        idle = (await client.get("/status")).json()["models"][0]
        assert (idle["state"], idle["total_s"], idle["cold_share"]) == (
            "idle",
            {"n": 0, "p50_s": None, "p95_s": None},
            None,
        )
        for _ in range(4):
            done = await predict(client, "private words")
        answer = await client.get("/status")
        assert answer.headers["cache-control"] == "no-store"
        assert "private" not in answer.text
        (model,) = answer.json()["models"]
        assert (model["model"], model["state"], model["ready_workers"], model["slots"]) == (
            "local/model1",
            "ready",
            1,
            1,
        )
        assert (model["ended"], model["cold_share"]) == ({"succeeded": 4, "failed": 0, "canceled": 0}, 0.25)
        assert (model["total_s"]["n"], model["total_s"]["p95_s"]) == (4, None)
        last = answer.json()["predictions"][0]
        assert (last["id"], last["status"], last["cold_start_s"]) == (done["id"], "succeeded", 0)

    over_http(tmp_path, scenario)


def test_a_model_that_cannot_start_is_crash_looping(tmp_path):
    fakes = Fakes(setup_error=SetupFailedError("no weights"))

    async def scenario():
        keeper_options = KeeperOptions(restarts=RestartPolicy(give_up_after=1))
        async with opened(tmp_path, fakes=fakes, keeper_options=keeper_options) as gateway:
            live = await gateway.create(gateway.versions[0], {"prompt": "a"})
            await live.wait_ended()
            status = await snapshot(gateway)
            assert status.models[0].state == "crash-looping"
            assert "crash-looping" in render_live(status)

    run(scenario())


def test_percentiles_need_enough_values():
    assert percentiles([]).p50_s is None
    assert (percentiles([3, 1, 2]).p50_s, percentiles([3, 1, 2]).p95_s) == (2, None)
    assert percentiles(range(58)).p95_s is None
    assert (percentiles(range(1, 60)).p95_s, percentiles(range(1, 101)).p95_s) == (57, 95)


@pytest.mark.parametrize(
    ("value_s", "text"), [(0.0004, "0 ms"), (0.9994, "999 ms"), (0.9996, "1.00 s"), (9.994, "9.99 s"), (9.996, "10 s")]
)
def test_times_are_told_to_what_matters(value_s, text):
    assert seconds(value_s) == text


def test_logs_are_the_last_lines_of_one_model_or_of_all(tmp_path):
    async def scenario(client):
        logs = client.gateway.logs
        logs.add("one\ntwo\n", model="local/model1", prediction="p1")
        logs.add("three", model="local/model2")

        async def texts(**params):
            answer = await client.get("/logs", params=params)
            return [line["text"] for line in answer.json()["lines"]]

        assert await texts() == ["one", "two", "three"]
        assert await texts(tail=1, model="local/model1") == ["two"]
        assert await texts(tail=0) == []
        assert (await client.get("/logs", params={"model": "local/none"})).status_code == 404
        for wrong in ("-1", "x", "5001", "9" * 5000, "\u0663"):
            assert (await client.get("/logs", params={"tail": wrong})).status_code == 400

    over_http(tmp_path, scenario, versions=[made_version(1), made_version(2)])


def test_logs_are_followed_until_the_gateway_ends(tmp_path):
    async def scenario(client):
        logs = client.gateway.logs
        logs.add("before", model="local/model1")
        heard = []

        def hear(event):
            heard.append((event.event, json.loads(event.data)["text"]))

        async def follow():
            async with client.stream("GET", "/logs?follow=1&model=local/model1") as answer:
                async for event in httpx2.EventSource(answer):
                    hear(event)

        following = asyncio.create_task(follow())
        await until(lambda: heard)
        logs.add("of another", model="local/model2")
        logs.add("after", model="local/model1")
        await until(lambda: len(heard) == 2)
        await client.gateway.close()
        await following
        assert heard == [("line", "before"), ("line", "after")]

    over_http(tmp_path, scenario, versions=[made_version(1), made_version(2)])


class Page(HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.inline, self.text = [], [], ""
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._open.append(tag)
        if tag in ("script", "link", "img"):
            self.loaded.append(found.get("src") or found.get("href"))
        self.inline += [name for name in found if name.startswith("on") or name == "style"]

    def handle_data(self, data):
        self.text += data
        if self._open[-1:] == ["style"] or (self._open[-1:] == ["script"] and data.strip()):
            self.inline.append(data)


def test_the_page_is_whole_without_its_script(tmp_path):
    async def scenario(client):
        done = await predict(client)
        answer = await client.get("/")
        page = Page(answer.text)
        for expected in ("local/model1", "1 succeeded", done["id"], "n too small", f"{client.base_url}/predict"):
            assert expected in page.text
        assert page.inline == []
        live = await client.get("/page/live")
        assert Page(live.text).text in page.text

    over_http(tmp_path, scenario)


def test_the_page_loads_nothing_from_elsewhere_and_allows_nothing_else(tmp_path):
    async def scenario(client):
        answer = await client.get("/")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        for url in Page(answer.text).loaded:
            if not url.startswith("data:image/svg"):
                asset = await client.get(f"/{url}")
                assert asset.status_code == 200
                assert asset.headers["x-content-type-options"] == "nosniff"
                assert not re.search(r"https?://|@import", asset.text)

    over_http(tmp_path, scenario)


def test_where_a_token_is_asked_for_the_page_tells_nothing_without_it(tmp_path):
    async def scenario(client):
        done = (await client.post("/predict", json={"input": {"prompt": "a"}}, headers=bearer)).json()
        page = await client.get("/")
        assert page.status_code == 200
        for hidden in ("model1", done["id"], "not-shown"):
            assert hidden not in page.text
        assert [(await client.get(path)).status_code for path in ("/page/live", "/status", "/logs")] == [401] * 3
        live = await client.get("/page/live", headers=bearer)
        assert done["id"] in live.text
        assert "$TOKEN" in live.text
        assert "not-shown" not in live.text
        script = (await client.get("/page/script.js")).text
        assert not re.search("localStorage|sessionStorage|cookie|indexedDB", script)

    bearer = {"Authorization": "Bearer not-shown"}
    over_http(tmp_path, scenario, token="not-shown")


def test_every_text_is_escaped():
    named = replace(made_version(), name="<b>&")
    assert "<b>" not in render_docs([named], 'http://"><b>', ROUTES, token=False)
    prediction = PredictionStatus("<b>", "<b>", Status.FAILED, 0.0, 1.0, None, 2.0)
    status = GatewayStatus(0.0, stopping=True, models=(), predictions=(prediction,))
    shown = render_live(status)
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
    assert "Nothing is served." in shown
    assert "takes no more predictions" in shown
    assert "examples for it are here" in render_docs([], "http://a", ROUTES, token=False)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"type": "string"}, "Hello"),
        ({"type": "string", "format": "uri"}, "data:text/plain,hello"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "number"}, 1.0),
        ({"type": "array"}, []),
        ({"allOf": [{"$ref": "#/components/schemas/mode"}]}, "loud"),
    ],
)
def test_an_example_has_something_of_the_right_kind_for_all_that_is_required(declared, value):
    properties = {"given": declared, "prompt": {"type": "string"}, "other": {"type": "string"}}
    mode = {"type": "string", "enum": ["loud", "quiet"]}
    schemas = {"Input": {"properties": properties, "required": ["given"]}, "mode": mode}
    assert example_input({"components": {"schemas": schemas}}) == {"given": value, "prompt": "Hello"}


def test_the_page_lists_every_route_for_programs():
    shown = Page(render_docs([], "http://a", ROUTES, token=False)).text
    for route in ROUTES:
        assert (route.summary in shown) is route.documented, route.label

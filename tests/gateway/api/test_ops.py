"""Status, logs and the page over HTTP, with fake workers."""

import asyncio
import json

import httpx2

from pilotlight.errors import SetupFailedError
from pilotlight.gateway.scheduler.status import percentiles, snapshot
from pilotlight.gateway.ui.render import render
from pilotlight.runtime import KeeperOptions, RestartPolicy
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
            assert "crash-looping" in render("live.html", status=status)

    run(scenario())


def test_percentiles_need_enough_values():
    assert percentiles([]).p50_s is None
    assert (percentiles([3, 1, 2]).p50_s, percentiles([3, 1, 2]).p95_s) == (2, None)
    assert percentiles(range(58)).p95_s is None
    assert (percentiles(range(1, 60)).p95_s, percentiles(range(1, 101)).p95_s) == (57, 95)


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

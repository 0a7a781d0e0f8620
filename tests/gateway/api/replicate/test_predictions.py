"""Replicate's API over HTTP, with fake workers. The unmodified client is in tests/cog/test_gateway_live.py."""

import asyncio

import pytest

from pilotlight.gateway.api.errors import ApiError
from pilotlight.gateway.api.replicate import schemas as replicate_schemas
from pilotlight.gateway.api.replicate.headers import read_wait
from tests.gateway.made import Fakes, Limits, made_version, run, served, until

ID = f"{1:064x}"


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


async def create(client, url="/v1/models/local/model1/predictions", headers=None, **body):
    return await client.post(url, json={"input": {"prompt": "a"}, **body}, headers=headers)


@pytest.mark.parametrize("version", [ID, f"local/model1:{ID}", "local/model1"])
def test_created_by_version_with_all_that_clients_need(tmp_path, version):
    async def scenario(client):
        answer = await create(client, "/v1/predictions", {"Prefer": "wait"}, version=version)
        assert answer.status_code == 201
        shown = answer.json()
        assert shown.keys() == {
            *("id", "model", "version", "input", "output", "logs", "error", "status", "created_at", "started_at"),
            *("completed_at", "metrics", "data_removed", "source", "urls"),
        }
        assert (shown["status"], shown["output"], shown["model"], shown["version"]) == (
            "succeeded",
            ["a"],
            "local/model1",
            ID,
        )
        assert shown["urls"]["get"] == f"{client.base_url}/v1/predictions/{shown['id']}"
        assert {"queue_s", "cold_start_s", "predict_s", "predict_time", "total_time"} <= shown["metrics"].keys()
        assert (await client.get(shown["urls"]["get"])).json() == shown
        assert (await client.post(shown["urls"]["cancel"])).json() == shown

    over_http(tmp_path, scenario)


def test_when_the_wait_runs_out_it_is_shown_as_starting_without_output(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        answer = await create(client, headers={"Prefer": "respond-async, wait=1"})
        shown = answer.json()
        assert (answer.status_code, shown["status"], shown["output"], shown["metrics"]) == (202, "starting", None, {})
        shown = (await client.get(shown["urls"]["get"])).json()
        assert (shown["status"], shown["output"]) == ("processing", ["a"])
        shown = (await client.post(shown["urls"]["cancel"])).json()
        assert (shown["status"], shown["error"]) == ("canceled", None)

    over_http(tmp_path, scenario, fakes=fakes)


def test_a_stream_says_what_comes_and_how_it_ends_to_whoever_has_its_url(tmp_path):
    fakes = Fakes(answer=lambda inputs: ["one\n", {"two": 2}])
    fakes.hold()

    async def scenario(client):
        shown = (await create(client, headers={"Authorization": "Bearer secret"}, stream=True)).json()
        url = shown["urls"]["stream"]
        reading = asyncio.create_task(client.get(url))
        await until(lambda: client.gateway.active(shown["id"]).record.output is not None)
        fakes.release()
        answer = await reading
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
        assert [(block[0], *block[2:]) for block in blocks] == [
            ("event: output", "data: one", "data: "),
            ("event: output", 'data: {"two": 2}'),
            ("event: done", "data: {}"),
        ]
        assert all(block[1].startswith("id: ") for block in blocks)
        assert (await client.get(url)).text == answer.text
        assert (await client.get(url + "x")).status_code == 404
        assert (await client.get(f"{shown['urls']['get']}x/stream/y")).status_code == 404
        assert (await client.get(shown["urls"]["get"])).status_code == 401

    over_http(tmp_path, scenario, fakes=fakes, token="secret")


def test_pages_of_predictions_are_followed_by_their_urls(tmp_path):
    async def scenario(client):
        limits = client.gateway.pool(client.gateway.versions[0]).limits
        for _ in range(3):
            await asyncio.gather(*(create(client, headers={"Prefer": "wait"}) for _ in range(limits.max_waiting // 2)))
        first = (await client.get("/v1/predictions")).json()
        second = (await client.get(first["next"])).json()
        assert (len(first["results"]), len(second["results"])) == (100, 50)
        assert (first["previous"], second["next"]) == (None, None)
        assert (await client.get(second["previous"])).json() == first
        ids = {one["id"] for one in first["results"] + second["results"]}
        assert len(ids) == 150
        model = (await client.get("/v1/models/local/model1")).json()
        assert model["run_count"] == 150

    over_http(tmp_path, scenario)


def test_predictions_are_listed_by_the_time_of_their_creation_and_without_what_is_long(tmp_path):
    now = [1_000_000.0]
    fakes = Fakes(answer=lambda inputs: [inputs["prompt"]])

    async def scenario(client):
        ids = []
        for prompt in ("a", "b" * 5000, "c"):
            created = await client.post(
                "/v1/models/local/model1/predictions", json={"input": {"prompt": prompt}}, headers={"Prefer": "wait"}
            )
            ids.append(created.json()["id"])
            now[0] += 60

        async def listed(**query):
            found = (await client.get("/v1/predictions", params=query)).json()["results"]
            return [ids.index(one["id"]) for one in found]

        at = [replicate_schemas.iso(1_000_000.0 + 60 * number) for number in range(4)]
        assert await listed() == await listed(source="api") == [2, 1, 0]
        assert await listed(created_after=at[1]) == [2, 1]
        assert await listed(created_before=at[1]) == [0]
        assert await listed(created_after=at[1], created_before=at[2]) == [1]
        assert await listed(source="web") == await listed(created_after=at[3]) == []
        for query in ({"source": "x"}, {"created_after": "x"}, {"created_before": "2026-13-01"}):
            assert (await client.get("/v1/predictions", params=query)).status_code == 400
        _, long, short = (await client.get("/v1/predictions")).json()["results"]
        assert (long["input"], long["output"], long["left_out"]) == ({}, None, ["input", "output"])
        assert (short["output"], long["data_removed"], "left_out" in short) == (["a"], False, False)
        assert (await client.get(long["urls"]["get"])).json()["output"] == ["b" * 5000]

    over_http(tmp_path, scenario, fakes=fakes, clock=lambda: now[0])


def test_what_is_long_is_left_out_of_a_list_while_it_runs_too(tmp_path):
    fakes = Fakes(answer=lambda inputs: ["x" * 5000])
    fakes.hold()

    async def scenario(client):
        shown = (await create(client)).json()
        await until(lambda: client.gateway.active(shown["id"]).record.output is not None)
        (listed,) = (await client.get("/v1/predictions")).json()["results"]
        assert (listed["status"], listed["output"], listed["left_out"]) == ("processing", None, ["output"])
        assert (await client.post(shown["urls"]["cancel"])).json()["output"] == ["x" * 5000]

    over_http(tmp_path, scenario, fakes=fakes)


def test_a_deadline_is_shown_before_and_after_the_end(tmp_path):
    async def scenario(client):
        shown = (await create(client, headers={"Cancel-After": "1m", "Prefer": "wait"})).json()
        assert shown["deadline"] == replicate_schemas.iso(1060.0)
        assert (await client.get(shown["urls"]["get"])).json() == shown

    over_http(tmp_path, scenario, clock=lambda: 1000.0)


def test_a_stream_is_taken_up_after_the_last_event_that_was_read(tmp_path):
    async def scenario(client):
        shown = (await create(client, headers={"Prefer": "wait"})).json()
        whole = (await client.get(shown["urls"]["stream"])).text
        first_id = whole.split("\n")[1].removeprefix("id: ")
        rest = (await client.get(shown["urls"]["stream"], headers={"Last-Event-ID": first_id})).text
        assert rest == whole.split("\n\n", 1)[1]

    over_http(tmp_path, scenario, fakes=Fakes(answer=lambda inputs: ["a", "b"]))


def test_what_is_served_can_be_listed_and_read(tmp_path):
    async def scenario(client):
        async def get(url):
            return (await client.get(url)).json()

        models = (await get("/v1/models"))["results"]
        assert [one["name"] for one in models] == ["model1", "model2"]
        assert await get("/v1/models/local/model2") == models[1]
        (version,) = (await get("/v1/models/local/model1/versions"))["results"]
        assert version == await get(f"/v1/models/local/model1/versions/{ID}") == models[0]["latest_version"]
        deployments = (await get("/v1/deployments"))["results"]
        assert await get("/v1/deployments/local/model1") == deployments[0]
        release = deployments[0]["current_release"]
        assert (release["version"], release["configuration"]["max_instances"]) == (ID, 3)
        assert await get("/v1/hardware") == [{"sku": "local", "name": "This machine"}]
        assert (await get("/v1/account"))["username"] == "local"
        created = (await create(client, "/v1/deployments/local/model2/predictions", {"Prefer": "wait"})).json()
        assert (created["deployment"], created["model"]) == ("local/model2", "local/model2")

    over_http(tmp_path, scenario, versions=[made_version(1), made_version(2)], limits=Limits(max_workers=3))


def test_a_wrong_input_is_explained(tmp_path):
    async def scenario(client):
        answer = await client.post("/v1/models/local/model1/predictions", json={"input": {"count": -1}})
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "title": "Input validation failed",
            "status": 422,
            "detail": "- input.count: -1 is less than the minimum of 0\n- input.prompt: Field required",
            "invalid_fields": [
                {"type": "value_error", "field": "input.count", "description": "-1 is less than the minimum of 0"},
                {"type": "value_error.missing", "field": "input.prompt", "description": "Field required"},
            ],
        }
        assert (await client.get("/v1/predictions")).json()["results"] == []

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("url", ["/v1/models/local/model1/predictions", "/predict"])
def test_an_unknown_input_is_ignored_as_by_replicate_or_refused_where_that_is_asked_for(tmp_path, url, strict):
    async def scenario(client):
        answer = await client.post(url, json={"input": {"prompt": "a", "promt": "b"}}, headers={"Prefer": "wait"})
        if strict:
            assert answer.status_code == 422
            assert "unknown input, did you mean 'prompt'?" in answer.text
        else:
            assert (answer.json()["status"], answer.json()["output"]) == ("succeeded", ["a"])
            (stored,) = (await client.get("/v1/predictions")).json()["results"]
            assert stored["input"] == {"prompt": "a"}

    over_http(tmp_path, scenario, strict_inputs=strict)


@pytest.mark.parametrize(
    ("url", "body", "status", "words"),
    [
        ("/v1/predictions", {"input": {}}, 422, "version is required"),
        ("/v1/predictions", {"version": "0" * 64}, 404, "There is no version"),
        ("/v1/predictions", {"version": f"other/model:{ID}"}, 404, "There is no version"),
        ("/v1/models/local/none/predictions", {}, 404, "There is no model 'local/none' here"),
        ("/v1/deployments/local/none/predictions", {}, 404, "There is no deployment"),
        ("/v1/models/local/model1/predictions", {"version": ID}, 422, "leave version out"),
        (
            "/v1/models/local/model1/predictions",
            {"inputs": {}},
            422,
            "inputs: Extra inputs are not permitted; the fields are input, version",
        ),
        ("/v1/models/local/model1/predictions", {"input": []}, 422, "input: Input should be a valid dict"),
        ("/v1/models/local/model1/predictions", [], 422, "body: Input should be a valid dict"),
        ("/v1/models/local/model1/predictions", {}, 422, "input.prompt: Field required"),
        ("/v1/predictions/none/cancel", None, 404, "There is no prediction"),
        ("/v1/nothing", {}, 404, "There is no route /v1/nothing here"),
        ("/v1/account", {}, 405, "/v1/account takes GET, HEAD, not POST"),
    ],
)
def test_what_cannot_be_done_is_a_problem_with_a_reason(tmp_path, url, body, status, words):
    async def scenario(client):
        answer = await (client.post(url) if body is None else client.post(url, json=body))
        problem = answer.json()
        assert (answer.status_code, problem["status"]) == (status, status)
        assert words in problem["detail"]
        assert problem["title"]

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("raw", [b"{", b'{"input": {"prompt": NaN}}', b'{"a":' * 9999, b'"\\ud800"', b"\xff"])
def test_what_is_no_json_is_refused(tmp_path, raw):
    async def scenario(client):
        answer = await client.post(
            "/v1/models/local/model1/predictions", content=raw, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("number", [10**400, -(10**30), 1e308])
def test_numbers_of_any_size_are_judged(tmp_path, number):
    async def scenario(client):
        answer = await client.post(
            "/v1/models/local/model1/predictions", json={"input": {"prompt": "a", "count": number}}
        )
        assert answer.status_code == 422

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("url", ["/v1/predictions/none", "/v1/models/local/none", "/v1/models/local/model1/versions/0"])
def test_what_is_not_there_is_404(tmp_path, url):
    async def scenario(client):
        assert (await client.get(url)).status_code == 404

    over_http(tmp_path, scenario)


def test_a_full_queue_is_429_with_the_time_to_come_back(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        await create(client)
        await until(lambda: client.gateway.pool(client.gateway.versions[0]).gauges.running == 1)
        await create(client)
        answer = await create(client)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert "1 predictions are waiting" in answer.json()["detail"]

    over_http(tmp_path, scenario, fakes=fakes, limits=Limits(max_waiting=1))


def test_the_end_of_the_gateway_answers_those_who_wait(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        gateway = client.gateway
        running = asyncio.create_task(create(client, headers={"Prefer": "wait"}))
        await until(lambda: gateway.pool(gateway.versions[0]).gauges.running == 1)
        waiting = asyncio.create_task(create(client, headers={"Prefer": "wait"}))
        await until(lambda: gateway.pool(gateway.versions[0]).gauges.waiting == 1)
        await gateway.close()
        assert (await running).json()["status"] == "failed"
        assert (await waiting).json()["status"] == "starting"
        refused = await create(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")

    over_http(tmp_path, scenario, fakes=fakes)


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("respond-async", None), ("wait", 60.0), ("foo, Wait=5", 5.0)]
)
def test_how_long_a_caller_wants_to_wait(header, expected):
    assert read_wait(header) == expected


@pytest.mark.parametrize("header", ["wait=0", "wait=61", "wait=x", "wait=1.5"])
def test_a_wait_that_cannot_be_granted_is_refused(header):
    with pytest.raises(ApiError, match="give 1 to 60 seconds"):
        read_wait(header)


def test_times_are_written_as_replicate_does():
    assert replicate_schemas.iso(1690212292.5) == "2023-07-24T15:24:52.500000Z"
    assert replicate_schemas.iso(None) is None

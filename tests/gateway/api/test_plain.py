"""The plain routes, with fake workers."""

import asyncio

from pilotlight.errors import SetupFailedError
from pilotlight.runtime import KeeperOptions, RestartPolicy
from pilotlight.types import Status
from tests.gateway.made import Fakes, Limits, ended, run, served, until


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


def pool(client):
    return client.gateway.pool(client.gateway.versions[0])


def test_a_prediction_is_answered_as_a_cog_server_does(tmp_path):
    async def scenario(client):
        answer = await client.post("/predict", json={"input": {"prompt": "a"}})
        shown = answer.json()
        assert (answer.status_code, shown["status"], shown["output"]) == (200, "succeeded", ["a"])
        refused = await client.post("/predict", json={"input": {"prompt": 1}})
        assert refused.status_code == 422
        assert refused.json() == {
            "detail": [{"loc": ["body", "input", "prompt"], "msg": '1 is not of type "string"', "type": "value_error"}]
        }
        assert (await client.get(f"/v1/predictions/{shown['id']}")).json()["output"] == ["a"]

    over_http(tmp_path, scenario)


def test_a_batch_is_answered_in_order_and_a_bad_item_fails_alone(tmp_path):
    def answer(inputs):
        if inputs["prompt"] == "bad":
            raise ValueError("not this one")
        return [inputs["prompt"]]

    async def scenario(client):
        prompts = [f"p{n}" for n in range(20)]
        inputs = [{"prompt": "bad"}, {}, "text", *({"prompt": prompt} for prompt in prompts)]
        result = await client.post("/predict/batch", json={"inputs": inputs})
        failed, invalid, odd, *good = result.json()["predictions"]
        assert result.status_code == 200
        assert (failed["status"], failed["error"]) == ("failed", "ValueError: not this one")
        assert (invalid["status"], invalid["id"]) == ("failed", None)
        assert invalid["detail"][0]["type"] == "value_error.missing"
        assert odd["error"] == 'An item of inputs has to be an object, not "text".'
        assert [one["output"] for one in good] == [[prompt] for prompt in prompts]
        keys = {"id", "status", "output", "error", "logs", "metrics"}
        assert all(one.keys() >= keys for one in (failed, invalid, odd, *good))

    # A queue that holds far less than the batch.
    over_http(tmp_path, scenario, fakes=Fakes(answer=answer), limits=Limits(max_waiting=3))


def test_a_batch_has_a_limit_and_may_be_empty(tmp_path):
    async def scenario(client):
        assert (await client.post("/predict/batch", json={"inputs": []})).json() == {"predictions": []}
        refused = await client.post("/predict/batch", json={"inputs": [{}] * 1001})
        assert (refused.status_code, refused.json()["detail"]) == (
            422,
            "inputs has 1001 items: send up to 1000 in one request.",
        )

    over_http(tmp_path, scenario)


def test_a_caller_who_leaves_cancels(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        one = asyncio.create_task(client.post("/predict", json={"input": {"prompt": "a"}}))
        await until(lambda: pool(client).gauges.running == 1)
        inputs = [{"prompt": "b"}, {"prompt": "c"}]
        batch = asyncio.create_task(client.post("/predict/batch", json={"inputs": inputs}))
        await until(lambda: pool(client).gauges.waiting == 2)
        for task in (one, batch):
            task.cancel()
        await until(lambda: ended(client.gateway, Status.CANCELED) == 3)
        assert await client.gateway.store.unfinished() == []

    over_http(tmp_path, scenario, fakes=fakes)


def test_health_tells_whether_it_can_serve(tmp_path):
    fakes = Fakes(setup_error=SetupFailedError("no weights", logs="looking"))

    async def scenario(client):
        async def health():
            answer = await client.get("/health")
            return answer.status_code, answer.json()

        assert await health() == (200, {"status": "idle"})
        assert (await client.post("/predict", json={"input": {"prompt": "a"}})).json()["status"] == "failed"
        assert await health() == (503, {"status": "crash-looping"})
        (model,) = (await client.get("/status")).json()["models"]
        assert "no weights" in model["last_error"]
        await client.gateway.drain(0)
        assert (await health())[1]["status"] == "stopping"

    keeper_options = KeeperOptions(restarts=RestartPolicy(give_up_after=1))
    over_http(tmp_path, scenario, fakes=fakes, keeper_options=keeper_options)


def test_health_waits_for_the_first_worker(tmp_path):
    class Slow(Fakes):
        def __call__(self, *_):
            worker = super().__call__()
            worker.start = self.may_start.wait
            return worker

    async def scenario(path):
        fakes = Slow()
        fakes.may_start = asyncio.Event()
        async with served(path, fakes=fakes, limits=Limits(min_workers=1)) as client:
            await until(lambda: fakes.made)
            answer = await client.get("/health")
            assert (answer.status_code, answer.json()["status"]) == (503, "starting")
            fakes.may_start.set()
            await until(lambda: pool(client).gauges.ready_workers == 1)
            answer = await client.get("/health")
            assert (answer.status_code, answer.json()["status"]) == (200, "ready")

    run(scenario(tmp_path))


def test_metrics_count_what_has_happened(tmp_path):
    fakes = Fakes(answer=lambda inputs: ["a", "b"])

    async def scenario(client):
        for _ in range(2):
            await client.post("/predict", json={"input": {"prompt": "a"}})
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        labels = 'deployment="",model_name="local/model1"'
        version = f'version="{1:064x}"'
        for expected in (
            f"vllm:num_requests_running{{{labels},{version}}} 0.0",
            f"vllm:time_to_first_token_seconds_count{{{labels},{version}}} 2.0",
            f"vllm:inter_token_latency_seconds_count{{{labels},{version}}} 2.0",
            f'pilotlight:requests_total{{{labels},status="succeeded",{version}}} 2.0',
            f"pilotlight:cold_start_seconds_count{{{labels},{version}}} 1.0",
            f"pilotlight:cold_requests_share{{{labels},{version}}} 0.5",
            f"pilotlight:worker_start_seconds_count{{{labels},{version}}} 1.0",
            f'pilotlight:workers{{{labels},state="ready",{version}}} 1.0',
        ):
            assert expected in lines

    over_http(tmp_path, scenario, fakes=fakes)

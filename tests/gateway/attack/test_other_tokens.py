"""A token of the scope predict reaches nothing that others made, and takes neither the queue nor the disk from them."""

import asyncio

import pytest

from pilotlight.gateway import Scope
from pilotlight.gateway.app import ROUTES
from pilotlight.gateway.scheduler.listeners import NullListener
from pilotlight.types import Status
from tests.gateway.made import Fakes, Limits, made_version, run, served, until

ADMIN = {"Authorization": "Bearer t"}
SECRET = "words of another caller"
TEXT = {
    "components": {
        "schemas": {
            "Input": {"type": "object", "properties": {"prompt": {"type": "string", "x-order": 0}}},
            "Output": {
                "type": "array",
                "items": {"type": "string"},
                "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate",
            },
        }
    }
}


class Order(NullListener):
    """Remembers which prediction has started when."""

    def __init__(self):
        self.started_ids = []

    def started(self, record):
        self.started_ids.append(record.id)


def bearer(client, name, scope=Scope.PREDICT):
    """The headers of a new token."""
    _, text = client.tokens.create(name, scope, 0.0)
    return {"Authorization": f"Bearer {text}"}


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, token="t", **options) as client:
            await scenario(client)

    run(whole())


async def predicted(client, headers, prompt="a", wait=True):
    prefer = {"Prefer": "wait"} if wait else {}
    body = {"input": {"prompt": prompt}}
    answer = await client.post("/v1/models/local/model1/predictions", json=body, headers={**headers, **prefer})
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


async def uploaded(client, headers, content=b"x"):
    return await client.post("/v1/files", files={"content": ("a.txt", content, "text/plain")}, headers=headers)


async def ids(client, path, headers):
    return [one["id"] for one in (await client.get(path, headers=headers)).json()["results"]]


def test_the_routes_with_something_of_somebody_are_known():
    """A new route with an id in its path, or a new list, has to say who may see what."""
    shared = ("/v1/models", "/v1/deployments", "/v1/collections", "/v1/trainings", "/openai/v1/models")
    found = [
        route.label
        for route in ROUTES
        if route.scope in (Scope.READ, Scope.PREDICT) and route.body is None and not route.path.startswith(shared)
    ]
    assert sorted(found) == [
        "DELETE /v1/files/{id}",
        "GET /logs",
        "GET /metrics",
        "GET /openai/metrics",
        "GET /openapi.json",
        "GET /page/live",
        "GET /status",
        "GET /v1/account",
        "GET /v1/files",
        "GET /v1/files/{id}",
        "GET /v1/hardware",
        "GET /v1/predictions",
        "GET /v1/predictions/{id}",
        "GET /v1/search",
        "POST /v1/files",
        "POST /v1/predictions/{id}/cancel",
    ]


def test_predictions_of_others_are_not_there(tmp_path):
    fakes = Fakes()

    async def scenario(client):
        mine, other = bearer(client, "mine"), bearer(client, "other")
        done = await predicted(client, other, SECRET)
        for path, body in (
            ("/predict", {"input": {"prompt": SECRET}}),
            ("/predict/batch", {"inputs": [{"prompt": SECRET}]}),
            ("/openai/v1/completions", {"prompt": SECRET}),
        ):
            assert (await client.post(path, json=body, headers=other)).status_code == 200
        fakes.hold()
        runs = await predicted(client, other, SECRET, wait=False)
        waits = await predicted(client, other, SECRET, wait=False)
        client.gateway.logs.log(client.gateway.active(runs["id"]).record, SECRET)
        client.gateway.logs.add(f"a worker: {SECRET}", model="local/model1")
        own = await predicted(client, mine, "my own", wait=False)
        client.gateway.logs.log(client.gateway.active(own["id"]).record, "my line")

        missing = await client.get(f"/v1/predictions/{'x' * 26}", headers=mine)
        for one in (done, runs, waits):
            path = f"/v1/predictions/{one['id']}"
            for answer in (await client.get(path, headers=mine), await client.post(f"{path}/cancel", headers=mine)):
                # Not even that it exists.
                expected = {**missing.json(), "detail": missing.json()["detail"].replace("x" * 26, one["id"])}
                assert (answer.status_code, answer.json()) == (404, expected)
        assert not any(client.gateway.active(one["id"]).cancel_asked for one in (runs, waits))
        for path in ("/v1/predictions", "/status", "/page/live", "/logs?tail=5000"):
            text = (await client.get(path, headers=mine)).text
            assert SECRET not in text
            assert not any(one["id"] in text for one in (done, runs, waits))
        lines = (await client.get("/logs", headers=mine)).json()["lines"]
        assert [(line["prediction"], line["text"]) for line in lines] == [(own["id"], "my line")]
        assert await ids(client, "/v1/predictions", mine) == [own["id"]]
        assert len(await ids(client, "/v1/predictions", other)) == 6
        assert (await client.post(f"/v1/predictions/{own['id']}/cancel", headers=mine)).json()["status"] == "canceled"

    over_http(tmp_path, scenario, versions=[made_version(document=TEXT)], fakes=fakes)


@pytest.mark.parametrize("scope", [Scope.READ, Scope.ADMIN])
def test_read_and_admin_see_everything_and_only_admin_ends_it(tmp_path, scope):
    fakes = Fakes()

    async def scenario(client):
        other, wide = bearer(client, "other"), bearer(client, "wide", scope)
        stored = (await uploaded(client, other)).json()
        fakes.hold()
        runs = await predicted(client, other, wait=False)
        assert await ids(client, "/v1/predictions", wide) == [runs["id"]]
        assert await ids(client, "/v1/files", wide) == [stored["id"]]
        assert runs["id"] in (await client.get("/status", headers=wide)).text
        expected = (200, 204, 200) if scope is Scope.ADMIN else (403, 403, 403)
        answers = (
            await client.post(f"/v1/predictions/{runs['id']}/cancel", headers=wide),
            await client.delete(f"/v1/files/{stored['id']}", headers=wide),
            await client.get("/v1/webhooks/default/secret", headers=wide),
        )
        assert tuple(answer.status_code for answer in answers) == expected

    over_http(tmp_path, scenario, fakes=fakes)


def test_the_secret_of_webhooks_is_not_for_a_token_that_predicts(tmp_path):
    async def scenario(client):
        answer = await client.get("/v1/webhooks/default/secret", headers=bearer(client, "mine"))
        assert (answer.status_code, "whsec_" in answer.text) == (403, False)

    over_http(tmp_path, scenario)


def test_uploads_of_others_are_not_there_without_their_url(tmp_path):
    async def scenario(client):
        mine, other = bearer(client, "mine"), bearer(client, "other")
        stored = (await uploaded(client, other)).json()
        own = (await uploaded(client, mine)).json()
        path = f"/v1/files/{stored['id']}"
        assert (await client.get(path, headers=mine)).status_code == 404
        assert (await client.delete(path, headers=mine)).status_code == 404
        assert await ids(client, "/v1/files", mine) == [own["id"]]
        assert await ids(client, "/v1/files", other) == [stored["id"]]
        assert (await client.get(stored["urls"]["get"])).content == b"x"
        assert (await client.delete(path, headers=other)).status_code == 204

    over_http(tmp_path, scenario)


def test_what_a_worker_printed_for_others_is_not_in_the_logs_of_a_crash(tmp_path):
    fakes = Fakes()

    async def scenario(client):
        mine = bearer(client, "mine")
        fakes.hold()
        runs = await predicted(client, mine, wait=False)
        await until(lambda: client.gateway.active(runs["id"]).record.status is Status.PROCESSING)
        assert "fake's log" in fakes.made[0].logs
        fakes.made[0].crash()
        await client.gateway.active(runs["id"]).wait_ended(60)
        shown = (await client.get(f"/v1/predictions/{runs['id']}", headers=mine)).json()
        assert (shown["status"], shown["logs"]) == ("failed", "")

    over_http(tmp_path, scenario, fakes=fakes)


def test_one_token_with_a_full_queue_does_not_keep_another_out(tmp_path):
    """40 wait: the other token is accepted although the queue is full, and is next but one."""
    fakes = Fakes()

    async def scenario(client):
        greedy, other = bearer(client, "greedy"), bearer(client, "other")
        fakes.hold()
        first = await predicted(client, greedy, wait=False)
        await until(lambda: client.gateway.active(first["id"]).record.status is Status.PROCESSING)
        queued = [await predicted(client, greedy, wait=False) for _ in range(40)]
        refused = await client.post("/predict", json={"input": {"prompt": "a"}}, headers=greedy)
        assert refused.status_code == 429
        late = await predicted(client, other, wait=False)
        order = Order()
        client.gateway.listeners.add(order)
        running = [client.gateway.active(one["id"]) for one in (*queued, late)]
        fakes.release()
        await asyncio.gather(*(active.wait_ended(60) for active in running))
        assert order.started_ids.index(late["id"]) <= 1

    over_http(tmp_path, scenario, fakes=fakes, limits=Limits(max_workers=1, max_waiting=40))


def test_a_token_keeps_no_more_uploads_than_its_quota(tmp_path):
    async def scenario(client):
        mine, other = bearer(client, "mine"), bearer(client, "other")
        first = (await uploaded(client, mine, bytes(15_000))).json()
        refused = await uploaded(client, mine, bytes(6_000))
        assert (refused.status_code, refused.json()["title"]) == (507, "Upload quota exceeded")
        assert "6,000 bytes the uploads of this token would take 21,004" in refused.json()["detail"]
        assert "each token may keep 20,000" in refused.json()["detail"]
        assert await ids(client, "/v1/files", mine) == [first["id"]]
        assert len(list((tmp_path / "files").iterdir())) == 1
        for headers in (other, ADMIN, ADMIN):
            assert (await uploaded(client, headers, bytes(15_000))).status_code == 201
        await client.delete(f"/v1/files/{first['id']}", headers=mine)
        # Small ones count as a block of the disk each.
        assert [(await uploaded(client, mine, b"")).status_code for _ in range(5)] == [201] * 4 + [507]

    over_http(tmp_path, scenario, upload_quota_bytes=20_000)


def test_without_tokens_everything_is_everybodys(tmp_path):
    async def scenario():
        async with served(tmp_path, upload_quota_bytes=1) as client:
            anyone = {"Authorization": "Bearer any"}
            stored, made = (await uploaded(client, anyone)).json(), await predicted(client, {})
            assert await ids(client, "/v1/files", {}) == [stored["id"]]
            assert await ids(client, "/v1/predictions", {}) == [made["id"]]
            assert (await client.get("/v1/webhooks/default/secret")).status_code == 200
            assert (await client.delete(f"/v1/files/{stored['id']}")).status_code == 204
        # What nobody owns is there for those who see everything, once tokens are needed.
        async with served(tmp_path, token="t") as client:
            assert await ids(client, "/v1/predictions", ADMIN) == [made["id"]]
            assert await ids(client, "/v1/predictions", bearer(client, "mine")) == []

    run(scenario())

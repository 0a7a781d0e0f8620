"""What anyone may ask: a status, and nothing that a predictor, its setup or a caller has said."""

import pytest

from pilotlight.errors import SetupFailedError
from pilotlight.gateway.app import ROUTES
from pilotlight.runtime import KeeperOptions, RestartPolicy
from tests.gateway.made import Fakes, run, served

SECRET = "hf_a-secret-of-the-setup"
OPEN = [route for route in ROUTES if route.scope is None]


def test_the_open_routes_are_known():
    assert sorted(route.label for route in OPEN) == [
        "GET /",
        "GET /health",
        "GET /openai/health",
        "GET /page/script.js",
        "GET /page/style.css",
        "GET /v1/files/{id}/download",
        "GET /v1/files/{id}/{key}/{name}",
        "GET /v1/predictions/{id}/files/{key}/{name}",
        "GET /v1/predictions/{id}/stream/{key}",
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("route", OPEN, ids=lambda route: route.label)
def test_no_open_route_tells_why_a_setup_failed(tmp_path, route, method):
    fakes = Fakes(setup_error=SetupFailedError(f"no access with {SECRET}", logs=f"token={SECRET}\n"))

    async def scenario():
        keeper_options = KeeperOptions(restarts=RestartPolicy(give_up_after=1))
        async with served(tmp_path, token="t", fakes=fakes, keeper_options=keeper_options) as client:
            bearer = {"Authorization": "Bearer t"}
            failed = await client.post("/predict", json={"input": {"prompt": "words of a caller"}}, headers=bearer)
            assert SECRET in failed.json()["error"]
            path = route.plain_path.format(id=failed.json()["id"], key="x", name="x")
            answer = await client.request(method, path)
            for told in (SECRET, "words of a caller", "local/model1"):
                assert told not in answer.text
                assert told not in str(answer.headers)

    run(scenario())


@pytest.mark.parametrize("path", ["/health", "/openai/health"])
def test_health_is_one_word(tmp_path, path):
    async def scenario():
        async with served(tmp_path, token="t") as client:
            for headers in ({}, {"Authorization": "Bearer t"}, {"Authorization": "Bearer wrong"}):
                assert (await client.get(path, headers=headers)).json() == {"status": "idle"}

    run(scenario())


def test_a_broken_file_of_tokens_is_not_told_to_callers(tmp_path):
    async def scenario():
        async with served(tmp_path, token="t") as client:
            (tmp_path / "tokens.json").write_text("{broken")
            answer = await client.get("/v1/models", headers={"Authorization": "Bearer x"})
            assert answer.status_code == 503
            assert str(tmp_path) not in answer.text
            assert "tokens.json" not in answer.text
            assert (await client.get("/v1/models", headers={"Authorization": "Bearer t"})).status_code == 200

    run(scenario())

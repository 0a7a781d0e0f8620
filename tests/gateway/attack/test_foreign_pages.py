"""A page in a browser on this machine cannot have a gateway without tokens do anything."""

import pytest

from tests.gateway.made import made_version, run, served

# Every input has a default, so that an empty request is a prediction.
DOCUMENT = {
    "components": {
        "schemas": {
            "Input": {"type": "object", "properties": {"prompt": {"type": "string", "default": "a", "x-order": 0}}},
            "Output": {"type": "string"},
        }
    }
}
JSON = {"Content-Type": "application/json"}
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "file://"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]
POSTS = [
    *("/predict", "/predict/batch", "/v1/predictions", "/v1/models/local/model1/predictions"),
    "/openai/v1/completions",
]


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, versions=[made_version(document=DOCUMENT)], **options) as client:
            await scenario(client)

    run(whole())


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("with_json", [False, True])
def test_a_foreign_page_runs_nothing(tmp_path, headers, with_json):
    async def scenario(client):
        for path in POSTS:
            body = {"content": b'{"input": {}}', "headers": {**headers, **JSON}} if with_json else {"headers": headers}
            assert (await client.post(path, **body)).status_code == 403
        assert (await client.request("DELETE", "/v1/models/local/model1", headers=headers)).status_code == 403
        assert (await client.get("/v1/predictions")).json()["results"] == []

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("path", POSTS)
def test_a_route_with_a_json_body_takes_no_empty_request_of_another_type(tmp_path, path):
    async def scenario(client):
        for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
            answer = await client.post(path, headers=headers)
            assert answer.status_code == 415
        assert (await client.get("/v1/predictions")).json()["results"] == []

    over_http(tmp_path, scenario)


def test_programs_and_the_own_page_are_answered(tmp_path):
    async def scenario(client):
        own = str(client.base_url).rstrip("/")
        for headers in (
            {},
            {"Origin": own},
            {"Origin": own, "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
        ):
            answer = await client.post("/predict", headers={**headers, **JSON})
            assert answer.json()["status"] == "succeeded"
        created = (await client.post("/v1/models/local/model1/predictions", json={"input": {}})).json()
        # As Replicate's client does: without a body.
        assert (await client.post(f"/v1/predictions/{created['id']}/cancel")).status_code == 200

    over_http(tmp_path, scenario)


def test_a_link_to_the_page_works(tmp_path):
    async def scenario(client):
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await client.get("/", headers=headers)).status_code == 200

    over_http(tmp_path, scenario)


def test_with_a_token_the_token_decides(tmp_path):
    async def scenario(client):
        bearer = {"Authorization": "Bearer t", "Origin": "https://app.example"}
        assert (await client.post("/predict", json={"input": {}}, headers=bearer)).status_code == 200
        refused = await client.post("/predict", json={"input": {}}, headers={"Origin": "https://app.example"})
        assert refused.status_code == 401

    over_http(tmp_path, scenario, token="t")

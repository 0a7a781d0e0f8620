"""Who may ask, from where, and how much they may send."""

import pytest

from pilotlight.errors import UsageError
from pilotlight.gateway import Scope, is_loopback, listen, url_of
from pilotlight.gateway.storage import home
from tests.gateway.made import run, served

TOKEN = "not a secret"
PREDICT = {"json": {"input": {"prompt": "a"}}}


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "Bearer ä"])
@pytest.mark.parametrize("url", ["/v1/models", "/metrics", "/v1/predictions/x"])
def test_without_the_token_nothing_is_told(tmp_path, given, url):
    async def scenario(client):
        headers = {} if given is None else {"Authorization": given.encode()}
        answer = await client.get(url, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in answer.text

    over_http(tmp_path, scenario, token=TOKEN)


def test_with_the_token_it_is_and_health_is_for_all(tmp_path):
    async def scenario(client):
        for scheme in ("Bearer", "bearer", "Token"):
            answer = await client.get("/v1/models", headers={"Authorization": f"{scheme} {TOKEN}"})
            assert answer.status_code == 200
        assert (await client.get("/health")).status_code == 200
        assert (await client.post("/predict", **PREDICT)).status_code == 401

    over_http(tmp_path, scenario, token=TOKEN)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8394", "[::1]:8394"])
def test_the_names_of_this_machine_are_answered(tmp_path, host):
    async def scenario(client):
        assert (await client.post("/predict", headers={"Host": host}, **PREDICT)).status_code == 200

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8394", ""])
def test_a_page_that_lets_its_name_lead_here_is_not(tmp_path, host):
    async def scenario(client):
        assert (await client.get("/health", headers={"Host": host})).status_code == 421

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_a_page_cannot_send_a_body_without_asking(tmp_path, kind):
    async def scenario(client):
        headers = {} if kind is None else {"Content-Type": kind}
        answer = await client.post("/predict", content=b'{"input": {"prompt": "a"}}', headers=headers)
        assert answer.status_code == 415
        asked = await client.options("/predict", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in asked.headers
        assert (await client.get("/v1/predictions")).json()["results"] == []

    over_http(tmp_path, scenario)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_body_has_a_limit_whether_it_says_its_length_or_not(tmp_path, streamed):
    async def parts():
        for _ in range(20):
            yield b" " * 100

    async def scenario(client):
        content = parts() if streamed else b" " * 2000
        answer = await client.post("/predict", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["status"]) == (413, 413)
        assert "1,000 bytes" in answer.json()["detail"]
        assert (await client.post("/predict", **PREDICT)).status_code == 200

    over_http(tmp_path, scenario, max_body_bytes=1000)


def test_where_it_listens_is_known():
    with listen("127.0.0.1", 0) as listener:
        assert is_loopback(listener)
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        with pytest.raises(UsageError, match="cannot listen on 127"):
            listen("127.0.0.1", port)
    with listen("0.0.0.0", 0) as listener:
        assert not is_loopback(listener)


@pytest.mark.parametrize("host", ["no such name", "192.0.2.1"])
def test_an_address_of_no_use_is_refused(host):
    with pytest.raises(UsageError, match=host[:3]):
        listen(host, 0)


def test_a_home_has_one_gateway(tmp_path):
    folder = tmp_path / "new" / "home"
    with home.lock(folder) as (database, files):
        assert (database, files) == (folder / "gateway.sqlite3", folder / "files")
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(UsageError, match="another gateway runs"), home.lock(folder):
            raise AssertionError
    with home.lock(folder):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be used"), home.lock(tmp_path / "file"):
        raise AssertionError


@pytest.mark.parametrize("path", ["/v1/models%0A", "/v1/models%0D%0A", "/v1/models%00", "/v1/models/%0a", "/health%7F"])
@pytest.mark.parametrize("scope", Scope)
def test_a_control_character_in_a_path_is_refused(tmp_path, path, scope):
    async def scenario(client):
        _, text = client.tokens.create("p", scope, 0.0)
        body = {"owner": "a", "name": "b", "visibility": "public", "hardware": "cpu"}
        answer = await client.post(path, json=body, headers={"Authorization": f"Bearer {text}"})
        assert (answer.status_code, "control character U+00" in answer.json()["detail"]) == (400, True)
        models = await client.get("/v1/models", headers={"Authorization": f"Bearer {text}"})
        assert [one["name"] for one in models.json()["results"]] == ["model1"]

    over_http(tmp_path, scenario, token=TOKEN)


def test_a_slash_at_the_end_changes_nothing_of_the_scope(tmp_path):
    async def scenario(client):
        _, text = client.tokens.create("p", Scope.PREDICT, 0.0)
        body = {"owner": "a", "name": "b", "visibility": "public", "hardware": "cpu"}
        headers = {"Authorization": f"Bearer {text}"}
        answer = await client.post("/v1/models/", json=body, headers=headers, follow_redirects=True)
        assert answer.status_code == 403
        assert "has the scope predict, but POST /v1/models needs admin" in answer.json()["detail"]

    over_http(tmp_path, scenario, token=TOKEN)


def test_a_form_is_taken_where_the_route_takes_one(tmp_path):
    async def scenario(client):
        form = {"files": {"content": ("a.txt", b"a")}, "headers": {"Authorization": "Bearer any"}}
        assert (await client.post("/v1/files", **form)).status_code == 201
        assert (await client.post("/predict", **form)).status_code == 415
        assert (await client.post("/nothing", **form)).status_code == 415

    over_http(tmp_path, scenario)

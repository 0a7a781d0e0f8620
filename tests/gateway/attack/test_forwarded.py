"""Headers in which a caller may say anything: believed from trusted proxies only."""

import pytest

from pilotlight.errors import UsageError
from pilotlight.gateway.api.proxies import TrustedProxies
from tests.gateway.made import run, served

CLAIM = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "models.example"}
FORM = {"files": {"content": ("a.txt", b"a")}}


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            await scenario(client)

    return run(whole())


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8",)])
def test_a_rate_limit_is_not_escaped_by_claiming_another_address(tmp_path, proxies):
    async def scenario(client):
        answers = [await client.get("/v1/models", headers={"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]

    over_http(tmp_path, scenario, rate_limit="2/h", trusted_proxies=proxies)


def test_behind_a_trusted_proxy_each_caller_has_a_limit(tmp_path):
    async def scenario(client):
        async def ask(forwarded):
            return (await client.get("/v1/models", headers={"X-Forwarded-For": forwarded})).status_code

        assert [await ask(f"203.0.113.{n}") for n in range(3)] == [200] * 3
        # What a caller has written before the proxy's own entry changes nothing.
        assert await ask("198.51.100.1, 203.0.113.1") == 200
        assert await ask("198.51.100.2, 203.0.113.1") == 429

    over_http(tmp_path, scenario, rate_limit="2/h", trusted_proxies=("127.0.0.1",))


@pytest.mark.parametrize("trusted", [True, False])
def test_addresses_in_answers_are_those_of_a_trusted_proxy_only(tmp_path, trusted):
    async def scenario(client):
        created = await client.post("/v1/files", headers={"Authorization": "Bearer t", **CLAIM}, **FORM)
        assert created.status_code == 201
        expected = "https://models.example/v1/files/" if trusted else f"{str(client.base_url).rstrip('/')}/v1/files/"
        assert created.json()["urls"]["get"].startswith(expected)

    over_http(tmp_path, scenario, token="t", trusted_proxies=("127.0.0.0/8",) if trusted else ())


@pytest.mark.parametrize(
    ("trusted", "prefix", "expected"),
    [
        (True, "/gw/models/", "https://models.example/gw/models/v1/models/local/model1"),
        (True, "//evil.example", "https://models.example/v1/models/local/model1"),
        (True, "", "https://models.example/v1/models/local/model1"),
        (False, "/gw", None),
    ],
)
def test_a_path_prefix_is_that_of_a_trusted_proxy_only(tmp_path, trusted, prefix, expected):
    async def scenario(client):
        headers = {"Authorization": "Bearer t", **CLAIM, "X-Forwarded-Prefix": prefix}
        (shown,) = (await client.get("/v1/models", headers=headers)).json()["results"]
        assert shown["url"] == (expected or f"{str(client.base_url).rstrip('/')}/v1/models/local/model1")

    over_http(tmp_path, scenario, token="t", trusted_proxies=("127.0.0.0/8",) if trusted else ())


@pytest.mark.parametrize(
    "url", ["example.com", "ftp://a", "https://", "https://a/?b", "https://a//b", "https://a/../b"]
)
def test_a_public_url_that_is_none_is_refused(url):
    with pytest.raises(UsageError, match="--public-url"):
        TrustedProxies.of([], url)


def test_without_a_token_a_public_name_is_refused_behind_a_proxy_too(tmp_path):
    async def scenario(client):
        assert (await client.get("/v1/models", headers=CLAIM)).status_code == 421

    over_http(tmp_path, scenario, trusted_proxies=("127.0.0.1",))


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["198.51.100.1, anything, 10.0.0.2"], "10.0.0.2"),
        (["unknown"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_caller_is_the_last_address_that_is_no_proxy(forwarded, caller):
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    connection = {"type": "http", "client": ("10.0.0.1", 5), "scheme": "http", "headers": headers}
    assert TrustedProxies.of(["10.0.0.0/8"]).resolve(connection)["client"][0] == caller
    assert TrustedProxies().resolve(connection) is connection


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "a\r\nb", "", "a" * 300, "a:123456"])
def test_a_host_that_is_none_is_not_taken_over(host):
    headers = [(b"host", b"own"), (b"x-forwarded-host", host.encode()), (b"x-forwarded-proto", b"file")]
    connection = {"type": "http", "client": ("10.0.0.1", 5), "scheme": "http", "headers": headers}
    found = TrustedProxies.of(["10.0.0.1"]).resolve(connection)
    assert (found["headers"], found["scheme"]) == (headers, "http")


def test_a_network_that_is_none_is_refused():
    with pytest.raises(UsageError, match="'everyone' is not a network"):
        TrustedProxies.of(["everyone"])

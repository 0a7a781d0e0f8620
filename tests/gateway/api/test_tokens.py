"""Tokens, and how often they may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import StoreError, UsageError
from pilotlight.gateway import Rate, Scope, Tokens
from pilotlight.gateway.api.rate_limit import Buckets
from tests.gateway.made import run, served


def test_a_token_is_found_by_its_text_until_it_is_revoked(tmp_path):
    tokens, gateways = Tokens(tmp_path / "new"), Tokens(tmp_path / "new")
    assert gateways.find("plt_x") is None
    token, text = tokens.create("website", Scope.PREDICT, 100.0)
    other, _ = tokens.create("other", Scope.ADMIN, 101.0)
    assert gateways.find(text) == token
    assert gateways.all() == (token, other)
    assert tokens.revoke("website") == token
    assert gateways.find(text) is None
    assert tokens.revoke(other.id) == other
    assert gateways.all() == ()


def test_a_token_is_kept_as_a_hash_that_nobody_else_can_read(tmp_path):
    token, text = Tokens(tmp_path).create("website", Scope.PREDICT, 100.0)
    assert len(text) > 40
    file = tmp_path / "tokens.json"
    assert text not in file.read_text()
    assert token.digest in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_revoked_says_so(tmp_path):
    tokens = Tokens(tmp_path)
    for _ in range(2):
        tokens.create("same", Scope.PREDICT, 100.0)
    with pytest.raises(UsageError, match="2 tokens are named 'same'"):
        tokens.revoke("same")
    with pytest.raises(UsageError, match="no token has the id or the name 'other'"):
        tokens.revoke("other")


@pytest.mark.parametrize("text", ["{", '{"format": 1}', '{"format": 2, "tokens": []}', '{"format": 1, "tokens": [{}]}'])
def test_a_file_that_is_none_of_ours_is_no_open_door(tmp_path, text):
    (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(StoreError, match=r"tokens.json cannot be used"):
        Tokens(tmp_path).find("any")


def test_a_predict_token_changes_nothing_that_is_served(tmp_path):
    async def scenario():
        async with served(tmp_path, token="given") as client:
            _, predict = client.tokens.create("p", Scope.PREDICT, 0.0)
            _, admin = client.tokens.create("a", Scope.ADMIN, 0.0)

            async def status(method, url, token, **options):
                headers = {"Authorization": f"Bearer {token}"}
                return (await client.request(method, url, headers=headers, **options)).status_code

            body = {"json": {"input": {"prompt": "a"}}}
            assert await status("POST", "/v1/models/local/model1/predictions", predict, **body) == 201
            assert await status("GET", "/v1/models", predict) == 200
            changes = [
                ("POST", "/v1/models"),
                ("DELETE", "/v1/models/local/model1"),
                ("DELETE", "/v1/models/local/model1/versions/0"),
                ("POST", "/v1/deployments"),
                ("PATCH", "/v1/deployments/local/model1"),
                ("DELETE", "/v1/deployments/local/model1"),
            ]
            for method, url in changes:
                assert await status(method, url, predict, json={}) == 403
                for token in (admin, "given"):
                    assert await status(method, url, token, json={}) in (404, 409, 422)
            client.tokens.revoke("p")
            assert await status("GET", "/v1/models", predict) == 401

    run(scenario())


def test_who_asks_too_often_is_told_when_to_come_back(tmp_path):
    now = [1000.0]

    async def scenario():
        async with served(tmp_path, token="t", rate_limit="2/min", clock=lambda: now[0]) as client:
            _, other = client.tokens.create("o", Scope.PREDICT, 0.0)

            async def ask(token):
                return await client.get("/v1/account", headers={"Authorization": f"Bearer {token}"})

            assert [(await ask("t")).status_code for _ in range(3)] == [200, 200, 429]
            answer = await ask("t")
            assert answer.headers["retry-after"] == "30"
            assert answer.json()["detail"] == "Request was throttled. Expected available in 30 seconds."
            assert (await ask(other)).status_code == 200
            assert (await client.get("/health")).status_code == 200
            now[0] += 30
            assert [(await ask("t")).status_code for _ in range(2)] == [200, 429]

    run(scenario())


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=60), st.integers(min_value=1, max_value=5))
def test_no_window_of_time_has_more_than_a_bucket_and_what_flows_in(pauses, count):
    buckets, now, taken = Buckets(Rate(count, 10.0)), 0.0, []
    for pause in pauses:
        now += pause
        wait_s = buckets.take("a", now)
        if wait_s == 0:
            taken.append(now)
        else:
            assert 0 < wait_s <= 10.0 / count + 1e-9
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= count + (taken[last] - taken[first]) * count / 10 + 1e-6


def test_strangers_do_not_fill_the_memory():
    buckets = Buckets(Rate(1, 1e6))
    for number in range(20_000):
        assert buckets.take(str(number), 0.0) == 0
    assert buckets.take("19999", 0.0) > 0
    assert buckets.take("0", 0.0) == 0


@pytest.mark.parametrize(
    ("text", "rate"), [("600/min", Rate(600, 60.0)), ("10 / s", Rate(10, 1.0)), ("1/HOUR", Rate(1, 3600.0))]
)
def test_rates_are_read(text, rate):
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "600", "0/min", "-1/s", "1/year", "1.5/s"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UsageError, match="such as 600/min"):
        Rate.parse(text)

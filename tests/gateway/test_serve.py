"""A whole gateway in one call, and its process."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from pilotlight.errors import ConfigError, UsageError
from pilotlight.gateway import GatewaySettings, Scope, Tokens, open_gateway
from tests.gateway.made import PROJECTS, Fakes, made_version, run, served
from tests.gateway.registered import MODEL, registered

PROGRAM = """
import asyncio, gc
from pilotlight.gateway import run

async def main():
    return type(asyncio.get_running_loop()).__module__, gc.get_threshold()[0], gc.get_freeze_count() > 0

print(*run(main()))
"""


def opening(home, **settings):
    """Open a gateway of no project, which is all that it does."""

    async def whole():
        async with open_gateway(GatewaySettings(**{"home": home, "port": 0, **settings})) as opened:
            return opened

    return run(whole())


def test_it_has_a_fast_loop_and_looks_rarely_for_garbage():
    # In a process of its own: what is set there stays.
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    loop, threshold, frozen = done.stdout.split()
    assert loop.startswith("uvloop")
    assert int(threshold) > 700
    assert frozen == "True"


def test_a_gateway_serves_its_projects_and_what_was_pushed_to_its_home(tmp_path):
    async def scenario():
        registered(tmp_path, 1)
        settings = GatewaySettings(projects=(PROJECTS / "run_text",), home=tmp_path, port=0)
        async with open_gateway(settings, factory=Fakes()) as opened:
            async with httpx2.AsyncClient(base_url=opened.url, trust_env=False, timeout=120) as client:
                models = (await client.get("/v1/models")).json()["results"]
                answer = await client.post("/predict", json={"input": {"prompt": "a"}})
            assert {f"{one['owner']}/{one['name']}" for one in models} == {"local/run_text", MODEL}
            assert answer.json()["status"] == "succeeded"
            assert (opened.guarded, opened.home) == (False, tmp_path)
            return opened

    opened = run(scenario())
    assert opened.gateway.closing
    assert (tmp_path / "gateway.sqlite3").is_file()


def test_a_gateway_without_a_registry_serves_projects_only(tmp_path):
    async def scenario():
        registered(tmp_path, 1)
        async with served(tmp_path, registry=False) as client:
            assert [version.model for version in client.gateway.versions] == ["local/model1"]

    run(scenario())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "give a --token"),
        ({"min_workers": 2}, "a minimum of 2 and a maximum of 1 workers contradict"),
        ({"rate_limit": "often"}, "'often' is not a rate"),
        ({"allow_networks": ("10.0.0.1/8",)}, "'10.0.0.1/8' is not a network"),
        ({"keep_s": 0.0}, "above zero"),
        ({"keep_bytes": 0}, "above zero"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_opened(tmp_path, settings, words):
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        opening(tmp_path / "home", **settings)
    assert not (tmp_path / "home").exists()


def test_a_project_that_is_none_and_a_home_in_use_are_refused(tmp_path):
    with pytest.raises(ConfigError):
        opening(tmp_path, projects=(Path("nowhere"),))

    async def scenario():
        async with served(tmp_path), open_gateway(GatewaySettings(home=tmp_path, port=0)):
            raise AssertionError

    with pytest.raises(UsageError, match="another gateway runs"):
        run(scenario())


def test_a_token_of_the_home_guards_as_one_of_the_settings_does(tmp_path):
    assert not opening(tmp_path).guarded
    assert opening(tmp_path, token="given").guarded
    Tokens(tmp_path).create("website", Scope.PREDICT, 1.0)
    assert opening(tmp_path).guarded
    assert opening(tmp_path, host="0.0.0.0").guarded


def test_the_limits_of_the_settings_are_those_of_the_gateway(tmp_path):
    async def scenario():
        async with served(tmp_path, max_workers=3, max_waiting=7, idle_timeout_s=11.0) as client:
            limits = client.gateway.pool(client.gateway.versions[0]).limits
            assert (limits.max_workers, limits.max_waiting, limits.idle_timeout_s) == (3, 7, 11.0)
            assert client.gateway.versions[0].id == made_version().id

    run(scenario())

"""What a caller can rely on, the same at every platform: how predictions end that nobody meant to end so."""

import asyncio

import pytest

from pilotlight.client import AsyncClient, Client, Timeouts
from pilotlight.errors import (
    DeadlineError,
    PredictionCanceledError,
    PredictionFailedError,
    SetupFailedError,
    TargetAuthError,
    TargetMissingError,
    TargetUnavailableError,
)
from pilotlight.types import Status
from tests.client.capabilities import PLATFORMS
from tests.client.test_conformance import free_again
from tests.cog.gateway_process import wait_until

LONG = {"prompt": "long", "count": 1000, "pause_s": 0.05}


def test_a_failure_in_mid_stream_keeps_what_came_before(streams):
    chunks = []
    with pytest.raises(PredictionFailedError, match="boom"):
        chunks.extend(one for one in streams.client.stream({"prompt": "f", "mode": "raise", "count": 2}))
    assert chunks == ["f0 ", "f1 "]


def test_a_failure_has_a_message_the_output_so_far_and_logs(streams):
    handle = streams.client.submit({"prompt": "g", "mode": "raise", "count": 2})
    result = handle.wait()
    assert (result.status, result.output, list(handle)) == (Status.FAILED, ["g0 ", "g1 "], ["g0 ", "g1 "])
    with pytest.raises(PredictionFailedError, match="boom") as caught:
        result.raise_for_status()
    assert caught.value.logs == result.logs == ("" if streams.can.logs == "no" else "mode raise\nto stderr\n")


def test_a_cancel_in_mid_stream_keeps_what_came_before_and_frees_the_slot(streams):
    printed = "mode echo\nto stderr\n"
    handle = streams.client.submit(LONG)
    assert next(iter(handle)) == "long0 "
    assert handle.status() is Status.PROCESSING
    if streams.can.logs == "while it runs":
        wait_until(lambda: handle.logs == printed)
    else:
        assert handle.logs == ""
    handle.cancel()
    result = handle.wait()
    assert (result.status, result.error) == (Status.CANCELED, None)
    assert result.output[0] == "long0 "
    assert result.logs == handle.logs == (printed if streams.can.keeps_canceled_logs else "")
    with pytest.raises(PredictionCanceledError):
        result.raise_for_status()
    assert free_again(streams)


def test_a_cancel_of_one_that_waits_leaves_the_one_that_runs(streams):
    running = streams.client.submit({"prompt": "n", "count": 10, "pause_s": 0.05})
    next(iter(running))
    waiting = streams.client.submit(LONG)
    assert waiting.status() is Status.STARTING
    waiting.cancel()
    assert (waiting.wait().status, waiting.wait().output) == (Status.CANCELED, None)
    assert running.wait().output == [f"n{number} " for number in range(10)]
    assert free_again(streams)


def test_the_deadline_of_the_wait_is_one_of_its_own(streams):
    async def scenario():
        async with AsyncClient(streams.running.target, **streams.running.settings) as client:
            running = await client.submit(LONG)
            await anext(aiter(running))
            client.timeouts = Timeouts(wait_s=0.5)
            with pytest.raises(DeadlineError, match=r"did not begin within 0\.5 s") as caught:
                await client.run(LONG)
            assert caught.value.phase == "wait"
            await running.cancel()

    asyncio.run(scenario())
    assert free_again(streams)


def test_a_worker_that_dies_fails_its_prediction_and_nothing_else(streams):
    chunks = []
    with pytest.raises((PredictionFailedError, TargetUnavailableError)):
        chunks.extend(streams.client.stream({"prompt": "v", "mode": "die", "count": 1, "pause_s": 0.1}))
    if streams.can.restarts == "nobody":
        with pytest.raises(TargetUnavailableError):
            streams.client.run({"prompt": "w", "count": 1}, timeout_s=120)
        streams.running.kill()
        streams.running.revive()
    assert streams.client.run({"prompt": "w", "count": 1}, timeout_s=120).output == ["w0 "]


def test_a_platform_that_is_killed_is_one_clear_error_and_may_come_back(streams):
    client, can = streams.client, streams.can
    handle = client.submit(LONG, timeout_s=20 if can.lost_platform == "the deadline" else 60)
    assert next(iter(handle)) == "long0 "
    streams.running.kill()
    lost = DeadlineError if can.lost_platform == "the deadline" else (TargetUnavailableError, PredictionFailedError)
    with pytest.raises(lost):
        handle.wait().raise_for_status()
    if can.restarts != "the client":
        # While it is down: nobody to talk to, or a queue that keeps the call for as long as the caller waits.
        with pytest.raises(DeadlineError if can.holds_calls else TargetUnavailableError):
            client.run({"prompt": "x", "count": 1}, timeout_s=1 if can.holds_calls else 120)
    streams.running.revive()
    assert client.run({"prompt": "y", "count": 1}, timeout_s=120).output == ["y0 "]


def test_a_project_that_cannot_be_set_up_is_an_error(kind, failed_setup):
    error = failed_setup.result(120)
    if PLATFORMS[kind].tells_failed_setup:
        assert isinstance(error, SetupFailedError | PredictionFailedError)
        assert "weights/model.safetensors is not there" in f"{error} {error.logs}"
    else:
        # A platform on which no worker comes up does not say why; its own console does.
        assert isinstance(error, DeadlineError if PLATFORMS[kind].holds_calls else TargetUnavailableError)


def test_a_target_that_is_not_there_is_named(streams, tmp_path):
    settings = {name: value for name, value in streams.running.settings.items() if name != "url"}
    nowhere = {
        "project": f"project:{tmp_path}",
        "cog": "cog:http://127.0.0.1:9",
        "gateway": "gateway:http://127.0.0.1:9",
    }.get(streams.kind, streams.running.target)
    if streams.running.target == nowhere:
        settings["url"] = "http://127.0.0.1:9"
    said = r"127\.0\.0\.1:9|no cog\.yaml"
    with pytest.raises((TargetMissingError, TargetUnavailableError), match=said), Client(nowhere, **settings) as client:
        client.run({"prompt": "a"}, timeout_s=120)


def test_a_wrong_token_is_refused_where_one_is_needed(streams):
    with streams.another(token="wrong") as client:
        if streams.can.needs_token:
            with pytest.raises(TargetAuthError):
                client.run({"prompt": "a", "count": 1})
        else:
            assert client.run({"prompt": "a", "count": 1}).output == ["a0 "]

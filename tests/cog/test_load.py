"""Loads of real Cog servers, whose times are planted."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from pilotlight.bench.harness.proc import group_members
from pilotlight.bench.harness.targets import StartOptions, name_targets
from pilotlight.bench.load.measure import LoadPlan, measure
from pilotlight.bench.load.objectives import parse_objective
from pilotlight.bench.load.results import LoadSettings
from pilotlight.bench.load.steps import LoadStep, closed_steps, constant_steps, poisson_steps
from pilotlight.errors import InputError, PredictionFailedError, UsageError, WorkerError
from pilotlight.runtime import Project, Worker
from tests.cog.test_cold import groups_of_servers
from tests.inputs import made_up
from tests.paths import PROJECTS

OPEN = {"requests": None, "max_in_flight": 1024}


def plan(where, *steps, mode="plain", arrivals=None, queue=True, objectives=(), timeout_s=120.0, warmup=1):
    if not isinstance(where, str):
        where = name_targets([Project.load(where)])[0]
    settings = LoadSettings(
        url=where if isinstance(where, str) else None,
        mode=mode,
        loop="open" if arrivals else "closed",
        arrivals=arrivals,
        rates=tuple(step.rate for step in steps if step.rate),
        clients=tuple(step.clients for step in steps if step.clients),
        trace=None,
        trace_scale=None,
        duration_s=None,
        requests=None,
        seed=0,
        queue=queue,
        max_in_flight=1024,
        warmup=warmup,
        timeout_s=timeout_s,
        objectives=objectives,
    )
    options = StartOptions(Path(sys.executable), {}, 60.0, timeout_s)
    return LoadPlan(where, options, steps, settings, tuple(map(parse_objective, objectives)))


def run(given, **inputs):
    saved = []
    result = asyncio.run(measure(given, made_up(**inputs), save=saved.append))
    # Before the first step, after each one, and at the end.
    assert [len(one.steps) for one in saved] == [*range(len(result.steps) + 1), len(result.steps)]
    assert [one.finished for one in saved] == [*[False] * (len(result.steps) + 1), True]
    return result


def times(requests, start, end):
    """Seconds between two columns."""
    pairs = zip(getattr(requests, start), getattr(requests, end), strict=True)
    return np.asarray([b - a for a, b in pairs if a is not None and b is not None])


def test_planted_service_times_and_what_clients_share():
    steps = closed_steps([1, 8, 16], duration_s=None, requests=24)
    result = run(plan(PROJECTS / "load_sleeps", steps[0], steps[1], steps[2], objectives=("0.2s", "10s")), seconds=0.1)
    alone, full, crowded = result.steps
    assert all(step.summary.counts == {"succeeded": 24} for step in result.steps)
    for step in result.steps:
        assert np.all(times(step.requests, "sent_s", "done_s") >= 0.1)
    # Eight at once serve eight times as much; sixteen have to wait for them.
    assert alone.summary.achieved_per_s <= 10
    assert full.summary.achieved_per_s > 2 * alone.summary.achieved_per_s
    assert (alone.summary.queued, full.summary.achieved_per_s <= 80) == (0, True)
    assert crowded.summary.queued >= 8
    assert np.sum(times(crowded.requests, "intended_s", "done_s") >= 0.2) >= 8
    assert [one.objective for one in crowded.summary.goodput] == ["0.2s", "10s"]
    assert crowded.summary.goodput[1].share == 1
    assert result.projects[0].inputs == {"seconds": 0.1}


def test_a_stall_is_in_the_response_times_of_all_who_waited_and_in_the_service_time_of_one():
    steps = constant_steps([50.0], duration_s=3.0, **OPEN)
    requests = run(plan(PROJECTS / "load_stalls", *steps, arrivals="constant"), stalls_at=40).steps[0].requests
    assert set(requests.outcome) == {"succeeded"}
    response, service = times(requests, "intended_s", "done_s"), times(requests, "sent_s", "done_s")
    assert len(response) == 150
    assert np.sum(service >= 0.95) >= 1
    # About 50 came during the second in which nothing was served; half of them waited for more than half of it.
    assert np.sum(response >= 0.5) >= 20
    assert np.sum(response >= 0.5) >= 5 * np.sum(service >= 0.5)


def test_without_a_queue_refusals_are_counted():
    steps = closed_steps([4], duration_s=None, requests=40)
    result = run(plan(PROJECTS / "load_stalls", *steps, queue=False))
    summary = result.steps[0].summary
    assert summary.counts["rejected"] >= 1
    assert summary.counts["rejected"] + summary.counts["succeeded"] == 40
    assert set(result.steps[0].requests.http_status) == {200, 409}
    assert "At capacity" in result.steps[0].failures[0].message


def test_overload_is_seen():
    # Ten times what one slot can serve in 0.1 s each, if the generator is left in peace.
    steps = poisson_steps([100.0], duration_s=0.6, seed=1, **OPEN)
    step = run(plan(PROJECTS / "load_streams", *steps, arrivals="poisson"), words=10, pause_s=0.01).steps[0]
    assert step.summary.achieved_per_s <= 10
    assert step.verdict == "overloaded" or (step.verdict is None and step.audit.problems)
    waits = times(step.requests, "started_s", "done_s")
    assert np.mean(waits[-10:]) > 2 * np.mean(waits[:10])


def test_more_than_may_be_in_flight_is_refused_by_the_audit():
    steps = constant_steps([100.0], duration_s=0.5, requests=None, max_in_flight=4)
    step = run(plan(PROJECTS / "load_sleeps", *steps, arrivals="constant"), seconds=0.4).steps[0]
    assert step.summary.counts["not_sent"] >= 30
    assert step.verdict is None
    assert "were not sent, since too many were in flight" in " ".join(step.audit.problems)


def test_streams_count_chunks_and_the_predictors_tokens():
    steps = closed_steps([1], duration_s=None, requests=10)
    result = run(
        plan(PROJECTS / "load_streams", *steps, mode="stream", objectives=("ttft:10s",)), words=6, pause_s=0.01
    )
    step = result.steps[0]
    assert step.requests.outputs == (6,) * 10
    assert step.requests.tokens == (12,) * 10
    assert step.summary.between_outputs.n == 50
    firsts = [chunks[0] - sent for chunks, sent in zip(step.requests.output_s, step.requests.sent_s, strict=True)]
    assert min(firsts) >= 0.01
    assert all(np.all(np.diff(chunks) >= 0) for chunks in step.requests.output_s)
    assert step.summary.tokens_per_s == pytest.approx(2 * step.summary.outputs_per_s)
    assert step.summary.goodput[0].met == 10


def test_asynchronous_predictions_end_with_their_webhooks():
    steps = closed_steps([8], duration_s=None, requests=24)
    step = run(plan(PROJECTS / "load_sleeps", *steps, mode="async"), seconds=0.1).steps[0]
    assert step.summary.counts == {"succeeded": 24}
    assert set(step.requests.http_status) == {202}
    assert np.all(times(step.requests, "sent_s", "done_s") >= 0.1)


def test_a_server_that_runs_already_is_left_running():
    async def scenario():
        async with Worker(Project.load(PROJECTS / "load_tiny")) as worker:
            await worker.wait_ready(120)
            given = plan(worker.url + "/", *closed_steps([2], duration_s=None, requests=20))
            result = await measure(given, made_up(), save=lambda _: None)
            return result, await worker.health()

    result, health = asyncio.run(scenario())
    assert health.ready
    assert result.projects[0].name.startswith("http://127.0.0.1:")
    assert result.steps[0].summary.counts == {"succeeded": 20}


def test_a_server_that_dies_ends_the_run_with_what_there_is():
    steps = closed_steps([1, 2], duration_s=None, requests=20)
    result = run(plan(PROJECTS / "load_stalls", *steps), dies_at=10)
    (step,) = result.steps
    assert (step.complete, step.verdict) == (False, None)
    assert "died" in step.message
    assert step.summary.counts["succeeded"] == 7  # two were the warm-up


@pytest.mark.parametrize(
    ("project", "inputs", "error", "message"),
    [
        ("load_sleeps", {"seconds": "long"}, InputError, "seconds"),
        ("load_sleeps", {"fails": True}, PredictionFailedError, "asked to fail"),
        ("load_sleeps", {"seconds": 60.0}, WorkerError, "the first prediction did not finish within 2 s"),
    ],
)
def test_what_fails_in_the_warm_up_is_no_load(project, inputs, error, message):
    with pytest.raises(error, match=message):
        run(plan(PROJECTS / project, LoadStep(1.0, clients=1), timeout_s=2.0), **inputs)


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("https://127.0.0.1:1", UsageError, "give it as http://HOST:PORT"),
        ("127.0.0.1:5000", UsageError, "give it as http://HOST:PORT"),
        ("http://127.0.0.1:99999", UsageError, "ort out of range"),
        ("http://127.0.0.1:1", WorkerError, "broke"),
    ],
)
def test_urls_that_lead_nowhere(url, error, message):
    with pytest.raises(error, match=message):
        run(plan(url, LoadStep(1.0, clients=1)))


def test_cancelled_it_keeps_the_step_it_was_in_and_leaves_no_process():
    saved = []

    async def scenario():
        given = plan(PROJECTS / "load_sleeps", LoadStep(60.0, clients=2))
        looked = asyncio.Event()

        def look(step, elapsed_s):
            if elapsed_s > 0.3:
                looked.set()

        inputs = {"seconds": 0.1}
        running = asyncio.create_task(
            measure(
                given,
                made_up(**inputs),
                save=saved.append,
                look=look,
            )
        )
        async with asyncio.timeout(120):
            await looked.wait()
            started = groups_of_servers()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while any(group_members(group) for group in started):  # noqa: ASYNC110 - grandchildren: nothing to wait on
                await asyncio.sleep(0.01)
        return started

    assert len(asyncio.run(scenario())) == 1
    step = saved[-1].steps[0]
    assert not saved[-1].finished
    assert not step.complete
    assert step.summary.counts["interrupted"] == 2

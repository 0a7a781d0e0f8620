"""Loads played on a server with planted service times, and what their results say: exact, and without waiting."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from pilotlight.bench.harness.clock import FakeClock
from pilotlight.bench.harness.targets import StartOptions
from pilotlight.bench.load.fake import FakeServer
from pilotlight.bench.load.measure import LoadPlan, step_result
from pilotlight.bench.load.objectives import parse_objective
from pilotlight.bench.load.play import Played, play
from pilotlight.bench.load.results import LoadSettings
from pilotlight.bench.load.steps import closed_steps, constant_steps, poisson_steps

OPEN = {"requests": None, "max_in_flight": 1024}


def planned(step, arrivals, objectives):
    settings = LoadSettings(
        url="http://127.0.0.1:1", mode="plain", loop="open" if arrivals else "closed", arrivals=arrivals,
        rates=(step.rate,) if step.rate else (), clients=(step.clients,) if step.clients else (), trace=None,
        trace_scale=None, duration_s=None, requests=None, seed=0, queue=True, max_in_flight=1024, warmup=0,
        timeout_s=60.0, objectives=objectives,
    )  # fmt: skip
    options = StartOptions(Path(sys.executable), {}, 60.0, 60.0)
    return LoadPlan("http://127.0.0.1:1", options, (step,), settings, tuple(map(parse_objective, objectives)))


def result_of(step, *, slots, service_s, arrivals=None, objectives=()):
    async def scenario():
        clock, played = FakeClock(), Played()
        server = FakeServer(clock, slots=slots, service_s=service_s)
        await play(step, server.send, played, lambda _: None, clock)
        return played

    return step_result(planned(step, arrivals, objectives), step, asyncio.run(scenario()), complete=True)


def times(requests, start, end):
    return np.asarray(getattr(requests, end)) - np.asarray(getattr(requests, start))


@pytest.mark.parametrize(("clients", "per_s", "longest_s"), [(1, 10.0, 0.1), (8, 80.0, 0.1), (16, 80.0, 0.2)])
def test_clients_share_the_slots(clients, per_s, longest_s):
    (step,) = closed_steps([clients], duration_s=None, requests=48)
    result = result_of(step, slots=8, service_s=lambda _: 0.1, objectives=("0.15s", "10s"))
    assert result.summary.counts == {"succeeded": 48}
    assert times(result.requests, "sent_s", "done_s") == pytest.approx([0.1] * 48, abs=1e-5)
    assert times(result.requests, "intended_s", "done_s").max() == pytest.approx(longest_s, abs=1e-5)
    assert result.summary.achieved_per_s == pytest.approx(per_s)
    within, all_of_them = (one.share for one in result.summary.goodput)
    assert all_of_them == 1
    assert within == pytest.approx(1 if longest_s == 0.1 else 8 / 48)


def test_a_stall_is_in_the_response_times_of_all_who_waited_and_in_the_service_time_of_one():
    (step,) = constant_steps([50.0], duration_s=3.0, **OPEN)
    result = result_of(step, slots=1, service_s=lambda n: 1.0 if n == 40 else 0.001, arrivals="constant")
    response = times(result.requests, "intended_s", "done_s")
    service = times(result.requests, "sent_s", "done_s")
    assert len(response) == 150
    assert np.sum(service >= 0.5) == 1
    assert 24 <= np.sum(response >= 0.5) <= 28  # half of those that came during the second
    assert result.verdict == "keeps_up"


def test_ten_times_what_a_slot_can_serve_is_an_overload():
    (step,) = poisson_steps([100.0], duration_s=6.0, seed=1, **OPEN)
    result = result_of(step, slots=1, service_s=lambda _: 0.1, arrivals="poisson")
    assert result.audit.problems == ()
    assert result.verdict == "overloaded"
    assert result.summary.achieved_per_s <= 10


def test_half_of_what_a_slot_can_serve_is_kept_up_with():
    (step,) = poisson_steps([5.0], duration_s=60.0, seed=1, **OPEN)
    result = result_of(step, slots=1, service_s=lambda _: 0.1, arrivals="poisson")
    assert result.audit.problems == ()
    assert result.verdict == "keeps_up"
    assert result.summary.queued == 0


def test_what_comes_while_too_many_are_in_flight_is_not_sent_and_the_audit_refuses_it():
    (step,) = constant_steps([100.0], duration_s=0.5, requests=None, max_in_flight=4)
    result = result_of(step, slots=8, service_s=lambda _: 0.4, arrivals="constant")
    assert result.summary.counts == {"succeeded": 8, "not_sent": 42}
    assert result.verdict is None
    assert "were not sent, since too many were in flight" in " ".join(result.audit.problems)

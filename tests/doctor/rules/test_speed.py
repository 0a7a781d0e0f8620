"""Rules about time, on made-up observations."""

from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.doctor.findings import Fault, Fine, Unclear
from pilotlight.doctor.observed import NotStarted, Observation, OpenedFile, Start
from pilotlight.doctor.rules.speed import worth_a_second_start
from tests.doctor.cases import call, check, facts, run, runs, series, start

SLOW_FIRST = start(1.5, 0.1, 0.1, 0.1)
QUICK = start(0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("starts", "busy", "kind"),
    [
        ([SLOW_FIRST], False, Fault),
        ([SLOW_FIRST, SLOW_FIRST], False, Fault),
        ([SLOW_FIRST, QUICK], False, Fine),  # it was the file system, or a neighbor
        ([start(0.14, 0.01, 0.01)], False, Fine),  # Cog's own 0.12 s: a ratio of 14, and nothing
        ([start(6.0, 5.4, 5.4)], False, Fine),  # 0.6 s of 6 s
        ([SLOW_FIRST], True, Fault),  # it was slow, whoever else was there
        ([replace(SLOW_FIRST, runs=(run(1.5, waited_s=1.2), *SLOW_FIRST.runs[1:]))], True, Unclear),
        ([replace(SLOW_FIRST, runs=(run(1.5, waited_s=None), *SLOW_FIRST.runs[1:]))], True, Unclear),
        ([replace(SLOW_FIRST, failed=(run(0.1),))], False, Unclear),
        ([start(1.5)], False, Unclear),
        ([], False, Unclear),
    ],
)
def test_no_warm_up(starts, busy, kind):
    outcome = check("no-warm-up", facts(Observation(starts=tuple(starts)), busy=busy))
    assert type(outcome) is kind


def test_no_warm_up_says_how_long():
    outcome = check("no-warm-up", facts(Observation(starts=(SLOW_FIRST,))))
    assert outcome.evidence == ("start 1: first 1.50 s, then 100 ms", "15.0 times as long")
    assert outcome.how == "ran"


@pytest.mark.parametrize(
    ("calls", "kind"),
    [
        ([call("self.model.generate")], Fault),
        ([call("threading.Thread", keywords={"target": "self.model.generate"})], Fault),
        ([call("self.model.generate"), call("self.model.generate", "setup")], Fine),
        ([call("self.model"), call("self.predict", "setup")], Fine),
        ([call("self.model"), call("self.warm_up", "setup")], Fine),
        ([call("self.model"), call("self.model.to", "setup")], Fault),
        ([call("self.tokenizer")], Fine),
        ([call("self.other")], Fine),
    ],
)
def test_a_warm_up_as_the_source_tells_it(calls, kind):
    code = {"loaded": ("self.model", "self.tokenizer"), "calls": tuple(calls)}
    assert type(check("no-warm-up", facts(code=code))) is kind


def test_what_was_measured_counts_for_more_than_what_was_read():
    code = {"loaded": ("self.model",), "calls": (call("self.model"),)}
    assert type(check("no-warm-up", facts(runs(0.1, 0.1, 0.1), code=code))) is Fine
    assert type(check("no-warm-up", facts(code={"loaded": ()}))) is Unclear


WEIGHTS = Path("/srv/project/model.safetensors")


def opened(path, *times_s):
    return tuple(OpenedFile(at_s, path) for at_s in times_s)


@pytest.mark.parametrize(
    ("files", "calls", "kind"),
    [
        ((), (), Fine),
        (opened(WEIGHTS, 101.05, 101.15, 101.25), (), Fault),
        (opened(WEIGHTS, 99.0, 100.5), (), Fine),  # in setup() and in the first one: loaded late, but once
        (opened(WEIGHTS, 101.05, 101.15), (), Fine),
        (opened(Path("/srv/words.txt"), 101.05, 101.15, 101.25), (), Fine),
        ((), (call("torch.load"),), Fault),
        ((), (call("transformers.AutoModel.from_pretrained"),), Fault),
        ((), (call("open", argument="weights/model.bin"),), Fault),
        ((), (call("open", argument="labels.txt"),), Fine),
        ((), (call("torch.load", guarded=True),), Fine),
        ((), (call("torch.load", "setup"),), Fine),
    ],
)
def test_loads_per_request(files, calls, kind):
    # The first prediction from 100 to 101 s, then three of 0.1 s.
    ran = runs(1.0, 0.1, 0.1, 0.1, opened=files)
    assert type(check("loads-per-request", facts(ran, code={"calls": calls}))) is kind


def test_loads_per_request_of_a_project_that_was_only_read():
    assert check("loads-per-request", facts(code={"calls": (call("torch.load"),)})).how == "read"
    assert type(check("loads-per-request", facts())) is Fine
    assert type(check("loads-per-request", facts(runs(0.1, 0.1)))) is Unclear


ASLEEP = call("time.sleep", on_loop=True)


@pytest.mark.parametrize(
    ("is_async", "stops", "calls", "kind"),
    [
        (True, ((101.0, 101.3), (101.3, 101.6), (101.6, 101.9)), (), Fault),
        (True, ((101.0, 101.06), (101.3, 101.36)), (), Fine),  # late, as on any busy machine
        (True, ((101.0, 101.15),), (), Fine),  # once, for a sixth of the time
        (True, ((90.0, 99.0),), (), Fine),  # in setup()
        (True, None, (), Fine),
        (False, ((101.0, 101.9),), (), Fine),  # predict() has a thread: whatever loop that was, nobody waits for it
        (True, (), (ASLEEP,), Fine),  # the source looks like it, and it does not happen
    ],
)
def test_blocked_event_loop(is_async, stops, calls, kind):
    ran = runs(1.0, 0.3, 0.3, 0.3, loop_blocked=stops)
    assert type(check("blocked-event-loop", facts(ran, code={"is_async": is_async, "calls": calls}))) is kind


@pytest.mark.parametrize(
    ("idle_s", "busy_s", "kind"),
    [(0.01, 3.0, Fault), (0.01, 0.4, Fine), (2.0, 3.0, Fine)],
)
def test_health_that_waits_for_predictions(idle_s, busy_s, kind):
    ran = runs(1.0, 4.0, 4.0, 4.0, health_idle_s=(idle_s,) * 5, health_busy_s=(busy_s,) * 3)
    assert type(check("blocked-event-loop", facts(ran))) is kind


def test_a_busy_machine_excuses_a_loop_that_waited_for_a_processor_unless_the_source_says_otherwise():
    ran = runs(1.0, loop_blocked=((101.0, 101.3),))
    ran = replace(ran, starts=(replace(ran.starts[0], runs=series(1.0, 0.3, waited_s=0.2)),))
    assert type(check("blocked-event-loop", facts(ran, busy=True, code={"is_async": True}))) is Unclear
    code = {"is_async": True, "calls": (ASLEEP,)}
    assert type(check("blocked-event-loop", facts(ran, busy=True, code=code))) is Fault


@pytest.mark.parametrize(("slots", "severity"), [(1, "medium"), (4, "high")])
def test_a_blocked_loop_is_worse_where_others_share_it(slots, severity):
    given = facts(code={"is_async": True, "calls": (ASLEEP,)}, max_concurrency=slots)
    outcome = check("blocked-event-loop", given)
    assert (outcome.severity, outcome.how) == (severity, "read")
    assert outcome.evidence == ("predict.py:20: time.sleep in an async def",)


@pytest.mark.parametrize(
    ("cold_s", "waited_s", "busy", "kind"),
    [
        ((9.0,), 0.1, False, Fine),
        ((12.0,), 0.1, False, Fault),
        ((12.0, 9.0), 0.1, False, Fine),
        ((12.0,), 0.1, True, Fault),  # it waited for something of its own
        ((12.0,), 3.0, True, Unclear),
        ((12.0,), None, True, Unclear),
        ((12.0,), None, False, Fault),
        ((), None, False, Unclear),
    ],
)
def test_slow_cold_start(cold_s, waited_s, busy, kind):
    starts = tuple(replace(start(0.1, cold_s=one), waited_s=waited_s) for one in cold_s)
    assert type(check("slow-cold-start", facts(Observation(starts=starts), busy=busy))) is kind


@pytest.mark.parametrize(
    ("ran", "worth"),
    [
        (None, False),
        (NotStarted("no"), False),
        (Observation(), False),
        (Observation(starts=(Start(0.5),)), False),
        (Observation(starts=(QUICK,)), False),
        (Observation(starts=(SLOW_FIRST,)), True),
        (Observation(starts=(start(0.1, 0.1, cold_s=11.0),)), True),
    ],
)
def test_a_second_start_is_worth_it_only_where_the_first_looks_bad(ran, worth):
    assert worth_a_second_start(facts(ran)) is worth

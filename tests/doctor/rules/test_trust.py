"""Rules about health, inputs, metrics and starting, on made-up observations."""

from dataclasses import replace

import pytest

from pilotlight.doctor.facts import InputFact
from pilotlight.doctor.findings import Fault, Fine, Unclear
from pilotlight.doctor.observed import Attempt, NotStarted, Observation, Start
from pilotlight.doctor.rules.inputs import is_clear
from tests.doctor.cases import call, check, facts, run, runs, series

THREAD = call("threading.Thread", "setup", "predict.py:15")
EARLY = Start(0.4, cold_s=1.9, failed=(run(0.01, error="Prediction failed: RuntimeError: no model"),), late_s=1.4)


@pytest.mark.parametrize(
    ("code", "more", "kind"),
    [
        ({}, {}, Fine),
        ({"healthcheck": "checks"}, {"gpu": True}, Fine),
        ({"healthcheck": "constant"}, {}, Fault),
        ({"calls": (THREAD,)}, {}, Fault),
        ({"calls": (THREAD,), "healthcheck": "checks"}, {}, Fine),
        ({"calls": (call("threading.Thread"),)}, {}, Fine),  # in a prediction: it ends with it
        ({}, {"gpu": True}, Fault),
    ],
)
def test_health_as_the_source_tells_it(code, more, kind):
    outcome = check("dishonest-health", facts(code=code, **more))
    assert type(outcome) is kind
    assert getattr(outcome, "how", "read") == "read"


@pytest.mark.parametrize(
    ("ran", "kind"),
    [
        (Observation(starts=(replace(EARLY, runs=series(0.1, 0.1)),)), Fault),
        (Observation(starts=(EARLY,)), Fault),  # nobody made up an input: it never works
        (Observation(starts=(EARLY,), made_up=("prompt",)), Fine),  # it may be the input
        (Observation(starts=(replace(EARLY, runs=series(0.1)),), made_up=("prompt",)), Fault),
        (runs(0.1, 0.1, unhealthy="UNHEALTHY: returned False"), Fault),
        (runs(0.1, 0.1), Fine),
        (Observation(), Fine),
    ],
)
def test_health_as_it_ran(ran, kind):
    assert type(check("dishonest-health", facts(ran))) is kind


def test_ready_too_early_says_since_when_and_why():
    ran = Observation(starts=(replace(EARLY, runs=series(0.1)),))
    outcome = check("dishonest-health", facts(ran, code={"calls": (THREAD,)}))
    assert outcome.evidence == (
        "READY after 400 ms, but predictions failed for 1.40 s (1 of them)",
        "the first error: RuntimeError: no model",
        "predict.py:15: threading.Thread in setup()",
    )


@pytest.mark.parametrize(
    ("outcome", "message", "clear"),
    [
        ("refused", "n: must be at least 1", True),
        ("succeeded", "", True),
        ("failed", "Prediction failed: Async prediction failed: IndexError: list index out of range", False),
        ("failed", "Prediction failed: Prediction failed: RuntimeError: shape mismatch", False),
        ("failed", "Prediction failed: Prediction failed: torch.OutOfMemoryError: CUDA", False),
        ("failed", "Prediction failed: Prediction failed: TypeError: steps has to be a number", True),
        ("failed", "Prediction failed: Prediction failed: ValueError: too long", True),
        ("failed", "Prediction failed: Prediction failed: InputError: prompt: is empty", True),
        ("failed", "Prediction failed: Prediction failed: AssertionError: ", False),
        ("timed_out", "", False),
        ("crashed", "died", False),
        ("stuck", "", False),
    ],
)
def test_what_is_a_clear_answer(outcome, message, clear):
    assert is_clear(Attempt("steps", "-1", outcome, message)) is clear


NUMBER = InputFact("steps", "predict.py:12", number=True, described=True, bounded=False)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ((NUMBER,), Fault),
        ((replace(NUMBER, bounded=True),), Fine),
        ((replace(NUMBER, name="seed"),), Fine),  # any number is a seed
        ((replace(NUMBER, number=False),), Fine),
    ],
)
def test_limits_as_the_source_tells_them(inputs, kind):
    assert type(check("unvalidated-inputs", facts(code={"inputs": inputs}))) is kind


def test_limits_that_are_missing_are_no_fault_where_nothing_breaks():
    assert type(check("unvalidated-inputs", facts(runs(0.1, 0.1), code={"inputs": (NUMBER,)}))) is Fine
    assert type(check("unvalidated-inputs", facts(runs(0.1, 0.1, attempts=())))) is Unclear
    assert type(check("unvalidated-inputs", facts(Observation()))) is Unclear


@pytest.mark.parametrize(
    ("outcome", "severity", "words"),
    [
        ("failed", "medium", "fails with IndexError: no, which does not help the caller"),
        ("timed_out", "medium", "accepted, and not finished after 3.00 s"),
        ("stuck", "high", "accepted, and the worker no longer answers after 3.00 s"),
        ("crashed", "high", "the worker died: Prediction failed: IndexError: no"),
    ],
)
def test_inputs_that_break_it(outcome, severity, words):
    bad = Attempt("steps", "-1", outcome, "Prediction failed: IndexError: no", 3.0)
    found = check("unvalidated-inputs", facts(runs(0.1, 0.1, attempts=(bad,)), code={"inputs": (NUMBER,)}))
    assert found.severity == severity
    assert found.evidence == (f"steps=-1: {words}", "predict.py:12: steps has no limits")


def test_undescribed_inputs():
    assert type(check("undescribed-inputs", facts())) is Fine
    outcome = check("undescribed-inputs", facts(code={"inputs": (replace(NUMBER, described=False),)}))
    assert outcome.evidence == ("predict.py:12: steps",)


@pytest.mark.parametrize(
    ("ran", "in_source", "kind"),
    [
        (None, True, Fine),
        (None, False, Fault),
        (runs(0.1, 0.1), False, Fine),  # recorded by something that could not be followed
        (Observation(starts=(Start(0.4, runs=(replace(run(0.1), metrics=()),) * 3),)), False, Fault),
        (Observation(starts=(Start(0.4, runs=(replace(run(0.1), metrics=()),) * 3),)), True, Fine),  # sometimes
    ],
)
def test_no_metrics(ran, in_source, kind):
    assert type(check("no-metrics", facts(ran, code={"records_metrics": in_source}))) is kind


def test_an_async_generator_is_mute():
    assert type(check("mute-generator", facts(code={"is_async": True}))) is Fine
    assert type(check("mute-generator", facts(code={"is_generator": True}))) is Fine
    code = {"is_async": True, "is_generator": True}
    assert check("mute-generator", facts(code=code)).how == "read"
    ran = Observation(starts=(Start(0.4, runs=(run(1.0), replace(run(1.0), chunks=5, first_output_s=0.99))),))
    outcome = check("mute-generator", facts(ran, code=code))
    assert outcome.evidence[1] == "5 chunks, the first after 990 ms of 1.00 s"


def test_an_async_generator_that_sends_its_words_as_metrics_is_not_mute():
    code = {"is_async": True, "is_generator": True, "calls": (call("cog.current_scope().record_metric"),)}
    appending = call("().record_metric", keywords={"mode": "append"})
    assert type(check("mute-generator", facts(code=code))) is Fault
    assert type(check("mute-generator", facts(code={**code, "calls": (appending,)}))) is Fine


def test_does_not_start():
    assert type(check("does-not-start", facts())) is Unclear
    assert type(check("does-not-start", facts(runs(0.1)))) is Fine
    outcome = check("does-not-start", facts(NotStarted("setup failed: no weights", "one\ntwo\nthree\nfour")))
    assert outcome.evidence == ("setup failed: no weights", "two", "three", "four")
    missing = NotStarted("predict.py cannot be imported: No module named 'x'", missing_module=True)
    assert type(check("does-not-start", facts(missing))) is Unclear
    assert check("no-warm-up", facts(missing)) == Unclear("needs a run")

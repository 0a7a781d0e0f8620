"""The predictor's streaming, metrics and cancel, over an engine that says what it is told."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pilotlight.adapters.coglet import CancelSignal
from pilotlight.adapters.text import TextPredictor
from pilotlight.adapters.text_inputs import TextInputs
from pilotlight.engines.text.fake import FakeEngine
from pilotlight.errors import ConfigError, EngineError, InputError
from tests.paths import ROOT


class Scope:
    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}

    def record_metric(self, key: str, value: Any, mode: str = "replace") -> None:
        self.metrics[key] = value


class Canceled(BaseException):
    pass


def test_chunks_and_metrics() -> None:
    predictor = TextPredictor(FakeEngine(lambda request: "hello"))
    scope = Scope()
    chunks = list(predictor.stream(TextInputs(prompt="say", seed=5), scope=scope, canceled=Canceled))
    assert "".join(chunks) == "hello"
    assert scope.metrics["input_token_count"] == 3
    assert scope.metrics["output_token_count"] == 6  # with the end of text
    assert scope.metrics["finish_reason"] == "stop"
    assert scope.metrics["seed"] == 5
    assert scope.metrics["time_to_first_token_s"] >= 0
    predictor.close()


def test_warm_up_is_a_prediction() -> None:
    asked: list[str] = []

    def reply(request: Any) -> str:
        asked.append(request.prompt)
        return "warm"

    TextPredictor(FakeEngine(reply)).close()
    assert len(asked) == 1


def test_bad_input_is_raised_before_the_stream_begins() -> None:
    predictor = TextPredictor(FakeEngine())
    with pytest.raises(InputError, match="prompt: is empty"):
        predictor.stream(TextInputs(), scope=Scope(), canceled=Canceled)
    predictor.close()


def test_a_cancel_ends_the_stream_with_the_exception_of_the_runtime() -> None:
    gate = threading.Semaphore(20)
    predictor = TextPredictor(FakeEngine(lambda request: "x" * 100, before_step=gate.acquire))
    scope, signal = Scope(), CancelSignal()
    chunks = predictor.stream(TextInputs(prompt="go"), scope=scope, signal=signal, canceled=Canceled)
    assert next(chunks) == "x"
    signal.set()
    with pytest.raises(Canceled):
        list(chunks)
    assert scope.metrics["finish_reason"] == "canceled"
    gate.release(1000)
    predictor.close()


def test_an_engine_that_dies_fails_the_prediction_and_the_health_check() -> None:
    steps = iter(range(8))  # the warm-up takes five

    def before_step() -> None:
        if next(steps, None) is None:
            raise RuntimeError("no more memory")

    predictor = TextPredictor(FakeEngine(lambda request: "x" * 4, before_step=before_step))
    assert predictor.healthy()
    with pytest.raises(EngineError, match="no more memory"):
        list(predictor.stream(TextInputs(prompt="go"), scope=Scope(), canceled=Canceled))
    assert not predictor.healthy()
    predictor.close()


@pytest.mark.parametrize(
    ("environ", "error", "message"),
    [
        ({"PILOTLIGHT_SLOTS": "many"}, ConfigError, "PILOTLIGHT_SLOTS is 'many'"),
        ({"PILOTLIGHT_SLOTS": "0"}, ConfigError, "at least 1"),
        ({"PILOTLIGHT_DEVICE": "gpu"}, ConfigError, "device is 'gpu'"),
        ({"PILOTLIGHT_DTYPE": "float8"}, ConfigError, "dtype is 'float8'"),
        ({"PILOTLIGHT_MODEL": "nowhere"}, ConfigError, "'nowhere' is no model"),
    ],
)
def test_a_wrong_environment_is_one_clear_error(environ: dict[str, str], error: type[Exception], message: str) -> None:
    root = ROOT
    with pytest.raises(error, match=message):
        TextPredictor.from_environment(root, environ)

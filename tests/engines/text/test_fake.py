"""The fake keeps the contract of a real engine, so that what is tested over it holds over the others."""

from __future__ import annotations

import threading

import pytest

from pilotlight.engines import FakeEngine, FinishReason, GenerationRequest, Sampling
from pilotlight.errors import EngineBusyError, EngineError, EngineStoppedError, InputError


def test_it_says_what_it_is_told_and_stops() -> None:
    engine = FakeEngine(lambda request: request.prompt.upper())
    generation = engine.submit(GenerationRequest("abc"))
    chunks = list(generation)
    assert "".join(chunk.text for chunk in chunks) == "ABC"
    assert chunks[-1].finish is FinishReason.STOP
    assert generation.usage.output_tokens == 4
    engine.close()


def test_stops_lengths_and_the_context_bound_it() -> None:
    engine = FakeEngine(lambda request: "x = 1\n\n# more", context_tokens=20)
    assert engine.submit(GenerationRequest("p", Sampling(stop=("\n\n",)))).text() == "x = 1"
    *_, last = engine.submit(GenerationRequest("p", Sampling(max_tokens=3)))
    assert last.finish is FinishReason.LENGTH
    *_, last = engine.submit(GenerationRequest("p" * 15))
    assert (last.output_tokens, last.finish) == (5, FinishReason.LENGTH)
    with pytest.raises(InputError, match="prompt: has 20 characters; the model holds 19 tokens"):
        engine.submit(GenerationRequest("p" * 20))
    engine.close()


def test_places_are_bounded_and_freed_by_cancel() -> None:
    gate = threading.Semaphore(0)
    engine = FakeEngine(lambda request: "x" * 50, before_step=gate.acquire, slots=1, queue_size=1)
    inside = [engine.submit(GenerationRequest("p")) for _ in range(2)]
    with pytest.raises(EngineBusyError, match="all 2 places"):
        engine.submit(GenerationRequest("p"))
    for generation in inside:
        generation.cancel()
    last = engine.submit(GenerationRequest("p"))
    gate.release(1000)
    assert last.text() == "x" * 50
    engine.close()


def test_closing_answers_everybody_and_refuses_the_next() -> None:
    gate = threading.Semaphore(2)
    engine = FakeEngine(lambda request: "x" * 50, before_step=gate.acquire)
    generation = engine.submit(GenerationRequest("p"))
    chunks = iter(generation)
    next(chunks)
    closer = threading.Thread(target=engine.close)
    closer.start()
    while engine.healthy():
        closer.join(0.01)
    gate.release(1000)
    with pytest.raises(EngineError):
        list(chunks)
    closer.join()
    assert not engine.healthy()
    with pytest.raises(EngineStoppedError):
        engine.submit(GenerationRequest("p"))

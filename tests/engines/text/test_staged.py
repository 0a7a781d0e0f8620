"""The start in two stages, over backends that do what the test says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.fake import CharacterCodec
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.staged import StagedBackend
from pilotlight.engines.text.types import EngineInfo, FinishReason, GenerationRequest, Sampling
from pilotlight.errors import EngineError, EngineStoppedError

WAIT_S = 120.0


class Hand:
    """A stage that answers when the test says so: ``a`` for the first, ``b`` for the second."""

    slots = 2
    context_tokens = 100

    def __init__(self, letter: str, cache_bytes: int) -> None:
        self.letter = letter
        self.cache_bytes = cache_bytes
        self.inside: list[Generation] = []
        self.settled = threading.Event()
        self.ended = threading.Event()
        self.left = False
        self.closed = False

    def add(self, generation: Generation) -> None:
        if self.left or self.closed:
            raise EngineStoppedError(f"{self.letter} takes no more")
        self.inside.append(generation)

    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = self.left = True
        for generation in self.inside:
            generation.stop()
        self.settled.set()
        self.ended.set()

    def answer(self, count: int = 1) -> None:
        """Give the oldest request so many tokens, the last of which ends it."""
        generation = self.inside[0]
        while count and not generation.push(ord(self.letter) if count > 1 else 0):
            count -= 1
        self.inside.remove(generation)
        self.settled.set()
        if self.left:
            self.ended.set()

    # Of a first stage only

    def wait_settled(self) -> None:
        assert self.settled.wait(WAIT_S)

    def drain(self) -> list[Generation]:
        self.left = True
        waiting, self.inside = self.inside[1:], self.inside[:1]
        if not self.inside:
            self.ended.set()
        return waiting

    def join(self) -> None:
        assert self.ended.wait(WAIT_S)


class Start:
    """An engine whose stages the test holds."""

    def __init__(self, fails: str = "") -> None:
        self.first, self.second = Hand("a", 10), Hand("b", 100)
        self.fails = fails
        self.go = threading.Event()
        self.opening = threading.Event()
        self.backend = StagedBackend(self.first, self.open, slots=2, context_tokens=100, cache_bytes=90)
        info = EngineInfo("staged", "none", "cpu", "float32", 100, 2, 8)
        self.engine = BackendEngine(self.backend, CharacterCodec(), (0,), info)

    def open(self) -> Hand:
        self.opening.set()
        assert self.go.wait(WAIT_S)
        if self.fails:
            raise RuntimeError(self.fails)
        return self.second

    def submit(self) -> Generation:
        return self.engine.submit(GenerationRequest("x", Sampling(max_tokens=20)))

    def bring_up(self) -> None:
        self.go.set()
        assert self.backend.wait_taken_over(WAIT_S)


@pytest.fixture
def start() -> Iterator[Callable[..., Start]]:
    made: list[Start] = []

    def make(**kwargs: Any) -> Start:
        made.append(Start(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.go.set()
        one.engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "pilotlight-second"]


def test_the_second_stage_is_not_begun_before_the_first_has_answered(start: Callable[..., Start]) -> None:
    one = start()
    warm_up = one.submit()
    assert not one.opening.is_set()
    one.first.answer(3)
    assert warm_up.text() == "aa"
    assert one.opening.wait(WAIT_S)


def test_who_waits_goes_over_in_order_and_who_runs_ends_where_it_began(start: Callable[..., Start]) -> None:
    one = start()
    requests = [one.submit() for _ in range(4)]
    one.first.settled.set()
    was_starting = one.backend.starting
    assert was_starting
    assert one.backend.cache_bytes == 100
    one.bring_up()
    assert not one.backend.starting
    assert one.backend.cache_bytes == 110, "the first stage is still there"
    assert one.second.inside == requests[1:]
    late = one.submit()
    assert one.second.inside == [*requests[1:], late]
    one.first.answer(4)
    for _ in range(4):
        one.second.answer(3)
    assert [request.text() for request in [*requests, late]] == ["aaa", "bb", "bb", "bb", "bb"]
    assert one.backend.wait_up(WAIT_S)
    assert one.backend.cache_bytes == 100
    assert one.engine.healthy()


def test_who_was_cancelled_while_waiting_is_told_at_once_in_either_stage(start: Callable[..., Start]) -> None:
    one = start()
    running, waiting = one.submit(), one.submit()
    waiting.cancel()
    *_, last = waiting
    assert last.finish is FinishReason.CANCELED
    one.first.settled.set()
    one.bring_up()
    after = one.submit()
    after.cancel()
    *_, last = after
    assert last.finish is FinishReason.CANCELED
    running.cancel()


def test_a_second_stage_that_fails_is_the_end_of_the_engine_and_the_log_says_why(
    start: Callable[..., Start], caplog: pytest.LogCaptureFixture
) -> None:
    one = start(fails="no memory for it")
    running, waiting = one.submit(), one.submit()
    assert one.engine.healthy()
    one.first.settled.set()
    one.go.set()
    assert one.backend.wait_up(WAIT_S)
    assert not one.engine.healthy()
    with pytest.raises(EngineError, match="died as it started: no memory for it"):
        waiting.text()
    with pytest.raises(EngineError):
        running.text()
    with pytest.raises(EngineStoppedError):
        one.submit()
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "pilotlight.engines.text.staged")
    assert record.getMessage().endswith("did not start: no memory for it")


@pytest.mark.parametrize("stage", ["idle", "coming up", "both", "second"])
def test_closing_in_any_stage_answers_everybody_and_leaves_no_thread(start: Callable[..., Start], stage: str) -> None:
    one = start()
    requests = [] if stage == "idle" else [one.submit(), one.submit()]
    if stage != "idle":
        one.first.settled.set()
        assert one.opening.wait(WAIT_S)
    if stage in ("both", "second"):
        one.bring_up()
    if stage == "second":
        one.first.answer(1)
        assert one.backend.wait_up(WAIT_S)
        requests.pop(0)
    closing = threading.Thread(target=one.engine.close)
    closing.start()
    for request in requests:
        with pytest.raises(EngineStoppedError):
            request.text()
    one.go.set()  # what comes up while the engine closes is closed too
    closing.join(WAIT_S)
    assert not closing.is_alive()
    assert one.first.closed or stage == "second"
    assert one.second.closed is (stage != "idle")
    assert not one.engine.healthy()
    with pytest.raises(EngineStoppedError):
        one.submit()

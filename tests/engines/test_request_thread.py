"""Whatever happens to the thread of an engine, every request that was added gets an end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pilotlight.engines.encoders.fake import FakeEncoder
from pilotlight.engines.encoders.types import TextRequest
from pilotlight.engines.request_thread import RequestThread
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.fake import CharacterCodec, FakeBackend, FakeEngine
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import EngineInfo, FinishReason, GenerationRequest
from pilotlight.errors import EngineError, EngineStoppedError

DEADLINE_S = 120.0
INFO = EngineInfo("fake", "fake", "cpu", "float32", 1000, 4, 4)
REQUEST = GenerationRequest("abc")


class Job:
    """A request, and what it got."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: EngineError | None = None
        self.cancelled = False

    def end(self, error: EngineError | None = None) -> None:
        self.error = error
        self.done.set()


class Jobs(RequestThread[Job]):
    """Answers what it takes, after ``before`` with the jobs of a step."""

    def __init__(self, before: Callable[[list[Job]], None] = lambda jobs: None) -> None:
        super().__init__("pilotlight-test")
        self.before = before
        self.taken: list[Job] = []
        self.when_failing: Callable[[], None] = lambda: None

    def step(self) -> None:
        self.taken += self.take(2)
        self.before(self.taken)
        while self.taken:
            self.taken.pop(0).end()

    def running(self) -> list[Job]:
        return list(self.taken)

    def gone(self, request: Job) -> bool:
        return request.cancelled

    def fail(self, request: Job, error: EngineError) -> None:
        self.when_failing()
        if not request.done.is_set():
            request.end(error)


class Gate:
    """Holds a step until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, jobs: object = None) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE_S)


def in_thread(function: Callable[[], object]) -> None:
    """Run ``function`` on a thread of its own and wait for it."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def ended(job: Job) -> EngineError | None:
    assert job.done.wait(DEADLINE_S)
    return job.error


def test_requests_are_answered_and_cancelled_ones_are_never_taken() -> None:
    gate = Gate()
    seen: list[Job] = []

    def before(jobs: list[Job]) -> None:
        seen.extend(jobs)
        gate()

    thread = Jobs(before)
    thread.start()
    first, gone, last = Job(), Job(), Job()
    thread.add(first)
    assert gate.reached.wait(DEADLINE_S)
    thread.add(gone, last)
    gone.cancelled = True
    gate.opened.set()
    assert ended(last) is None
    thread.close()
    assert seen == [first, last]


def test_nothing_is_added_once_it_is_closed() -> None:
    thread = Jobs()
    thread.start()
    thread.close()
    thread.close()
    with pytest.raises(EngineStoppedError):
        thread.add(Job())
    assert not thread.alive()


def test_closing_fails_what_waits_and_lets_the_step_end() -> None:
    gate = Gate()
    thread = Jobs(gate)
    thread.start()
    running, waiting = Job(), Job()
    thread.add(running)
    assert gate.reached.wait(DEADLINE_S)
    thread.add(waiting)
    closers = [threading.Thread(target=thread.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    gate.opened.set()
    for closer in closers:
        closer.join(DEADLINE_S)
        assert not closer.is_alive()
    assert ended(running) is None
    assert isinstance(ended(waiting), EngineStoppedError)


def test_a_request_that_comes_while_the_thread_dies_is_failed_or_refused() -> None:
    gate = Gate()

    def die(jobs: list[Job]) -> None:
        gate()
        raise RuntimeError("out of memory, say")

    thread = Jobs(die)
    thread.start()
    late: list[str] = []

    def add_late() -> None:
        with pytest.raises(EngineStoppedError):
            thread.add(Job())
        late.append("refused")

    thread.when_failing = add_late  # on the thread, after the error and before anything was answered
    running, waiting = Job(), Job()
    thread.add(running)
    assert gate.reached.wait(DEADLINE_S)
    thread.add(waiting)  # the step that fails has begun
    gate.opened.set()
    for job in (running, waiting):
        assert str(ended(job)) == "the engine died: out of memory, say"
        assert not isinstance(job.error, EngineStoppedError)
    assert thread.join(DEADLINE_S)
    assert late == ["refused"] * 2
    thread.close()


class Panic(BaseException):
    """What a native library raises: no Exception."""


def test_a_panic_is_answered_like_an_error() -> None:
    def panic(jobs: list[Job]) -> None:
        raise Panic("index out of bounds")

    thread = Jobs(panic)
    thread.start()
    job = Job()
    thread.add(job)
    assert str(ended(job)) == "the engine died: index out of bounds"
    thread.close()


def test_a_thread_that_cannot_prepare_does_not_start() -> None:
    class Unready(Jobs):
        def prepare(self) -> None:
            raise RuntimeError("no kernel")

    thread = Unready()
    early = Job()
    thread.add(early)
    with pytest.raises(RuntimeError, match="no kernel"):
        thread.start()
    assert "no kernel" in str(ended(early))
    with pytest.raises(EngineStoppedError):
        thread.add(Job())
    thread.close()


def test_draining_gives_back_what_was_not_begun_and_ends_when_the_rest_has() -> None:
    gate = Gate()
    thread = Jobs(gate)
    thread.start()
    running, waiting = Job(), Job()
    thread.add(running)
    assert gate.reached.wait(DEADLINE_S)
    thread.add(waiting)
    assert thread.drain() == [waiting]
    assert not thread.alive()
    with pytest.raises(EngineStoppedError):
        thread.add(Job())
    gate.opened.set()
    assert thread.join(DEADLINE_S)
    assert ended(running) is None
    assert not waiting.done.is_set(), "it is the caller's"
    thread.close()


def test_closing_on_the_thread_itself_does_not_wait_for_it() -> None:
    thread = Jobs()
    thread.before = lambda jobs: thread.close()
    thread.start()
    running = Job()
    thread.add(running)
    assert ended(running) is None
    assert thread.join(DEADLINE_S)


# The engines over it


def test_a_submit_that_checked_before_a_close_is_refused_or_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(BackendEngine):
        """Is closed by another thread right after ``submit`` has found it healthy."""

        def healthy(self) -> bool:
            healthy = super().healthy()
            in_thread(self.close)
            return healthy

    engine = Late(FakeBackend(lambda request: "x"), CharacterCodec(), (0,), INFO)
    with pytest.raises(EngineStoppedError):
        engine.submit(REQUEST)


def test_a_submit_that_has_a_place_when_the_engine_closes_is_refused_or_failed() -> None:
    class Late(FakeBackend):
        """Has its engine closed by another thread while ``submit`` hands over a request that is counted already."""

        def check(self, generation: Generation) -> None:
            in_thread(engine.close)
            assert generation.ended

    engine = BackendEngine(Late(lambda request: "x"), CharacterCodec(), (0,), INFO)
    with pytest.raises(EngineStoppedError):
        engine.submit(REQUEST)


def test_an_encoder_s_submit_that_checked_before_a_close_is_refused() -> None:
    class Late(FakeEncoder):
        def healthy(self) -> bool:
            healthy = super().healthy()
            in_thread(self.close)
            return healthy

    with pytest.raises(EngineStoppedError):
        Late(queue_size=1).submit([TextRequest("abc")])


def test_an_error_in_handing_over_gives_the_place_back() -> None:
    class Refusing(FakeBackend):
        def check(self, generation: Generation) -> None:
            if generation.request.prompt == "bad":
                raise ValueError("not today")

    info = EngineInfo("fake", "fake", "cpu", "float32", 1000, 1, 0)
    engine = BackendEngine(Refusing(lambda request: "x", slots=1), CharacterCodec(), (0,), info)
    for _ in range(3):
        with pytest.raises(ValueError, match="not today"):
            engine.submit(GenerationRequest("bad"))
    assert engine.submit(REQUEST).text() == "x"
    engine.close()


def test_a_cancel_during_close_and_one_after_it_end_once() -> None:
    gate = Gate()
    engine = FakeEngine(before_step=gate)
    before, after = engine.submit(REQUEST), engine.submit(REQUEST)
    assert gate.reached.wait(DEADLINE_S)
    before.cancel()
    closing = threading.Thread(target=engine.close)
    closing.start()
    with pytest.raises(EngineStoppedError):
        after.text()  # close answers it although the step is held
    after.cancel()
    before.cancel()
    gate.opened.set()
    closing.join(DEADLINE_S)
    assert not closing.is_alive()
    assert [chunk.finish for chunk in before] == [FinishReason.CANCELED]


def test_an_engine_that_its_own_thread_closes_answers_everybody() -> None:
    engine: FakeEngine = FakeEngine(before_step=lambda: engine.close())
    generation = engine.submit(REQUEST)
    with pytest.raises(EngineStoppedError):
        generation.text()
    engine.close()
    assert not engine.healthy()


def test_an_encoder_that_a_callback_closes_answers_everybody() -> None:
    gate = Gate()
    engine = FakeEncoder(before=gate)
    [running] = engine.submit([TextRequest("a")])
    assert gate.reached.wait(DEADLINE_S)
    running.add_done_callback(lambda _: engine.close())  # on the engine's thread
    [waiting] = engine.submit([TextRequest("b")])
    gate.opened.set()
    assert running.result(DEADLINE_S).values == (1, 0)
    with pytest.raises(EngineStoppedError):
        waiting.result(DEADLINE_S)
    engine.close()

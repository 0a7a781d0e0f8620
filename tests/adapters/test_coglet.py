"""The cancel signal, on a real event loop; that the pinned coglet uses it is shown in tests/cog/test_predictor.py."""

from __future__ import annotations

import asyncio
import threading
import types
from collections.abc import Iterator

import pytest

from pilotlight.adapters.coglet import CancelSignal, current_signal, install


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def wrapped() -> types.SimpleNamespace:
    """Stands for the asyncio module, whose own function stays as it is."""
    module = types.SimpleNamespace(run_coroutine_threadsafe=asyncio.run_coroutine_threadsafe)
    install(module)
    return module


async def my_signal() -> CancelSignal | None:
    return current_signal()


def test_each_coroutine_has_its_own_signal(wrapped: types.SimpleNamespace, loop: asyncio.AbstractEventLoop) -> None:
    first, second = (wrapped.run_coroutine_threadsafe(my_signal(), loop).result(120) for _ in range(2))
    assert isinstance(first, CancelSignal)
    assert first is not second
    assert current_signal() is None


def test_cancelling_the_future_sets_it_even_after_the_coroutine_has_returned(
    wrapped: types.SimpleNamespace, loop: asyncio.AbstractEventLoop
) -> None:
    future = wrapped.run_coroutine_threadsafe(my_signal(), loop)
    signal = future.result(120)
    heard = threading.Event()
    signal.call_on_set(heard.set)
    assert not heard.is_set()
    assert future.cancel() is False  # nothing left to cancel for asyncio, but for us there is
    assert heard.is_set()


def test_a_running_coroutine_is_cancelled_as_before(
    wrapped: types.SimpleNamespace, loop: asyncio.AbstractEventLoop
) -> None:
    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    future = wrapped.run_coroutine_threadsafe(forever(), loop)
    assert started.wait(120)
    assert future.cancel()
    assert future.cancelled()


def test_callbacks_run_once_and_late_ones_at_once() -> None:
    signal = CancelSignal()
    calls: list[str] = []
    signal.call_on_set(lambda: calls.append("early"))
    signal.set()
    signal.set()
    signal.call_on_set(lambda: calls.append("late"))
    assert calls == ["early", "late"]


def test_installing_twice_wraps_once(wrapped: types.SimpleNamespace) -> None:
    once = wrapped.run_coroutine_threadsafe
    install(wrapped)
    assert wrapped.run_coroutine_threadsafe is once

"""An engine's thread waits for the readers that got a chunk, and for no others."""

import threading

from pilotlight.engines.text.handoff import MAX_WAIT_S, ReaderHandoff

FOREVER_S = 120.0


def waiter(handoff: ReaderHandoff) -> tuple[threading.Thread, threading.Event]:
    """A thread in ``wait``, and what it sets when it is back."""
    back = threading.Event()

    def run() -> None:
        handoff.wait()
        back.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, back


def test_no_reader_got_anything() -> None:
    handoff = ReaderHandoff(FOREVER_S)
    handoff.ask("reader")
    handoff.wait()


def test_waits_until_all_ask_again() -> None:
    handoff = ReaderHandoff(FOREVER_S)
    for reader in "ab":
        handoff.ask(reader)
        handoff.give(reader)
    thread, back = waiter(handoff)
    handoff.ask("a")
    assert not back.wait(0.05)
    handoff.ask("b")
    assert back.wait(FOREVER_S)
    thread.join()


def test_a_reader_that_leaves_is_not_waited_for() -> None:
    handoff = ReaderHandoff(FOREVER_S)
    handoff.ask("reader")
    handoff.give("reader")
    thread, back = waiter(handoff)
    assert not back.wait(0.05)
    handoff.leave("reader")
    assert back.wait(FOREVER_S)
    thread.join()


def test_a_reader_that_fell_behind_is_waited_for_again_once_it_asks() -> None:
    handoff = ReaderHandoff(FOREVER_S)
    handoff.give("slow")  # it had not asked
    handoff.wait()
    handoff.ask("slow")
    handoff.give("slow")
    thread, back = waiter(handoff)
    assert not back.wait(0.05)
    handoff.ask("slow")
    assert back.wait(FOREVER_S)
    thread.join()


def test_a_stuck_reader_delays_a_step_once() -> None:
    handoff = ReaderHandoff(0.001)
    handoff.ask("stuck")
    handoff.give("stuck")
    handoff.wait()
    assert 0 < MAX_WAIT_S < 0.01
    assert handoff.reading == 0
    handoff.give("stuck")
    assert handoff.reading == 0

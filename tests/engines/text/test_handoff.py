"""An engine's thread waits for those who read, and for nobody else."""

import threading

from pilotlight.engines.text.handoff import MAX_WAIT_S, ReaderHandoff

FOREVER_S = 120.0


def waiter(turns: ReaderHandoff) -> tuple[threading.Thread, threading.Event]:
    """A thread in ``wait``, and what it sets when it is back."""
    back = threading.Event()

    def run() -> None:
        turns.wait()
        back.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, back


def test_nobody_got_anything() -> None:
    turns = ReaderHandoff(FOREVER_S)
    turns.ask("reader")
    turns.wait()


def test_waits_until_all_ask_again() -> None:
    turns = ReaderHandoff(FOREVER_S)
    for reader in "ab":
        turns.ask(reader)
        turns.give(reader)
    thread, back = waiter(turns)
    turns.ask("a")
    assert not back.wait(0.05)
    turns.ask("b")
    assert back.wait(FOREVER_S)
    thread.join()


def test_a_reader_that_leaves_is_not_waited_for() -> None:
    turns = ReaderHandoff(FOREVER_S)
    turns.ask("reader")
    turns.give("reader")
    thread, back = waiter(turns)
    assert not back.wait(0.05)
    turns.leave("reader")
    assert back.wait(FOREVER_S)
    thread.join()


def test_who_has_fallen_behind_is_waited_for_again_once_it_asks() -> None:
    turns = ReaderHandoff(FOREVER_S)
    turns.give("slow")  # it had not asked
    turns.wait()
    turns.ask("slow")
    turns.give("slow")
    thread, back = waiter(turns)
    assert not back.wait(0.05)
    turns.ask("slow")
    assert back.wait(FOREVER_S)
    thread.join()


def test_a_stuck_reader_delays_a_step_once() -> None:
    turns = ReaderHandoff(0.001)
    turns.ask("stuck")
    turns.give("stuck")
    turns.wait()
    assert 0 < MAX_WAIT_S < 0.01
    assert turns.reading == 0
    turns.give("stuck")
    assert turns.reading == 0

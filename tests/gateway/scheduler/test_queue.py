"""The queue and the workers of a version, with fake workers."""

import asyncio
import contextlib

import pytest

from pilotlight.errors import SetupFailedError, StoreError, WorkerBusyError
from pilotlight.gateway.clock import steady_clock
from pilotlight.gateway.scheduler.active import ActivePrediction
from pilotlight.gateway.scheduler.autoscaler import Limits
from pilotlight.gateway.scheduler.listeners import Listeners, NullListener
from pilotlight.gateway.scheduler.queue import VersionQueue
from pilotlight.runtime import KeeperOptions, RestartPolicy
from pilotlight.types import Status
from tests.gateway.made import Fakes, made_record, run, until


class Clock:
    """Stands still until it is told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Kept:
    """Takes every step of a prediction; can be broken."""

    def __init__(self):
        self.steps = []
        self.broken = False

    async def __call__(self, record):
        if self.broken:
            raise StoreError("the disk is full")
        self.steps.append((record.id, record.status))


class Refusals(NullListener):
    def __init__(self):
        self.refused_ids = []

    def refused(self, record):
        self.refused_ids.append(record.id)


@contextlib.asynccontextmanager
async def queue_of(fakes, *, clock=None, kept=None, restarts=None, listeners=None, **limits):
    queue = VersionQueue(
        fakes,
        Limits(**limits),
        save=kept or Kept(),
        clock=clock or steady_clock(),
        listeners=listeners,
        keeper_options=KeeperOptions(restarts=restarts or RestartPolicy(), cancel_grace_s=0.05),
    )
    await queue.open()
    try:
        yield queue
    finally:
        await queue.close()


def put(queue, name, created_at=0.0, owner=None, **inputs):
    """As one that was left by the gateway before: nothing is reserved for it."""
    active = made_active(name, created_at, owner, **inputs)
    queue.put(active)
    return active


def made_active(name, created_at=0.0, owner=None, **inputs):
    record = made_record(name, input=inputs or {"prompt": name}, created_at=created_at, owner=owner)
    return ActivePrediction(record)


def test_the_first_prediction_wakes_a_worker_and_its_cold_start_is_told():
    async def scenario():
        kept, clock = Kept(), Clock()
        async with queue_of(Fakes(), clock=clock, kept=kept) as queue:
            assert queue.gauges.ready_workers == 0
            first = put(queue, "a", created_at=990.0)
            clock.now += 4  # the worker is made on the next turn, and begins its start then
            await first.wait_ended()
            assert first.record.status is Status.SUCCEEDED
            assert first.record.output == ["a"]
            assert first.record.metrics["queue_s"] + first.record.metrics["cold_start_s"] == 14.0
            second = put(queue, "b", created_at=clock.now)
            await second.wait_ended()
            assert second.record.metrics["cold_start_s"] == 0
            assert kept.steps[:2] == [("a", Status.PROCESSING), ("a", Status.SUCCEEDED)]
            assert queue.gauges.ready_workers == 1

    run(scenario())


def test_workers_never_get_more_than_their_slots_and_the_queue_keeps_its_order():
    async def scenario():
        fakes = Fakes(slots=2)
        fakes.hold()
        async with queue_of(fakes, slots=2, max_workers=2) as queue:
            actives = [put(queue, name) for name in "abcdef"]
            await until(lambda: sum(worker.running for worker in fakes.made) == 4)
            assert [worker.running for worker in fakes.made] == [2, 2]
            assert (queue.gauges.running, queue.gauges.waiting) == (4, 2)
            fakes.release()
            for active in actives:
                assert await active.wait_ended()
            served = [inputs["prompt"] for worker in fakes.made for inputs in worker.served]
            assert sorted(served) == list("abcdef")
            assert {"e", "f"} == {*actives[4].record.output, *actives[5].record.output}

    run(scenario())


def test_owners_share_the_slots_and_a_full_queue_has_room_for_another():
    async def scenario():
        fakes = Fakes(slots=2)
        fakes.hold()
        async with queue_of(fakes, slots=2, max_waiting=3) as queue:
            greedy = [put(queue, f"a{n}", owner="a") for n in range(5)]
            await until(lambda: queue.gauges.running == 2)
            with pytest.raises(WorkerBusyError):
                queue.reserve(made_active("a5", owner="a"))
            others = [made_active(f"b{n}", owner="b") for n in range(3)]
            assert [queue.reserve(one) for one in others[:2]] == [False, False]
            with pytest.raises(WorkerBusyError):
                queue.reserve(others[2])
            for one in others[:2]:
                queue.put(one)
            assert queue.gauges.waiting == 5
            fakes.release()
            for active in (*greedy, *others[:2]):
                assert await active.wait_ended()
            served = [inputs["prompt"] for worker in fakes.made for inputs in worker.served]
            assert served[:2] == ["a0", "a1"]
            assert "b0" in served[2:4]

    run(scenario())


def test_a_full_queue_refuses_and_counts_those_that_are_being_stored():
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        heard = Refusals()
        async with queue_of(fakes, listeners=Listeners(heard), max_waiting=2) as queue:
            put(queue, "a")
            await until(lambda: queue.gauges.running == 1)
            put(queue, "b")
            lost, refused, last = map(made_active, ("lost", "refused", "last"))
            assert not queue.reserve(lost)
            with pytest.raises(WorkerBusyError, match="2 predictions are waiting"):
                queue.reserve(refused)
            assert heard.refused_ids == ["refused"]
            room = asyncio.create_task(queue.wait_room())
            await asyncio.sleep(0)
            queue.cancel_reservation(lost)
            await room
            assert not queue.reserve(last)
            queue.put(last)
            assert queue.gauges.waiting == 2
            fakes.release()
            assert await last.wait_ended()

    run(scenario())


def test_a_free_slot_is_taken_before_the_prediction_is_stored():
    async def scenario():
        kept, fakes = Kept(), Fakes(slots=2)
        fakes.hold()
        async with queue_of(fakes, kept=kept, min_workers=1, slots=2) as queue:
            lost, first, second = map(made_active, ("lost", "first", "second"))
            assert not queue.reserve(lost)  # the worker still starts
            queue.cancel_reservation(lost)
            await until(lambda: queue.gauges.ready_workers == 1)
            assert queue.reserve(first)
            assert queue.reserve(lost)
            assert (queue.gauges.running, queue.gauges.waiting) == (2, 0)
            assert not queue.reserve(second)
            queue.put(second)
            queue.cancel_reservation(lost)  # whose slot goes to the one that waits
            await until(lambda: fakes.made[0].running == 1)
            assert kept.steps == [("second", Status.PROCESSING)]
            queue.put(first)
            fakes.release()
            assert await first.wait_ended()
            assert await second.wait_ended()
            # The store was told by whoever reserved the slot that it runs.
            assert [status for name, status in kept.steps if name == "first"] == [Status.SUCCEEDED]
            assert (queue.gauges.running, queue.gauges.waiting) == (0, 0)

    run(scenario())


def test_nobody_overtakes_one_that_is_being_stored():
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        async with queue_of(fakes, min_workers=1) as queue:
            early, late = made_active("early"), made_active("late")
            assert not queue.reserve(early)
            await until(lambda: queue.gauges.ready_workers == 1)
            assert not queue.reserve(late)
            queue.put(early)
            queue.put(late)
            fakes.release()
            assert await late.wait_ended()
            assert [inputs["prompt"] for inputs in fakes.made[0].served] == ["early", "late"]

    run(scenario())


def test_an_idle_worker_is_stopped_and_the_next_prediction_starts_another():
    async def scenario():
        fakes = Fakes()
        async with queue_of(fakes, idle_timeout_s=0.01) as queue:
            await put(queue, "a").wait_ended()
            await until(lambda: fakes.made[0].stopped)
            assert queue.gauges.ready_workers == 0
            await put(queue, "b").wait_ended()
            assert len(fakes.made) == 2

    run(scenario())


def test_a_worker_that_is_still_ending_counts():
    class Slow(Fakes):
        def __call__(self, *_):
            worker = super().__call__()
            stop = worker.stop

            async def stop_later(grace_s):
                await self.may_stop.wait()
                await stop(grace_s)

            worker.stop = stop_later
            return worker

    async def scenario():
        fakes = Slow()
        fakes.may_stop = asyncio.Event()
        async with queue_of(fakes, idle_timeout_s=0) as queue:
            await put(queue, "a").wait_ended()
            await until(lambda: queue.gauges.ready_workers == 0)
            active = put(queue, "b")
            assert not await active.wait_ended(0.05)
            assert len(fakes.made) == 1
            fakes.may_stop.set()
            await active.wait_ended()
            assert active.record.status is Status.SUCCEEDED

    run(scenario())


def test_the_least_number_of_workers_is_there_without_any_prediction():
    async def scenario():
        async with queue_of(Fakes(), min_workers=2, max_workers=3, idle_timeout_s=0) as queue:
            await until(lambda: queue.gauges.ready_workers == 2)

    run(scenario())


def test_a_waiting_prediction_is_cancelled_at_once_and_a_running_one_by_its_worker():
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        async with queue_of(fakes) as queue:
            running, waiting = put(queue, "a"), put(queue, "b")
            await until(lambda: fakes.made and fakes.made[0].running == 1)
            await queue.cancel(waiting)
            assert waiting.record.status is Status.CANCELED
            assert waiting.record.metrics["predict_s"] == 0
            await queue.cancel(running)
            await running.wait_ended()
            assert running.record.status is Status.CANCELED
            await queue.cancel(running)  # has ended: nothing happens
            fakes.release()
            assert await put(queue, "c").wait_ended()

    run(scenario())


@pytest.mark.parametrize("heeds_cancel", [True, False])
def test_a_prediction_that_runs_for_too_long_fails_and_frees_its_slot(heeds_cancel):
    async def scenario():
        fakes = Fakes(heeds_cancel=heeds_cancel)
        fakes.hold()
        async with queue_of(fakes, predict_timeout_s=0.05) as queue:
            hung = put(queue, "hung")
            await hung.wait_ended()
            assert hung.record.status is Status.FAILED
            assert hung.record.error == "the prediction ran for more than 0.05 s, the limit of --predict-timeout"
            fakes.release()
            after = put(queue, "after")
            await after.wait_ended()
            assert after.record.status is Status.SUCCEEDED
            # A worker that does not give it up is killed, and another one takes its place.
            assert len(fakes.made) == (1 if heeds_cancel else 2)
            assert fakes.made[0].stopped is not heeds_cancel

    run(scenario())


def test_without_a_limit_or_within_it_nothing_is_cancelled():
    async def scenario():
        for limit_s in (0, 3600):
            async with queue_of(Fakes(), predict_timeout_s=limit_s) as queue:
                active = put(queue, "a")
                await active.wait_ended()
                assert active.record.status is Status.SUCCEEDED

    run(scenario())


def test_one_that_is_cancelled_between_queue_and_worker_never_runs():
    async def scenario():
        fakes = Fakes()
        gate = asyncio.Event()

        async def slow(record):
            await gate.wait()

        async with queue_of(fakes, kept=slow) as queue:
            active = put(queue, "a")
            await until(lambda: queue.gauges.running == 1)
            await queue.cancel(active)
            gate.set()
            await active.wait_ended()
            assert active.record.status is Status.CANCELED
            assert fakes.made[0].served == []

    run(scenario())


def test_a_crash_fails_what_ran_with_the_workers_logs_and_what_waited_runs_on_the_next_worker():
    class SecondWaits(Fakes):
        def __call__(self, *_):
            worker = super().__call__()
            if len(self.made) == 2:
                worker.start = self.may_start.wait
            return worker

    async def scenario():
        kept, fakes = Kept(), SecondWaits()
        fakes.may_start = asyncio.Event()
        fakes.hold()
        async with queue_of(fakes, kept=kept) as queue:
            running, waiting = put(queue, "a"), put(queue, "b")
            await until(lambda: fakes.made and fakes.made[0].running == 1)
            fakes.held = False
            fakes.made[0].crash()
            await running.wait_ended()
            assert (running.record.status, running.record.logs) == (Status.FAILED, "the fake's log")
            assert "crashed" in running.record.error
            await until(lambda: len(fakes.made) == 2)
            # Not given to the broken worker, where it would wait as if it ran.
            assert waiting.record.status is Status.STARTING
            assert ("b", Status.PROCESSING) not in kept.steps
            fakes.may_start.set()
            await waiting.wait_ended()
            assert waiting.record.status is Status.SUCCEEDED

    run(scenario())


def test_a_version_that_cannot_start_is_crash_looping_with_its_logs_and_tried_again_later():
    async def scenario():
        clock = Clock()
        fakes = Fakes(setup_error=SetupFailedError("no weights", logs="looking for them"))
        restarts = RestartPolicy(first_delay_s=0.001, give_up_after=2)
        async with queue_of(fakes, clock=clock, restarts=restarts, hold_s=60) as queue:
            waiting = [put(queue, "a"), put(queue, "b")]
            for active in waiting:
                await active.wait_ended()
                assert (active.record.status, active.record.logs) == (Status.FAILED, "looking for them")
                assert "no weights" in active.record.error
            assert len(fakes.made) == 2
            assert "no weights" in str(queue.last_error)
            at_once = put(queue, "c")
            await at_once.wait_ended()
            assert "no weights" in at_once.record.error
            assert len(fakes.made) == 2
            fakes.options = {}
            clock.now += 60
            assert queue.last_error is None
            later = put(queue, "d")
            await later.wait_ended()
            assert later.record.status is Status.SUCCEEDED

    run(scenario())


def test_a_bug_ends_what_it_meets_and_nothing_else(caplog):
    class Buggy(Fakes):
        def __call__(self, *_):
            if not self.made:
                self.made.append(None)
                raise ZeroDivisionError
            return super().__call__()

    async def scenario():
        async def save(record):
            if record.id == "b" and record.status is Status.PROCESSING:
                raise KeyError

        async with queue_of(Buggy(), kept=save, hold_s=0) as queue:
            first, second, third = put(queue, "a"), put(queue, "b"), put(queue, "c")
            for active in (first, second, third):
                await active.wait_ended()
            assert second.record.error == "The gateway has a bug: KeyError()"
            assert third.record.status is Status.SUCCEEDED
            assert len(caplog.records) == 2

    run(scenario())


def test_what_cannot_be_stored_is_not_run():
    async def scenario():
        kept, fakes = Kept(), Fakes()
        async with queue_of(fakes, kept=kept) as queue:
            await put(queue, "a").wait_ended()
            kept.broken = True
            active = put(queue, "b")
            await active.wait_ended()
            assert (active.record.status, active.record.error) == (Status.FAILED, "the disk is full")
            assert fakes.made[0].served == [{"prompt": "a"}]

    run(scenario())


def test_the_end_waits_for_what_runs_and_leaves_what_waits():
    async def scenario():
        kept, fakes = Kept(), Fakes()
        fakes.hold()
        async with queue_of(fakes, kept=kept) as queue:
            running, waiting = put(queue, "a"), put(queue, "b")
            await until(lambda: fakes.made and fakes.made[0].running == 1)
            draining = asyncio.create_task(queue.drain(30))
            assert await waiting.wait_ended() is False
            fakes.release()
            await draining
            assert running.record.status is Status.SUCCEEDED
        assert waiting.record.status is Status.STARTING
        assert [name for name, _ in kept.steps] == ["a", "a"]
        assert fakes.made[0].stopped

    run(scenario())


def test_the_end_fails_what_does_not_end_in_time():
    async def scenario():
        fakes = Fakes()
        fakes.hold()
        async with queue_of(fakes) as queue:
            active = put(queue, "a")
            await until(lambda: fakes.made and fakes.made[0].running == 1)
            await queue.drain(0.01)
            assert not active.record.status.terminal
        assert active.record.status is Status.FAILED
        assert "stopping" in active.record.error

    run(scenario())

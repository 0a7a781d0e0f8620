import asyncio

from pilotlight.bench.harness.clock import FakeClock, SystemClock


def test_a_fake_clock_moves_from_one_awakening_to_the_next():
    woken = []

    async def sleeper(clock, seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    async def scenario():
        clock = FakeClock(100.0)
        await asyncio.gather(*(sleeper(clock, seconds) for seconds in (3600.0, 5.0, 2000.0)))

    asyncio.run(scenario())
    assert woken == [(5.0, 105.0), (5.0, 110.0), (2000.0, 2100.0), (3600.0, 3700.0), (2000.0, 4100.0), (3600.0, 7300.0)]


def test_a_sleeper_that_is_cancelled_moves_no_clock():
    async def scenario():
        clock = FakeClock(0.0)
        long = asyncio.create_task(clock.sleep(10.0))
        await clock.sleep(1.0)
        long.cancel()
        await clock.sleep(1.0)
        return clock.now()

    assert asyncio.run(scenario()) == 2.0


def test_the_systems_clock_sleeps_for_at_least_as_long():
    async def scenario():
        clock = SystemClock()
        began = clock.now()
        await clock.sleep(0.01)
        return clock.now() - began

    assert asyncio.run(scenario()) >= 0.01

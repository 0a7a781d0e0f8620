import asyncio

from pilotlight.bench.load.turns import SlotQueue, Turn
from tests.bench.load.servers import run


async def in_line(turns, names):
    """Tasks that wait for their turns, in this order, and a list of those that had theirs."""
    served = []

    async def one(name):
        await turns.enter()
        served.append(name)

    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(one(name)))
        await asyncio.sleep(0)
    return tasks, served


async def steps():
    for _ in range(5):
        await asyncio.sleep(0)


def test_at_once_where_nobody_waits_else_in_the_order_of_arrival():
    async def scenario():
        turns = SlotQueue()
        await turns.enter()
        first = asyncio.create_task(turns.refused(Turn(freed=False)))
        await steps()
        tasks, served = await in_line(turns, "abc")
        assert (turns.waiting, served) == (4, [])
        turns.leave()
        await first
        assert served == []
        for expected in ("a", "ab", "abc"):
            turns.leave()
            await steps()
            assert "".join(served) == expected
        await asyncio.gather(*tasks)

    run(scenario())


def test_who_was_refused_again_stays_the_first():
    async def scenario():
        turns = SlotQueue()
        first = asyncio.create_task(turns.refused(Turn(freed=False)))
        await steps()
        tasks, served = await in_line(turns, "a")
        turns.leave()
        await first
        first = asyncio.create_task(turns.refused(Turn(freed=False)))
        await steps()
        turns.leave()
        await first
        assert served == []
        turns.leave()
        await asyncio.gather(*tasks)

    run(scenario())


def test_where_a_slot_should_be_free_a_refusal_is_tried_again_soon_and_then_waits():
    async def scenario():
        turns, turn = SlotQueue(), Turn(freed=True)
        for _ in range(4):
            await turns.refused(turn)
            assert turns.waiting == 0
        waiting = asyncio.create_task(turns.refused(turn))
        await steps()
        assert turns.waiting == 1
        turns.leave()
        await waiting
        assert turn == Turn(freed=True, tries=0)

    run(scenario())


def test_without_anybody_to_leave_the_first_in_line_tries_again_by_itself():
    async def scenario():
        turns = SlotQueue()
        turn = Turn(freed=True, tries=4)
        first = asyncio.create_task(turns.refused(turn))
        await steps()
        tasks, served = await in_line(turns, "ab")
        await asyncio.gather(first, *tasks)
        assert served == ["a", "b"]
        assert not turn.freed

    run(scenario())


def test_who_gives_up_with_a_turn_hands_it_on():
    async def scenario():
        turns = SlotQueue()
        first = asyncio.create_task(turns.refused(Turn(freed=False)))
        await steps()
        tasks, served = await in_line(turns, "ab")
        tasks[0].cancel()  # in line, without a turn
        turns.leave()
        first.cancel()  # with one
        await asyncio.wait([first, *tasks])
        assert served == ["b"]

    run(scenario())

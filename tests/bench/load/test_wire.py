import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.bench.load.wire import Endpoint, Pool, WireError
from tests.bench.load.servers import answer, run, serving


async def ask(endpoint, pool=None):
    pool = pool or Pool(endpoint)
    async with pool.connection() as connection:
        connection.send(endpoint.post("/predictions", b"{}"))
        head = await connection.head()
        return head.status, await connection.read()


def exchange(*pieces, hang_up=False):
    """What is read of an answer that comes in pieces, and how many connections can be used again."""

    async def scenario():
        async def handle(head, body, reader, writer):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            return None if hang_up else b""

        async with serving(handle) as endpoint:
            pool = Pool(endpoint)
            try:
                return *await ask(endpoint, pool), pool.idle
            finally:
                pool.close()

    return run(scenario())


CHUNKED = answer(
    200, b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n", "Transfer-Encoding: chunked", length=False
)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, len(CHUNKED) - 1), max_size=6))
def test_chunks_cut_anywhere(cuts):
    ends = [0, *sorted(cuts), len(CHUNKED)]
    pieces = [CHUNKED[a:b] for a, b in pairwise(ends)]
    assert exchange(*pieces) == (200, b"hello world", 1)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60))
def test_a_body_of_known_length_cut_anywhere(cut):
    whole = answer(409, b"no" * 20)
    assert exchange(whole[:cut], whole[cut:]) == (409, b"no" * 20, 1)


def test_without_a_body():
    assert exchange(answer(204, length=False)) == (204, b"", 1)


@pytest.mark.parametrize("head", ["Connection: close", "connection: Close"])
def test_a_connection_that_the_server_closes_is_not_used_again(head):
    assert exchange(answer(200, b"{}", head)) == (200, b"{}", 0)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "the server closed the connection"),
        ([answer(200, b"{}")[:-1]], "the server closed the connection"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], "does not answer in HTTP/1.1: 'SSH-2.0-OpenSSH'"),
        ([b"HTTP/1.1 abc\r\n\r\n"], "does not answer in HTTP/1.1"),
        ([answer(200, b"{}", length=False)], "neither how long its answer is nor that it comes in chunks"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n"], "gave '-2' as a length"),
        ([CHUNKED.replace(b"5;x=y", b"z")], "as a length"),
        ([CHUNKED.replace(b"5;x=y", b"4")], "a chunk that is longer than it said"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000], "bytes of headers"),
    ],
)
def test_what_is_no_answer(pieces, message):
    with pytest.raises(WireError, match=message):
        exchange(*pieces, hang_up=True)


def test_no_request_waits_for_a_connection():
    """The server answers none before all are there: a client that queued some of them would wait forever."""
    many = 200

    async def scenario():
        present = asyncio.Barrier(many)

        async def handle(head, body, reader, writer):
            await present.wait()
            return answer(200, b"{}")

        async with serving(handle) as endpoint:
            pool = Pool(endpoint)
            answers = await asyncio.gather(*(ask(endpoint, pool) for _ in range(many)))
            again = await asyncio.gather(*(ask(endpoint, pool) for _ in range(many)))
            idle = pool.idle
            pool.close()
        return answers + again, idle

    answers, idle = run(scenario())
    assert answers == [(200, b"{}")] * 2 * many
    assert idle == many


def test_a_connection_that_has_gone_while_idle_is_replaced():
    async def scenario():
        async def handle(head, body, reader, writer):
            writer.write(answer(200, b"{}"))
            await writer.drain()

        async with serving(handle) as endpoint:
            pool = Pool(endpoint)
            first = await ask(endpoint, pool)
            await asyncio.sleep(0.05)  # in which the end of the connection comes over
            return first, await ask(endpoint, pool)

    assert run(scenario()) == ((200, b"{}"), (200, b"{}"))


def test_leaving_in_the_middle_drops_the_connection():
    async def scenario():
        dropped = asyncio.Event()

        async def handle(head, body, reader, writer):
            assert await reader.read() == b""
            dropped.set()

        async with serving(handle) as endpoint:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ask(endpoint)
            await dropped.wait()

    run(scenario())


def test_addresses():
    assert b"POST /base/predictions HTTP/1.1\r\nHost: [::1]:80\r\n" in Endpoint("::1", 80, "/base").post(
        "/predictions", b""
    )

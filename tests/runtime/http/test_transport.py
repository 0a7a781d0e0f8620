import asyncio
import re
import socket
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.errors import UsageError
from pilotlight.runtime.http.transport import Endpoint, HttpConnection, Pool, SilenceError, WireError
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
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], r"does not answer in HTTP/1.1 \(.+\): 'SSH-2.0-OpenSSH'"),
        ([b"HTTP/1.1 abc\r\n\r\n"], "does not answer in HTTP/1.1"),
        ([answer(200, b"{}", length=False)], "neither how long its answer is nor that it comes in chunks"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n"], "Invalid character in Content-Length"),
        ([CHUNKED.replace(b"5;x=y", b"z")], "Invalid character in chunk size"),
        ([CHUNKED.replace(b"5;x=y", b"4")], "chunk data"),
        ([CHUNKED.partition(b"y")[0] + b"y" * 70_000], "bytes without content"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000], "bytes of headers"),
    ],
)
def test_what_is_no_answer(pieces, message):
    with pytest.raises(WireError, match=message):
        exchange(*pieces, hang_up=True)


@pytest.mark.parametrize("more", [b"x", answer(200, b"{}"), b"HTTP/1.1 500 No\r\n\r\n"])
def test_a_connection_with_more_than_an_answer_is_not_used_again(more):
    assert exchange(answer(200, b"{}") + more) == (200, b"{}", 0)
    assert exchange(CHUNKED + more) == (200, b"hello world", 0)


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


def test_silence():
    async def scenario():
        async def handle(head, body, reader, writer):
            writer.write(answer(200, b"{}")[:-1])
            await asyncio.Event().wait()

        async with serving(handle) as endpoint:
            pool = Pool(endpoint)
            async with pool.connection(silence_s=0.05) as connection:
                connection.send(endpoint.post("/predictions", b"{}"))
                assert (await connection.head()).status == 200
                await connection.read()

    with pytest.raises(SilenceError, match=r"nothing came for 0\.05 s"):
        run(scenario())


def test_a_server_that_takes_no_connection():
    async def scenario():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            with socket.create_connection(address):  # fills the queue of those that nobody has accepted
                async with Pool(Endpoint(*address), connect_s=0.1).connection():
                    pass

    with pytest.raises(SilenceError, match=r"takes no connection for 0\.1 s"):
        run(scenario())


def test_a_large_body_goes_out_whole():
    sent = bytes(range(256)) * 4096

    async def scenario():
        received = []

        async def handle(head, body, reader, writer):
            received.append(body)
            return answer(200, b"{}")

        async with serving(handle) as endpoint:
            pool = Pool(endpoint)
            async with pool.connection() as connection:
                connection.send(endpoint.head("PUT", "/predictions/a", length=len(sent)), sent)
                assert (await connection.head()).status == 200
                await connection.read()
            pool.close()
        return received

    assert run(scenario()) == [sent]


@pytest.mark.parametrize(
    ("rest", "reusable"),
    [
        ([b"\r\n0\r\n\r\n"], True),
        ([b"\r\n", b"0\r\n", b"\r\n"], True),
        ([b"\r\n5\r\nworld"], False),
        ([], False),
    ],
)
def test_the_end_of_an_answer_may_come_after_it_was_left(rest, reusable):
    async def scenario():
        left = asyncio.Event()

        async def handle(head, body, reader, writer):
            writer.write(answer(200, b"5\r\nhello", "Transfer-Encoding: chunked", length=False))
            await left.wait()
            for piece in rest:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            return b"" if rest else None

        async with serving(handle) as endpoint:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(HttpConnection, endpoint.host, endpoint.port)
            connection.send(endpoint.post("/predictions", b"{}"))
            await connection.head()
            async with aclosing(connection.body()) as pieces:
                assert await anext(pieces) == b"hello"
            told = loop.create_future()
            connection.let_end(told.set_result)
            assert not told.done()
            left.set()
            assert await told is connection
            found = connection.reusable
            connection.close()
            return found

    assert run(scenario()) is reusable


def test_a_pool_closes_connections_whose_end_never_comes():
    async def scenario():
        dropped = asyncio.Event()

        async def handle(head, body, reader, writer):
            writer.write(answer(200, b"5\r\nhello", "Transfer-Encoding: chunked", length=False))
            assert await reader.read() == b""
            dropped.set()

        async with serving(handle) as endpoint:
            pool = Pool(endpoint)
            async with pool.connection() as connection:
                connection.send(endpoint.post("/predictions", b"{}"))
                await connection.head()
                connection.ending = True
            pool.close()
            await dropped.wait()

    run(scenario())


@pytest.mark.parametrize("url", ["https://127.0.0.1:5000", "http://", "127.0.0.1:5000", "http://h?x=1", "http://h:0x"])
def test_urls_of_other_places(url):
    with pytest.raises(UsageError, match=re.escape(url)):
        Endpoint.of(url)


def test_urls():
    assert Endpoint.of("http://[::1]:5000/base/") == Endpoint("::1", 5000, "/base")
    assert Endpoint.of("http://localhost") == Endpoint("localhost", 80)

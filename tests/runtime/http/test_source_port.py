"""A port that other users cannot connect from."""

import asyncio
import socket

import pytest

from pilotlight.runtime.http.source_port import SourcePort
from pilotlight.runtime.http.transport import Endpoint, Pool
from tests.bench.load.servers import answer, run, serving


@pytest.fixture
def source():
    made = SourcePort()
    yield made
    made.close()


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "127.9.9.9"])
@pytest.mark.parametrize("option", [None, socket.SO_REUSEADDR])
def test_nobody_binds_it_who_does_not_share_it_as_another_user_cannot(source, address, option):
    with socket.socket() as other:
        if option is not None:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind((address, source.number))


def test_every_connection_of_a_pool_comes_from_it_at_the_same_time(source):
    peers = []

    async def scenario():
        async def handle(head, body, reader, writer):
            peers.append(writer.get_extra_info("peername"))
            return answer(200, b"x")

        async with serving(handle) as endpoint:
            pool = Pool(endpoint, source=source)
            async with pool.connection() as first, pool.connection() as second:
                for connection in (first, second):
                    connection.send(endpoint.post("/predictions", b"{}"))
                    await connection.head()
                    assert await connection.read() == b"x"
            pool.close()

    run(scenario())
    assert [port for _, port in peers] == [source.number] * 2
    assert len({address for address, _ in peers}) == 2


def test_a_connection_that_cannot_be_made_leaves_no_socket(source):
    async def scenario():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            pool = Pool(Endpoint.of(f"http://127.0.0.1:{unused.getsockname()[1]}"), source=source)
            with pytest.raises(OSError, match="failed"):
                async with pool.connection():
                    raise AssertionError

    asyncio.run(scenario())


def test_it_is_given_back_once(source):
    source.close()
    source.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", source.number))

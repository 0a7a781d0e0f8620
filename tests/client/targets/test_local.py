"""What a target without a platform between does about predictions that are left."""

import asyncio
import contextlib

from pilotlight.client import Timeouts
from pilotlight.client.targets.local import CogConnection
from pilotlight.client.targets.names import parse_target
from pilotlight.runtime import Started

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
START = b'event: start\ndata: {"id":"p"}\n\n'


class LosesCancels:
    """A Cog server that goes on with a prediction whose connection is closed, until it is asked twice to cancel it."""

    def __init__(self):
        self.asked = 0
        self.gone = asyncio.Event()
        self.connections = set()

    async def serve(self, reader, writer):
        self.connections.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                if b"/cancel " in head:
                    self.asked += 1
                    found = self.asked < 3
                    writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % (200 if found else 404))
                    if not found:
                        self.gone.set()
                else:
                    writer.write(STREAM + b"%x\r\n%s\r\n" % (len(START), START))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_a_prediction_that_is_left_is_cancelled_until_the_server_has_it_no_more():
    async def scenario():
        server = LosesCancels()
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening, asyncio.timeout(120):
            target = parse_target(f"cog:http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            connection = CogConnection(target, timeouts=Timeouts())
            started = asyncio.Event()

            def feed(event):
                if isinstance(event, Started):
                    started.set()

            running = asyncio.create_task(connection.run({}, feed, prediction_id="p"))
            await started.wait()
            running.cancel()
            await server.gone.wait()
            assert server.asked == 3
            await connection.close()
            await asyncio.wait(server.connections)

    asyncio.run(scenario())

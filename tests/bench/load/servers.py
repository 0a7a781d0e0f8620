"""A server on the loopback address that answers as it is told."""

import asyncio
import json
from contextlib import asynccontextmanager

from pilotlight.runtime.http.transport import Endpoint

LIMIT_S = 120.0


def answer(status, body=b"", *headers, length=True):
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def succeeded(output="yes", **more):
    return answer(200, json.dumps({"id": "a", "status": "succeeded", "output": output, **more}).encode())


@asynccontextmanager
async def serving(handle):
    """Calls ``await handle(head, body, reader, writer)`` for each request, and writes what that returns or hangs up."""
    writers = set()

    async def serve(reader, writer):
        writers.add(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = next(int(line[15:]) for line in head.splitlines() if line.startswith("Content-Length:"))
                said = await handle(head, await reader.readexactly(length), reader, writer)
                if said is None:
                    break
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def run(scenario):
    """Runs a coroutine, within a limit."""

    async def limited():
        async with asyncio.timeout(LIMIT_S):
            return await scenario

    return asyncio.run(limited())

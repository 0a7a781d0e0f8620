"""Cog's HTTP server, taking connections from one source port only: a program, run as ``private_server.py PORT ARG...``.

It runs ``python -m cog.server.http ARG...`` in this process. coglet can listen on TCP only, which every user of the
machine may connect to. So a thread finds the socket that it listens on, and attaches a packet filter that drops what
does not come from the source port PORT. Whoever started this program keeps that port from other users
(``runtime/http/source_port.py``). The filter needs no privileges; it is there on Linux only.

Milliseconds lie between the listening and the filter. Connections that were made then are shut down a moment later;
until ``setup()`` has ended, nothing could be run over them.

The project's interpreter runs this, with whatever is installed there: the standard library only.
"""

from __future__ import annotations

import array
import os
import runpy
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# From <asm-generic/socket.h>, <linux/tcp.h> and <linux/bpf_common.h>; Python does not name them.
_SO_ATTACH_FILTER = 26
_QUEUED_AT = 24  # in `struct tcp_info` of a socket that listens: how many connections wait to be accepted
_LOAD_HALF, _JUMP_EQUAL, _RETURN = 0x28, 0x15, 0x06
_WHOLE = 0xFFFFFFFF

_LOOK_S = 0.002
# After the last connection has left the queue, until it is among the descriptors of this process.
_ACCEPT_S = 0.2


def sockets_at(port: int) -> Iterator[socket.socket]:
    """Yield this process's TCP sockets whose own port that is, as duplicates that the caller closes."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # closed meanwhile
            continue
        if found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] == port:
            yield found
        else:
            found.close()


def listener_at(port: int) -> socket.socket | None:
    """Return a duplicate of the socket that listens on a port; ``None`` where none does."""
    for found in sockets_at(port):
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return found
        found.close()
    return None


def admit_only(listener: socket.socket, source_port: int) -> None:
    """Have the kernel drop every TCP segment to a listening socket that is not from ``source_port``.

    Connections that the socket accepts from then on have the same filter.
    """
    # The filter sees the TCP header, which begins with the source port.
    program = array.array("B", b"")
    for code, if_true, if_false, value in (
        (_LOAD_HALF, 0, 0, 0),
        (_JUMP_EQUAL, 0, 1, source_port),
        (_RETURN, 0, 0, _WHOLE),
        (_RETURN, 0, 0, 0),
    ):
        program.frombytes(struct.pack("HBBI", code, if_true, if_false, value))
    address, size = program.buffer_info()
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", size // 8, address))


def shut_others(listener: socket.socket, source_port: int) -> None:
    """Shut the connections down that were made before the filter was there."""
    while True:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUED_AT + 4)
        (queued,) = struct.unpack_from("I", info, _QUEUED_AT)
        if queued == 0:
            break
        time.sleep(_LOOK_S)
    time.sleep(_ACCEPT_S)
    for found in sockets_at(listener.getsockname()[1]):
        with found:
            try:
                if found.getpeername()[1] != source_port:
                    found.shutdown(socket.SHUT_RDWR)
            except OSError:  # the listener itself, or a connection that has broken
                pass


def keep_private(port: int, source_port: int) -> None:
    """Wait until this process listens on ``port``, and restrict it to connections from ``source_port``."""
    while (listener := listener_at(port)) is None:
        time.sleep(_LOOK_S)
    with listener:
        admit_only(listener, source_port)
        shut_others(listener, source_port)


def _keep_private(port: int, source_port: int) -> None:
    try:
        keep_private(port, source_port)
    except OSError as error:
        sys.stderr.write(
            f"Every user of this machine can connect to this server, as it has no packet filter: {error}\n"
        )


def main() -> None:
    """Run the program."""
    # As with `python -m`, so that the folder of this file is not searched for modules.
    sys.path[0] = str(Path.cwd())
    source_port = int(sys.argv.pop(1))
    arguments = int(os.environ["PORT"]), source_port
    threading.Thread(target=_keep_private, args=arguments, daemon=True).start()
    runpy.run_module("cog.server.http", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

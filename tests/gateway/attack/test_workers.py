"""Another user of this machine cannot connect to a worker, although coglet listens on TCP.

The other user is a socket that is not bound to the source port, which the kernel refuses to sockets of other users.
``tests/cog/test_gateway_live.py`` does the same with real workers.
"""

import select
import socket

import pytest

from pilotlight.runtime.http.source_port import SourcePort
from pilotlight.runtime.server.private_server import admit_only, keep_private, listener_at


@pytest.fixture
def source():
    made = SourcePort()
    yield made
    made.close()


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def attempted(server):
    """A connection that somebody else tries to open."""
    other = socket.socket()
    other.setblocking(False)
    other.connect_ex(server.getsockname())
    return other


def admitted(server, source):
    """A connection of ours, and the server's side of it."""
    own = source.socket()
    own.setblocking(True)
    own.connect(server.getsockname())
    taken, peer = server.accept()
    assert peer == own.getsockname()
    return own, taken


def is_open(connection):
    """Whether the server has taken it. On loopback a packet has arrived when it has been sent."""
    return bool(select.select([], [connection], [], 0)[1])


def test_without_the_filter_anyone_connects(server):
    with attempted(server) as other:
        assert select.select([], [other], [], 60)[1]


def test_with_the_filter_only_connections_from_the_source_port_are_taken(server, source):
    admit_only(server, source.number)
    with attempted(server) as other:
        own, taken = admitted(server, source)
        with own, taken:
            own.sendall(b"question")
            assert taken.recv(99) == b"question"
            taken.sendall(b"answer")
            assert own.recv(99) == b"answer"
        assert not is_open(other)


def test_connections_that_were_made_before_the_filter_are_shut_and_ours_is_not(server, source):
    with attempted(server) as early:
        own, taken_own = admitted_after(server, early, source)
        with own, taken_own[0], taken_own[1]:
            keep_private(server.getsockname()[1], source.number)
            early.settimeout(60)
            assert early.recv(1) == b""
            own.sendall(b"question")
            assert taken_own[1].recv(99) == b"question"
            with attempted(server) as late:
                last, taken = admitted(server, source)
                last.close()
                taken.close()
                assert not is_open(late)


def admitted_after(server, early, source):
    """Take the connection of another, then ours; return ours, and the server's sides of both."""
    assert select.select([], [early], [], 60)[1]
    taken_early, _ = server.accept()
    own, taken_own = admitted(server, source)
    return own, (taken_early, taken_own)


def test_the_listening_socket_is_found_among_all_others(server):
    port = server.getsockname()[1]
    with socket.create_connection(server.getsockname()), listener_at(port) as found:
        assert found.getsockname() == server.getsockname()
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert listener_at(silent.getsockname()[1]) is None

"""A port of this machine from which no other user can open connections.

Linux gives a port that a socket holds at all addresses only to sockets of the same user, and only where all of them
allow it (``SO_REUSEPORT``). A server that takes connections from that port alone is thus unreachable for other users,
though not for other processes of this user.
"""

from __future__ import annotations

import itertools
import socket
import sys
from ipaddress import IPv4Address

# Every connection has an address of its own in 127.0.0.0/8, because all of them have one port.
_FIRST, _LAST = int(IPv4Address("127.0.0.2")), int(IPv4Address("127.255.255.254"))


class SourcePort:
    """A port that this process holds until ``close``.

    Attributes:
        number: the port.
    """

    def __init__(self) -> None:
        self._holder = _sharing()
        self._holder.bind(("0.0.0.0", 0))  # noqa: S104 - it never listens
        self.number: int = self._holder.getsockname()[1]
        self._addresses = itertools.cycle(range(_FIRST, _LAST + 1))

    def socket(self) -> socket.socket:
        """Return a new socket that is bound to the port, to connect with.

        Raises:
            OSError: it cannot be bound.
        """
        bound = _sharing()
        try:
            bound.bind((str(IPv4Address(next(self._addresses))), self.number))
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound

    def close(self) -> None:
        """Give the port back. Safe to call twice."""
        self._holder.close()


def is_supported() -> bool:
    """Return whether this system keeps such a port from other users."""
    return sys.platform == "linux"


def _sharing() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made

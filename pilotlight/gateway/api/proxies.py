"""What a reverse proxy says of the caller: believed from the networks of ``--trusted-proxy`` only. Pure.

Anyone can send ``X-Forwarded-For``, so a request from elsewhere keeps the address, the scheme and the ``Host`` with
which it came. Read are ``X-Forwarded-For``, ``X-Forwarded-Proto`` and ``X-Forwarded-Host``; of several values in a
header each proxy has appended its own, so they are read from the end. ``X-Forwarded-Prefix`` is the path at which the
proxy serves the gateway.

Where the gateway is told its own address (``--public-url``), that is used in every URL it gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope as Connection

from pilotlight.errors import UsageError
from pilotlight.util.networks import Network, parse_networks

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){1,8}")
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of the proxies that are believed; none by default.

    Attributes:
        networks: the networks.
        prefix: the path at which callers reach the gateway, such as ``/models``; empty where they reach it at ``/``.
    """

    networks: tuple[Network, ...] = ()
    prefix: str = ""

    @classmethod
    def of(cls, networks: Iterable[str], public_url: str | None = None) -> Self:
        """Return the proxies in networks such as ``10.0.0.0/8``, or at single addresses.

        Raises:
            UsageError: a text is not a network, or the URL is none.
        """
        return cls(parse_networks(networks), urlsplit(check_public_url(public_url)).path if public_url else "")

    def trust(self, text: str) -> bool:
        """Return whether an address is that of a proxy that is believed."""
        address = _address(text)
        return address is not None and any(address in network for network in self.networks)

    def resolve(self, connection: Connection) -> Connection:
        """Return the connection as its caller has made it: with their address, and the scheme, host and path they used.

        The path is without the prefix, which a proxy may have left on it.
        """
        peer = connection.get("client")
        if not self.networks or not peer or not self.trust(peer[0]):
            return _without_prefix(connection, self.prefix)
        headers = Headers(scope=connection)
        changed = {**connection, "client": (self._caller(headers, peer[0]), 0)}
        if (scheme := _last(headers, "x-forwarded-proto").lower()) in ("http", "https"):
            changed["scheme"] = scheme
        if _HOST.fullmatch(host := _last(headers, "x-forwarded-host")):
            others = [(name, value) for name, value in connection["headers"] if name != b"host"]
            changed["headers"] = [(b"host", host.encode()), *others]
        prefix = _last(headers, "x-forwarded-prefix").rstrip("/")
        return _without_prefix(changed, prefix if _PREFIX.fullmatch(prefix) else self.prefix)

    def _caller(self, headers: Headers, peer: str) -> str:
        """Return the last address that no trusted proxy has; one that cannot be read ends the search."""
        caller = peer
        for text in reversed(_values(headers, "x-forwarded-for")):
            address = _address(text)
            if address is None:
                break
            caller = str(address)
            if not self.trust(caller):
                break
        return caller


def check_public_url(text: str) -> str:
    """Return the URL at which callers reach the gateway, without a slash at its end.

    Raises:
        UsageError: it is no such URL.
    """
    url = text.rstrip("/")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc) and not parts.query + parts.fragment
    except ValueError:
        good = False
    if not good or not (parts.path == "" or _PREFIX.fullmatch(parts.path)):
        raise UsageError(f"--public-url {text[:140]!r}: give one such as https://models.example.com or with a path")
    return url


def _without_prefix(connection: Connection, prefix: str) -> Connection:
    if not prefix:
        return connection
    path = connection["path"]
    shorter = path.removeprefix(prefix) if path == prefix or path.startswith(f"{prefix}/") else path
    return {**connection, "root_path": prefix, "path": shorter}


def _values(headers: Headers, name: str) -> list[str]:
    return [part.strip() for part in ",".join(headers.getlist(name)).split(",")]


def _last(headers: Headers, name: str) -> str:
    return _values(headers, name)[-1]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text, with or without a port; ``None`` where there is none."""
    host = text.partition("]")[0][1:] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address

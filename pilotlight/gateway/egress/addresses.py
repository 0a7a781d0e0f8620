"""Which addresses may be reached for a URL that a caller has given.

Without this a caller could have the gateway read what only its own machine or network can: the metadata service of a
cloud (169.254.169.254), a database on loopback, a router. Pure; ``egress`` applies it to every connection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from pilotlight.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# As long as browsers and proxies take; data: URLs, which are longer, are not reached at all.
LONGEST_URL = 2048

# An IPv4 address is the last 32 bits of an IPv6 one in these: the old "compatible" form, and that of translators.
_EMBEDDING = tuple(ipaddress.IPv6Network(text) for text in ("::/96", "64:ff9b::/96"))
# A translator's own network, which Python took for a public one before 3.11.10.
_TRANSLATOR = ipaddress.IPv6Network("64:ff9b:1::/48")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?")
# What WHATWG's URL standard takes for an IPv4 address however it is written: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?")


class RefusedUrlError(UsageError):
    """A URL that the gateway does not ask for; the message says why, and what would allow it."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which addresses may be reached beside the public ones.

    Attributes:
        everything: all of them.
        networks: those in these.
    """

    everything: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str], *, everything: bool = False) -> Self:
        """From networks as people write them, such as ``10.0.0.0/8`` or one address.

        Raises:
            UsageError: one of them is none.
        """
        parsed: list[Network] = []
        for text in networks:
            try:
                parsed.append(ipaddress.ip_network(text))
            except ValueError as error:
                raise UsageError(f"{text!r} is no network: {error}; give one such as 192.168.1.0/24") from None
        return cls(everything, tuple(parsed))

    def allows(self, address: Address) -> bool:
        """Whether it may be reached. An IPv4 address that is wrapped in an IPv6 one counts as itself."""
        plain = _unwrapped(address)
        if self.everything or any(one in network for network in self.networks for one in (address, plain)):
            return True
        return plain.is_global and not plain.is_multicast and plain not in _TRANSLATOR


def check_url(text: str, reach: EgressPolicy) -> SplitResult:
    """The parts of a URL that may be asked for, as far as can be told without looking its name up.

    Raises:
        RefusedUrlError: it is no http or https URL, or its host is an address that may not be reached.
    """
    if len(text) > LONGEST_URL:
        raise RefusedUrlError(f"it has {len(text):,} characters; give a URL of up to {LONGEST_URL:,}")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise RefusedUrlError(f"{text[:100]!r} is no URL: write it in ASCII, without spaces and backslashes")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise RefusedUrlError(f"{text[:100]!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise RefusedUrlError(f"{text[:100]!r} is no http or https URL")
    if parts.username is not None or parts.password is not None:
        raise RefusedUrlError("a URL with a user's name or a password in it is not asked for")
    if parts.port == 0:
        raise RefusedUrlError("port 0 cannot be reached")
    _check_host(host, reach)
    return parts


def require_allowed(host: str, addresses: Iterable[Address], reach: EgressPolicy) -> list[Address]:
    """Those of the addresses of ``host`` that may be reached.

    Raises:
        RefusedUrlError: there are none.
    """
    found = list(addresses)
    allowed = [address for address in found if reach.allows(address)]
    if not allowed:
        leads = "" if as_address(host) else f"leads to {', '.join(map(str, found[:3])) or 'nowhere'}, which "
        raise RefusedUrlError(
            f"{host} {leads}is not a public address: the gateway reaches one only when it was started with "
            "--allow-private-urls or an --allow-network that holds it"
        )
    return allowed


def as_address(host: str) -> Address | None:
    """The address that ``host`` is; ``None`` for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_host(host: str, reach: EgressPolicy) -> None:
    address = as_address(host)
    if address is None and f".{host.rstrip('.')}".endswith(".localhost"):
        address = ipaddress.IPv4Address("127.0.0.1")
    if address is not None:
        require_allowed(host, [address], reach)
    elif _NUMERIC.fullmatch(host) is not None:
        raise RefusedUrlError(f"{host!r} is no address as the standard writes it: give four decimal numbers, or a name")
    elif _NAME.fullmatch(host) is None:
        raise RefusedUrlError(f"{host[:100]!r} is no name of a host")


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _EMBEDDING) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)

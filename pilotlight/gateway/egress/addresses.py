"""Which addresses may be reached for a URL that a caller has given.

Without these checks a caller could have the gateway read what only its machine or network can reach: the metadata
service of a cloud (169.254.169.254), a database on loopback, a router. Pure; ``client`` applies them to every
connection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from pilotlight.errors import UsageError
from pilotlight.gateway.egress.special_networks import Address, is_public, reached
from pilotlight.util.networks import Network, parse_networks

# The longest that browsers and proxies accept; data: URLs may be longer, and no request is made for them.
LONGEST_URL = 2048

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?")
# What WHATWG's URL standard reads as an IPv4 address in other notations: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?")


class RefusedUrlError(UsageError):
    """The gateway sends no request to this URL; the message says why, and what would allow it."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which addresses may be reached beside public ones.

    Attributes:
        everything: whether all addresses may be reached.
        networks: networks whose addresses may be reached.
    """

    everything: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str], *, everything: bool = False) -> Self:
        """Return a policy that allows networks, given as text such as ``10.0.0.0/8``, or a single address.

        Raises:
            UsageError: a text is not a network.
        """
        return cls(everything, parse_networks(networks))

    def allows(self, address: Address) -> bool:
        """Return whether an address may be reached; one that leads to an IPv4 address is checked as that, too."""
        forms = {address, reached(address)}
        named = any(one in network for network in self.networks for one in forms)
        return self.everything or named or is_public(address)


def check_url(text: str, policy: EgressPolicy) -> SplitResult:
    """Return the parts of a URL after the checks that need no look-up of its name.

    Raises:
        RefusedUrlError: it is not an http or https URL, or its host is an address that may not be reached.
    """
    if len(text) > LONGEST_URL:
        raise RefusedUrlError(f"the URL has {len(text):,} characters: give one of up to {LONGEST_URL:,}")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise RefusedUrlError(f"{text[:100]!r} is not a URL: write it in ASCII, without spaces and backslashes")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise RefusedUrlError(f"{text[:100]!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise RefusedUrlError(f"{text[:100]!r} is not an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise RefusedUrlError("the URL holds a user name or a password: leave them out")
    if parts.port == 0:
        raise RefusedUrlError("the URL has port 0, which cannot be reached")
    _check_host(host, policy)
    return parts


def require_allowed(host: str, addresses: Iterable[Address], policy: EgressPolicy) -> list[Address]:
    """Return the addresses of ``host`` that may be reached.

    Raises:
        RefusedUrlError: none of them may.
    """
    found = list(addresses)
    allowed = [address for address in found if policy.allows(address)]
    if not allowed:
        leads = "" if as_address(host) else f"leads to {', '.join(map(str, found[:3])) or 'nowhere'}, which "
        raise RefusedUrlError(
            f"{host} {leads}is not a public address: the gateway reaches one only when it was started with "
            "--allow-private-urls or an --allow-network that holds it"
        )
    return allowed


def as_address(host: str) -> Address | None:
    """Return the address that ``host`` is; ``None`` for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_host(host: str, policy: EgressPolicy) -> None:
    address = as_address(host)
    if address is None and f".{host.rstrip('.')}".endswith(".localhost"):
        address = ipaddress.IPv4Address("127.0.0.1")
    if address is not None:
        require_allowed(host, [address], policy)
    elif _NUMERIC.fullmatch(host) is not None:
        raise RefusedUrlError(f"{host!r} is not in the standard notation of IPv4: give four decimal numbers, or a name")
    elif _NAME.fullmatch(host) is None:
        raise RefusedUrlError(f"{host[:100]!r} is not the name of a host")

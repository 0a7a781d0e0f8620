"""Networks as users write them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pilotlight.errors import UsageError

__all__ = ["Network", "parse_networks"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that texts such as ``10.0.0.0/8`` mean; a single address is a network of one.

    Raises:
        UsageError: a text is not a network.
    """
    parsed: list[Network] = []
    for text in texts:
        try:
            parsed.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise UsageError(f"{text!r} is not a network: {error}; give one such as 192.168.1.0/24") from None
    return tuple(parsed)

"""Addresses that are not on the public internet: IANA's special-purpose registries, and metadata services of clouds.

The lists are our own, because Python's ``is_global`` changes between its versions and does not know all of them:
``fec0::/10`` is global to it, and so is 168.63.129.16. Sources: the registries "IPv4 Special-Purpose Address Space" and
"IPv6 Special-Purpose Address Space" (RFC 6890 and its updates), "IPv6 Global Unicast Address Assignments", and the
documentation of the clouds. A registry's exceptions that are reachable (anycast services of the network itself, sinks
of reverse DNS) are refused with their network: no file and no webhook is there. Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; 0.0.0.0 is this machine
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's virtual public address of its host, metadata and DNS
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments; 192.0.0.192 is Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with the broadcast address
    )
)
# The only space from which global addresses are assigned. What lies outside is special by itself: loopback, IPv4 in its
# compatible and translated forms, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7 (with the metadata services of AWS and
# Google), fe80::/10, fec0::/10, ff00::/8.
_V6_GLOBAL = IPv6Network("2000::/3")
_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID, AMT, anycast
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, deprecated: leads to the IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
# Here the last 32 bits are the IPv4 address that packets reach: IPv4-mapped, and the well-known prefix of NAT64, which
# is how a machine with IPv6 only reaches every IPv4 address.
_V4_INSIDE = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
# The upper half of an interface identifier of ISATAP (RFC 5214); the lower half is an IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)


def reached(address: Address) -> Address:
    """Return the address that packets to ``address`` reach: the IPv4 address inside of a mapped or translated one."""
    if isinstance(address, IPv6Address) and any(address in network for network in _V4_INSIDE):
        return _last_v4(address)
    return address


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet, in whatever form it is written."""
    address = reached(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _V4)
    if address not in _V6_GLOBAL or any(address in network for network in _V6):
        return False
    isatap = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return not isatap or is_public(_last_v4(address))


def _last_v4(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)

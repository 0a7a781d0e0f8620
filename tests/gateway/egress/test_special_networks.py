"""Which addresses are public, in every form in which an IPv4 address can be written as an IPv6 one."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.gateway.egress.addresses import EgressPolicy
from pilotlight.gateway.egress.special_networks import is_public, reached

SPECIAL_V4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4"),
    *("240.0.0.0/4", "168.63.129.16/32"),
)
SPECIAL_V6 = (
    *("::/8", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    *("5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/3"),
)
METADATA = {
    "most clouds": "169.254.169.254",
    "AWS, containers": "169.254.170.2",
    "AWS, IPv6": "fd00:ec2::254",
    "Google, IPv6": "fd20:ce::254",
    "Azure": "168.63.129.16",
    "Alibaba": "100.100.100.200",
    "Oracle": "192.0.0.192",
    "Tencent": "169.254.0.23",
}

special_v4 = st.sampled_from(SPECIAL_V4).flatmap(lambda network: st.ip_addresses(v=4, network=network))


def forms(v4: IPv4Address, prefix: int) -> dict[str, IPv6Address]:
    """Every way to write an IPv4 address as an IPv6 one; ``prefix`` is the upper half of those that have a free one."""
    n = int(v4)
    free = (0x2000 << 112 | prefix) & ~(0xFFFFFFFFFFFFFFFF)
    texts = {
        "mapped": 0xFFFF << 32 | n,
        "compatible": n,
        "translated": 0xFFFF << 48 | n,
        "NAT64": 0x0064FF9B << 96 | n,
        "NAT64, local": 0x0064FF9B0001 << 80 | n,
        "6to4": 0x2002 << 112 | n << 80 | 1,
        "Teredo, client": 0x20010000 << 96 | 0x08080808 << 64 | n ^ 0xFFFFFFFF,
        "Teredo, server": 0x20010000 << 96 | n << 64 | 0x08080808 ^ 0xFFFFFFFF,
        "ISATAP": free | 0x00005EFE << 32 | n,
        "ISATAP, universal": free | 0x02005EFE << 32 | n,
    }
    return {name: IPv6Address(value) for name, value in texts.items()}


@given(special_v4, st.integers(0, (1 << 125) - 1))
def test_no_form_of_a_special_address_is_public(address, prefix):
    assert not is_public(address)
    for name, form in forms(address, prefix).items():
        assert not is_public(form), name


@given(st.sampled_from(SPECIAL_V6).flatmap(lambda network: st.ip_addresses(v=6, network=network)))
def test_no_special_address_of_ipv6_is_public(address):
    v4 = reached(address)
    assert not is_public(address) or (isinstance(v4, IPv4Address) and is_public(v4))


@given(st.ip_addresses())
def test_what_is_public_is_so_for_python_too(address):
    if is_public(address):
        plain = reached(address)
        assert plain.is_global
        assert not any((plain.is_private, plain.is_multicast, plain.is_reserved, plain.is_link_local))


@given(st.ip_addresses(v=4))
def test_an_address_that_is_translated_is_judged_as_what_it_leads_to(address):
    made = forms(address, 0)
    for name in ("mapped", "NAT64"):
        assert is_public(made[name]) is is_public(address)
        assert reached(made[name]) == address
    assert EgressPolicy.of([str(address)]).allows(made["NAT64"])


@pytest.mark.parametrize("address", METADATA.values(), ids=METADATA.keys())
def test_no_metadata_service_is_reached(address):
    assert not EgressPolicy().allows(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["fec0::1", "feff::1", "fec0:ffff::169.254.169.254", "::", "::1", "4000::1"])
def test_what_python_takes_for_global_and_is_not(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "168.63.129.15", "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_are_public(address):
    assert is_public(ipaddress.ip_address(address))

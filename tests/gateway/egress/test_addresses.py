"""Which URLs are asked for."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import UsageError
from pilotlight.gateway.egress.addresses import EgressPolicy, RefusedUrlError, check_url, require_allowed

PUBLIC = EgressPolicy()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "224.0.1.9", "239.1.1.1", "240.0.0.1"),
        "255.255.255.255",
        *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[2001:db8::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::10.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b:1::1]"),
        *("[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:1:2:3:4:f5ff:fffe]"),
        *("localhost", "LOCALHOST", "localhost.", "app.localhost"),
    ],
)
def test_what_only_this_machine_or_its_network_can_reach_is_refused_unless_allowed(host):
    for scheme in ("http", "https"):
        with pytest.raises(RefusedUrlError, match="not a public address"):
            check_url(f"{scheme}://{host}:8080/path?query", PUBLIC)
        check_url(f"{scheme}://{host}:8080/path?query", EgressPolicy(everything=True))


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "1.2.3.4.5", "1.2.3.08"])
def test_an_address_written_so_that_programs_disagree_about_it_is_always_refused(host):
    for policy in (PUBLIC, EgressPolicy(everything=True)):
        with pytest.raises(RefusedUrlError, match="four decimal numbers"):
            check_url(f"http://{host}/", policy)


@pytest.mark.parametrize(
    "url",
    [
        *("http://8.8.8.8/", "https://example.com/a?b=c", "http://[2606:4700::1111]:8080/", "https://a-b.example.:443"),
        *("http://[::ffff:8.8.8.8]/", "HTTPS://EXAMPLE.COM/", "http://1e100.net", "http://x_y.example/%20"),
    ],
)
def test_what_is_public_is_allowed(url):
    check_url(url, PUBLIC)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "not an http or https"),
        ("//example.com/", "not an http or https"),
        ("example.com", "not an http or https"),
        ("http:///path", "not an http or https"),
        ("http://user:password@example.com/", "password"),
        ("http://example.com@127.0.0.1/", "password"),
        ("http://127.0.0.1\\@example.com/", "backslashes"),
        ("http://example.com:99999/", "Port out of range"),
        ("http://example.com:0/", "port 0"),
        (" http://example.com/", "spaces"),
        ("http://exam\nple.com/", "spaces"),
        ("http://\uff11\uff12\uff17.0.0.1/", "ASCII"),
        ("http://[::1/", "not a URL"),
        ("http://exa$mple.com/", "not the name of a host"),
        ("http://[fe80::1%25eth0]/", "not a public address"),
        ("http://example.com/" + "x" * 2048, "2,067 characters"),
    ],
)
def test_what_is_no_url_to_ask_for_is_refused_with_a_reason(url, words):
    with pytest.raises(RefusedUrlError, match=words):
        check_url(url, PUBLIC)


def test_one_network_can_be_allowed():
    policy = EgressPolicy.of(["10.1.0.0/16", "fd00::/8", "192.168.0.7"])
    for host in ("10.1.2.3", "[fd00::1]", "192.168.0.7", "[::ffff:10.1.2.3]"):
        check_url(f"http://{host}/", policy)
    for host in ("10.2.0.0", "[fc00::1]", "192.168.0.8", "127.0.0.1"):
        with pytest.raises(RefusedUrlError):
            check_url(f"http://{host}/", policy)
    with pytest.raises(UsageError, match=r"'10.1.2.3/8' is not a network"):
        EgressPolicy.of(["10.1.2.3/8"])


def test_of_what_a_name_leads_to_only_the_public_is_left():
    found = [ipaddress.ip_address(one) for one in ("127.0.0.1", "8.8.8.8", "::1")]
    assert require_allowed("name", found, PUBLIC) == [found[1]]
    with pytest.raises(RefusedUrlError, match=r"name leads to 127.0.0.1, ::1, which is not a public address"):
        require_allowed("name", [found[0], found[2]], PUBLIC)
    with pytest.raises(RefusedUrlError, match="nowhere"):
        require_allowed("name", [], EgressPolicy(everything=True))


@given(st.text(max_size=40))
def test_any_text_is_judged(text):
    for url in (text, f"http://{text}"):
        with contextlib.suppress(RefusedUrlError):
            assert check_url(url, PUBLIC).hostname

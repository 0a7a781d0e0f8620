"""HTTP to URLs that callers have given."""

import ipaddress

import pytest

from pilotlight.gateway import EgressPolicy
from pilotlight.gateway.egress.addresses import RefusedUrlError
from pilotlight.gateway.egress.client import EgressClient, UnreachableError
from tests.gateway.made import run
from tests.gateway.receiver import answer, receiving

HERE = EgressPolicy.of(["127.0.0.1"])


class Names:
    """A name server of which every answer may differ from the one before."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append(host)
        return [ipaddress.ip_address(one) for one in self.answers.pop(0)]


def with_receiver(scenario, *, policy=HERE, names=None):
    async def whole():
        async with receiving() as receiver, EgressClient(policy, resolve=names) as egress:
            return await scenario(receiver, egress)

    return run(whole())


async def read(egress, url):
    async with egress.get(url, timeout_s=120) as response:
        return b"".join([chunk async for chunk in response.aiter_stream()])


def test_posts_and_follows_no_redirect():
    async def scenario(receiver, egress):
        receiver.answers["/moved"] = answer(302, Location=receiver.url("/other"))
        assert await egress.post(receiver.url("/a"), {"X-One": "1"}, b"body", timeout_s=120) == 200
        assert await egress.post(receiver.url("/moved"), {}, b"body", timeout_s=120) == 302
        assert [(one.method, one.path, one.body) for one in receiver.received] == [
            ("POST", "/a", b"body"),
            ("POST", "/moved", b"body"),
        ]
        assert receiver.received[0].headers["x-one"] == "1"

    with_receiver(scenario)


def test_a_name_that_leads_elsewhere_after_it_was_checked_gains_nothing():
    names = Names(["127.0.0.1"], ["127.0.0.2"])

    async def scenario(receiver, egress):
        url = f"http://rebinding.example:{receiver.port}/a"
        receiver.answers["/a"] = answer(200, Connection="close")
        assert await egress.post(url, {}, b"", timeout_s=120) == 200
        assert receiver.received[0].headers["host"] == f"rebinding.example:{receiver.port}"
        with pytest.raises(RefusedUrlError, match=r"rebinding.example leads to 127.0.0.2"):
            await egress.post(url, {}, b"", timeout_s=120)
        assert len(receiver.received) == 1
        # One look-up for one connection: what was checked is what was connected to.
        assert names.asked == ["rebinding.example"] * 2

    with_receiver(scenario, names=names)


def test_the_next_address_is_tried_when_one_does_not_answer():
    names = Names(["127.0.0.9", "10.0.0.1", "127.0.0.1"])

    async def scenario(receiver, egress):
        assert await egress.post(f"http://several.example:{receiver.port}/", {}, b"", timeout_s=120) == 200

    with_receiver(scenario, policy=EgressPolicy.of(["127.0.0.0/8"]), names=names)


def test_a_redirect_leads_only_where_its_target_may_be_reached():
    async def scenario(receiver, egress):
        receiver.answers["/good"] = answer(307, Location="/there")
        receiver.answers["/there"] = answer(200, b"content")
        receiver.answers["/inside"] = answer(302, Location="http://127.0.0.2/latest/meta-data")
        receiver.answers["/file"] = answer(302, Location="file:///etc/passwd")
        receiver.answers["/round"] = answer(301, Location="/round")
        assert await read(egress, receiver.url("/good")) == b"content"
        with pytest.raises(RefusedUrlError, match=r"127.0.0.2 is not a public address"):
            await read(egress, receiver.url("/inside"))
        with pytest.raises(RefusedUrlError, match="not an http or https URL"):
            await read(egress, receiver.url("/file"))
        with pytest.raises(UnreachableError, match="redirects more than 5 times"):
            await read(egress, receiver.url("/round"))

    with_receiver(scenario)


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/ok/файл.png".encode(), "/ok/%D1%84%D0%B0%D0%B9%D0%BB.png"),
        (b"/ok/a b.png", "/ok/a%20b.png"),
        (b"/ok/\xe9.png", "/ok/%C3%A9.png"),
        (b"/ok/a%20b.png?x=1&y=%26", "/ok/a%20b.png?x=1&y=%26"),
        (b" /ok/a\\b ", "/ok/a%5Cb"),
    ],
)
def test_a_redirect_is_escaped_as_browsers_do_it(location, asked):
    async def scenario(receiver, egress):
        receiver.answers["/from"] = answer(302, Location="here").replace(b"here", location)
        receiver.answers[asked] = answer(200, b"content")
        assert await read(egress, receiver.url("/from")) == b"content"
        assert receiver.received[-1].path == asked

    with_receiver(scenario)


def test_a_redirect_to_a_name_that_is_not_ascii_asks_for_its_other_form():
    names = Names(["127.0.0.1"])

    async def scenario(receiver, egress):
        target = f"http://bücher.example:{receiver.port}/a".encode()
        receiver.answers["/from"] = answer(302, Location="here").replace(b"here", target)
        await read(egress, receiver.url("/from"))
        assert receiver.received[-1].headers["host"] == f"xn--bcher-kva.example:{receiver.port}"

    with_receiver(scenario, names=names)


def test_every_good_status_with_the_whole_content_counts():
    async def scenario(receiver, egress):
        for status in (200, 201, 203):
            receiver.answers["/a"] = answer(status, b"content")
            assert await read(egress, receiver.url("/a")) == b"content"
        receiver.answers["/a"] = answer(206, b"content", Content_Range="bytes 0-6/7")
        assert await read(egress, receiver.url("/a")) == b"content"
        for part in ("bytes 0-6/9", "bytes 1-7/8", "bytes 0-6/*"):
            receiver.answers["/a"] = answer(206, b"content", Content_Range=part)
            with pytest.raises(UnreachableError, match="only a part"):
                await read(egress, receiver.url("/a"))
        receiver.answers["/a"] = answer(204)
        with pytest.raises(UnreachableError, match="HTTP 204"):
            await read(egress, receiver.url("/a"))

    with_receiver(scenario)


def test_what_cannot_be_asked_says_why():
    async def scenario(receiver, egress):
        receiver.answers["/missing"] = answer(404)
        receiver.answers["/broken"] = b"this is no HTTP\r\n\r\n"
        with pytest.raises(UnreachableError, match="HTTP 404"):
            await read(egress, receiver.url("/missing"))
        with pytest.raises(UnreachableError, match="the request failed"):
            await read(egress, receiver.url("/broken"))
        with pytest.raises(UnreachableError, match="the request failed"):
            await egress.post("http://127.0.0.1:1/", {}, b"", timeout_s=120)
        receiver.open.clear()
        with pytest.raises(UnreachableError, match=r"no answer within 0.05 s"):
            await egress.post(receiver.url(), {}, b"", timeout_s=0.05)

    with_receiver(scenario)


def test_an_endless_answer_to_a_webhook_is_not_read():
    async def scenario(receiver, egress):
        receiver.answers["/long"] = answer(200, bytes(300_000))
        assert await egress.post(receiver.url("/long"), {}, b"", timeout_s=120) == 200

    with_receiver(scenario)


def test_there_is_no_such_name():
    async def scenario(receiver, egress):
        with pytest.raises(UnreachableError, match=r"there is no host 'nowhere.invalid'"):
            await egress.post("http://nowhere.invalid/", {}, b"", timeout_s=120)

    with_receiver(scenario)

"""What is sent again, when, and what failures become."""

import asyncio

import httpx2
import pytest

from pilotlight.client import Retry, Timeouts
from pilotlight.client.errors import following, mapped_errors, parse_errors, unsent
from pilotlight.client.http import Http, decoded, is_local
from pilotlight.errors import (
    InputError,
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
)

FAST = Retry(tries=4, base_s=0.0, cap_s=0.0)


class Api:
    """Answers with what it is given, in turn, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call(self, method="POST", retry=FAST, **options):
        async def scenario():
            transport = httpx2.MockTransport(self)
            http = Http("https://api.example", {"Authorization": "Bearer t"}, Timeouts(), retry, transport=transport)
            try:
                return await http.call(method, "/x", **options)
            finally:
                await http.close()

        return asyncio.run(scenario())


def good():
    return httpx2.Response(200, json={"ok": True})


def busy(after="0"):
    return httpx2.Response(429, headers={"Retry-After": after}, json={"detail": "slow down"})


BROKEN = (httpx2.ReadError("reset"), httpx2.ReadTimeout("silent"), httpx2.Response(503, text="down"))


@pytest.mark.parametrize("trouble", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("no answer"), busy()])
def test_what_was_not_taken_is_sent_again_whatever_it_is(trouble):
    api = Api(trouble, trouble, good())
    assert api.call("POST", body={"a": 1}) == {"ok": True}
    assert [request.content for request in api.asked] == [b'{"a": 1}'] * 3
    assert api.asked[0].headers["authorization"] == "Bearer t"


@pytest.mark.parametrize("trouble", BROKEN, ids=str)
def test_what_may_have_been_taken_is_sent_again_only_where_that_does_no_harm(trouble):
    assert Api(trouble, good()).call("GET") == {"ok": True}
    assert Api(trouble, good()).call("POST", repeatable=True) == {"ok": True}
    api = Api(trouble, good())
    with pytest.raises(TargetUnavailableError) as caught:
        api.call("POST")
    assert caught.value.sent
    assert len(api.asked) == 1


def test_it_gives_up_after_so_many_tries():
    api = Api(*[httpx2.ConnectError("refused")] * 9)
    with pytest.raises(TargetUnavailableError, match="cannot be reached: refused") as caught:
        api.call("GET")
    assert not caught.value.sent
    assert len(api.asked) == FAST.tries


def test_a_wait_that_is_too_long_is_left_to_the_caller():
    api = Api(busy("3600"))
    with pytest.raises(TargetBusyError, match="slow down") as caught:
        api.call("POST")
    assert caught.value.retry_after_s == 3600
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, {"detail": "no"}, InputError, "no"),
        (413, "too large", InputError, "too large"),
        (422, {"detail": "- input.n: too small"}, InputError, "too small"),
        (401, {"title": "who?"}, TargetAuthError, "who?"),
        (402, {"detail": "pay"}, TargetAuthError, "pay"),
        (403, {"error": "not you"}, TargetAuthError, "not you"),
        (422, {"error": {"code": 422, "message": "count: -1", "status": "X"}}, InputError, "^input: count: -1$"),
        (400, {"error": {"message": '{"error": {"message": "within"}}'}}, InputError, "^input: within$"),
        (404, {"detail": "where?"}, TargetMissingError, "where?"),
        (418, [1], TargetError, r"418: \[1\]"),
        (409, "", TargetError, "Conflict"),
        (400, {"detail": "x" * 5000}, InputError, r"x{600} \.\.\.$"),
    ],
)
def test_refusals_are_mapped(status, body, error, words):
    answer = httpx2.Response(status, text=body) if isinstance(body, str) else httpx2.Response(status, json=body)
    with pytest.raises(error, match=words):
        Api(answer).call("POST")


def test_only_what_ends_a_line_of_events_ends_one():
    text = "a\u2028b\x85c\x0bd\x1ce"
    body = f"event: output\r\ndata: {text}\r\n\r\n: silence\n\nevent: done\ndata: {{}}\n\n".encode()

    async def scenario():
        response = httpx2.Response(200, stream=httpx2.ByteStream(body))
        return [(event.event, event.data) async for event in decoded(response)]

    assert asyncio.run(scenario()) == [("output", text), ("done", "{}")]


def test_an_answer_that_is_no_json_is_an_error_and_none_is_none():
    with pytest.raises(TargetError, match="not JSON"):
        Api(httpx2.Response(200, text="<html>")).call("GET")
    assert Api(httpx2.Response(204)).call("DELETE") is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_being_sent_elsewhere_is_no_answer(status):
    with pytest.raises(TargetError, match=rf"{status}: "):
        Api(httpx2.Response(status, headers={"Location": "https://other.example"})).call("POST")


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529, 530, 599])
def test_a_server_in_trouble_is_unavailable_whatever_its_number(status):
    with pytest.raises(TargetUnavailableError, match=str(status)) as caught:
        Api(httpx2.Response(status)).call("POST")
    assert caught.value.sent


@pytest.mark.parametrize("status", [400, 422])
def test_a_question_without_inputs_has_none_that_are_wrong(status):
    with pytest.raises(TargetError, match=str(status)):
        Api(httpx2.Response(status, json={"detail": "no such id"})).call("GET")


def test_a_body_that_does_not_unpack_is_an_answer_that_cannot_be_read():
    broken = httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(b"no gzip"))
    with pytest.raises(TargetUnavailableError, match="cannot be read"):
        Api(broken).call("POST")


def test_a_url_that_is_none_is_the_targets_mistake():
    with pytest.raises(TargetError, match="called with an invalid URL") as caught, mapped_errors("x"):
        raise httpx2.UnsupportedProtocol("no scheme")
    assert not isinstance(caught.value, TargetUnavailableError)


@pytest.mark.parametrize("wrong", [{}, [], None, "text", {"a": 1}, {"a": {"b": "x"}}])
def test_an_answer_of_another_shape_is_the_targets_mistake(wrong):
    with (
        pytest.raises(TargetError, match="the target sent an answer of an unexpected form"),
        parse_errors("the target"),
    ):
        int(wrong["a"]["b"])


def test_whether_it_may_have_begun_depends_on_when_it_failed():
    broken = TargetUnavailableError("x", retry_after_s=3)
    with pytest.raises(TargetUnavailableError) as before, unsent():
        raise broken
    assert (before.value.sent, before.value.retry_after_s) == (False, 3)
    for trouble in (TargetUnavailableError("x", sent=False), TargetBusyError("x", retry_after_s=3)):
        with pytest.raises(TargetUnavailableError, match="p cannot be followed") as after, following("prediction p"):
            raise trouble
        assert after.value.sent


def test_a_server_that_is_down_says_when_to_come_back_too():
    with pytest.raises(TargetUnavailableError) as caught:
        Api(httpx2.Response(503, headers={"Retry-After": "3600"})).call("GET")
    assert caught.value.retry_after_s == 3600
    api = Api(httpx2.Response(503, headers={"Retry-After": "0"}), good())
    assert api.call("GET") == {"ok": True}


def test_no_try_begins_after_the_deadline():
    api = Api(busy("5"), good())
    with pytest.raises(TargetBusyError):
        api.call("POST", within_s=4.0)
    assert len(api.asked) == 1


def test_waits_grow_are_spread_and_never_shorter_than_asked():
    retry = Retry(tries=20, base_s=1, cap_s=8)
    unreached = TargetUnavailableError("x", sent=False)
    bounds = [retry.delay_s(n, unreached, repeatable=False, jitter=1.0) for n in range(1, 7)]
    assert bounds == [1, 2, 4, 8, 8, 8]
    assert retry.delay_s(3, unreached, repeatable=False, jitter=0.0) == 0
    asked = TargetBusyError("x", retry_after_s=5)
    assert retry.delay_s(1, asked, repeatable=False, jitter=0.5) == 5.5
    assert retry.delay_s(20, unreached, repeatable=True, jitter=0.5) is None
    assert retry.delay_s(1, TargetAuthError("x"), repeatable=True, jitter=0.5) is None


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:1", True), ("http://localhost", True), ("http://[::1]:1", True), ("https://x.example", False)],
)
def test_addresses_of_this_machine_are_known(url, local):
    assert is_local(url) is local

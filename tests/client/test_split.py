"""Splits over targets in memory, and over an API that loses what it has accepted."""

import asyncio
import io

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pilotlight.client import AsyncSplitClient, Retry, SplitClient, Timeouts
from pilotlight.client.split import MAX_SHADOWS, key_of, may_go_elsewhere
from pilotlight.errors import (
    ConfigError,
    DeadlineError,
    InputError,
    PredictionFailedError,
    SetupFailedError,
    TargetAuthError,
    TargetBusyError,
    TargetMissingError,
    TargetUnavailableError,
    UsageError,
)
from tests.adapters.fronts import on_a_thread
from tests.client.fakes import FakeConnection

UNREACHED = TargetUnavailableError("refused", sent=False)
BROKEN = TargetUnavailableError("reset")


def run(weights, scenario, *, downs=None, settings=None, **split):
    """Has ``scenario`` use a split over fakes, which are ``downs`` for whatever error is there."""
    shadow, fallback = split.get("shadow") or {}, split.get("fallback", ())

    async def whole():
        names = {*weights, *([shadow] if isinstance(shadow, str) else shadow), *fallback}
        targets = {name: FakeConnection(down=(downs or {}).get(name)) for name in names}
        each = {name: {"target": target} for name, target in targets.items()}
        async with asyncio.timeout(120), AsyncSplitClient(weights, each=each, **split, **(settings or {})) as client:
            await scenario(client, targets)
        assert all(target.closed for target in targets.values())
        assert not any(target.worker.running for target in targets.values())

    asyncio.run(whole())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.001)


def taken(targets):
    return sorted(len(target.seen) for target in targets.values())


def test_a_key_stays_where_it_is():
    async def scenario(client, targets):
        for _ in range(5):
            await client.run({"a": 1}, key="user")
        assert taken(targets) == [0, 5]

    run({"x": 1, "y": 1}, scenario)


@pytest.mark.parametrize("sticky", ["user", lambda inputs: inputs["user"]])
def test_an_input_can_be_the_key_and_a_call_can_have_its_own(sticky):
    async def scenario(client, targets):
        for number in range(10):
            await client.run({"user": "ann", "a": number})
        assert taken(targets) == [0, 10]
        users = {client.route({"user": f"user-{number}"}).target for number in range(50)}
        assert users == {"x", "y"}
        keys = {client.route({"user": "ann"}, key=f"key-{number}").target for number in range(50)}
        assert keys == {"x", "y"}

    run({"x": 1, "y": 1}, scenario, sticky=sticky)


def test_without_keys_all_targets_get_some():
    async def scenario(client, targets):
        results = client.map(({"a": number} for number in range(60)), concurrency=4)
        assert [result.output async for result in results] == [[number] for number in range(60)]
        assert min(taken(targets)) > 5

    run({"x": 1, "y": 1}, scenario, sticky="user")


@pytest.mark.parametrize(
    ("sticky", "key"),
    [
        (None, None),
        ("user", "ann"),
        ("number", "7"),
        ("many", '{"a": 1, "b": 2}'),
        ("nobody", None),
        (lambda inputs: None, None),
        (lambda inputs: inputs["user"][:1], "a"),
    ],
)
def test_any_value_makes_a_key(sticky, key):
    assert key_of({"user": "ann", "number": 7, "many": {"b": 2, "a": 1}}, sticky) == key


@pytest.mark.parametrize("trouble", [UNREACHED, TargetBusyError("full"), SetupFailedError("no such module")])
def test_a_target_that_cannot_take_it_is_passed_over(trouble):
    async def scenario(client, targets):
        assert (await client.run({"a": 1})).output == [1]
        assert [chunk async for chunk in client.stream({"a": 2})] == [2]
        assert (await (await client.submit({"a": 3})).wait()).output == [3]
        assert [len(targets[name].seen) for name in "xyz"] == [0, 0, 3]

    run({"x": 1}, scenario, fallback=("y", "z"), downs={"x": trouble, "y": trouble})


@pytest.mark.parametrize(
    "trouble", [BROKEN, TargetMissingError("gone"), TargetAuthError("who?"), InputError("a", "no")]
)
def test_what_may_have_begun_or_is_wrong_everywhere_is_never_run_elsewhere(trouble):
    async def scenario(client, targets):
        with pytest.raises(type(trouble)):
            await client.run({"a": 1})
        with pytest.raises(type(trouble)):
            [chunk async for chunk in client.stream({"a": 1})]
        with pytest.raises(type(trouble)):
            await client.submit({"a": 1})
        assert targets["y"].seen == []

    run({"x": 1}, scenario, fallback=["y"], downs={"x": trouble})


def test_what_may_run_twice_is_run_elsewhere():
    async def scenario(client, targets):
        assert (await client.run({"a": 1})).output == [1]
        assert len(targets["y"].seen) == 1

    run({"x": 1}, scenario, fallback=["y"], repeatable=True, downs={"x": BROKEN})


@pytest.mark.parametrize("repeatable", [False, True])
def test_a_target_that_does_not_begin_in_time_is_cancelled_and_another_one_asked_if_it_may_run_twice(repeatable):
    async def scenario(client, targets):
        targets["x"].beginning.clear()
        if repeatable:
            assert (await client.run({"a": 1})).output == [1]
        else:
            with pytest.raises(DeadlineError, match="did not begin"):
                await client.run({"a": 1})
        assert len(targets["y"].seen) == repeatable

    settings = {"timeouts": Timeouts(wait_s=0.05)}
    run({"x": 1}, scenario, fallback=["y"], repeatable=repeatable, settings=settings)


@pytest.mark.parametrize(
    ("error", "once", "twice"),
    [
        (TargetBusyError("full"), True, True),
        (SetupFailedError("no"), True, True),
        (UNREACHED, True, True),
        (BROKEN, False, True),
        (DeadlineError("late", phase="wait"), False, True),
        (DeadlineError("late", phase="total"), False, False),
        (DeadlineError("late", phase="predict"), False, False),
        (PredictionFailedError("boom"), False, False),
        (TargetAuthError("who?"), False, False),
        (asyncio.CancelledError(), False, False),
    ],
)
def test_which_failures_are_a_reason_to_go_elsewhere(error, once, twice):
    assert may_go_elsewhere(error, repeatable=False) is once
    assert may_go_elsewhere(error, repeatable=True) is twice


def test_the_last_fallback_says_what_is_wrong():
    async def scenario(client, targets):
        with pytest.raises(TargetBusyError, match="also full"):
            await client.run({"a": 1})

    run({"x": 1}, scenario, fallback=["y"], downs={"x": UNREACHED, "y": TargetBusyError("also full")})


def test_fallbacks_share_the_time():
    async def scenario(client, targets):
        targets["y"].worker.hold()
        with pytest.raises(DeadlineError, match=r"within 0\.[0-4]"):
            await client.run({"a": 1}, timeout_s=0.5)
        assert targets["y"].deadlines[0] < 0.5

    run({"x": 1}, scenario, fallback=["y"], downs={"x": UNREACHED})


def test_a_prediction_that_fails_is_an_answer():
    async def scenario(client, targets):
        targets["x"].worker.answer = None  # what it calls for its answer
        with pytest.raises(PredictionFailedError):
            await client.run({"a": 1})
        assert targets["y"].seen == []

    run({"x": 1}, scenario, fallback=["y"], repeatable=True)


def test_shadows_neither_slow_nor_fail_anybody():
    async def scenario(client, targets):
        targets["slow"].worker.hold()
        for _ in range(MAX_SHADOWS + 5):
            assert (await client.run({"a": 1})).output == [1]
        await until(lambda: client.shadows.failed > 0)
        counts = client.shadows
        assert targets["slow"].worker.running <= MAX_SHADOWS
        assert counts.sent + counts.dropped == 2 * (MAX_SHADOWS + 5)
        assert counts.dropped > 0
        assert [one["a"] for one in targets["slow"].seen] == [1] * len(targets["slow"].seen)

    run({"x": 1}, scenario, shadow={"slow": 1, "broken": 1}, downs={"broken": UNREACHED})


def test_a_shadow_sees_what_was_accepted_once_and_nothing_else():
    async def scenario(client, targets):
        await client.run({"a": 1})
        assert [chunk async for chunk in client.stream({"a": 2})] == [2]
        await (await client.submit({"a": 3})).wait()
        targets["y"].down = TargetBusyError("full")
        with pytest.raises(TargetBusyError):
            await client.run({"a": 4})
        await until(lambda: len(targets["copy"].seen) == 3)
        assert client.shadows.sent == 3

    run({"x": 1}, scenario, fallback=["y"], shadow="copy", downs={"x": UNREACHED})


def test_an_open_file_is_whole_for_everybody_who_gets_a_copy():
    async def scenario(client, targets):
        await client.run({"a": io.BytesIO(b"hi")})
        await until(lambda: targets["copy"].seen)
        for name in ("y", "copy"):
            assert targets[name].seen[0]["a"] == "data:application/octet-stream;base64,aGk="

    run({"x": 1}, scenario, fallback=["y"], shadow="copy", downs={"x": UNREACHED})


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"fallback": "nothing"}, UsageError, "target 'nothing'"),
        ({"shadow": {"y": 2}}, ConfigError, "shadow y"),
        ({"shadow": "x"}, ConfigError, "shadow of itself"),
    ],
)
def test_what_is_no_split_is_refused(settings, error, words):
    async def scenario():
        with pytest.raises(error, match=words):
            AsyncSplitClient({"x": 1}, each={"x": {"target": FakeConnection()}}, **settings)

    asyncio.run(scenario())


def test_the_blocking_front_does_the_same():
    each = {name: {"target": FakeConnection()} for name in ("x", "y", "copy")}
    each["x"]["target"].down = UNREACHED
    with SplitClient({"x": 1}, fallback=["y"], shadow="copy", sticky="a", each=each) as client:
        assert client.route({"a": 1}).target == "x"
        assert client.run({"a": 1}).output == [1]
        assert list(client.stream({"a": 2})) == [2]
        assert client.submit({"a": 3}).wait().output == [3]
        assert [result.output for result in client.map({"a": number} for number in (4, 5))] == [[4], [5]]
        assert client.shadows.sent == 5
    assert [one["a"] for one in each["y"]["target"].seen] == [1, 2, 3, 4, 5]
    with pytest.raises(UsageError, match="closed"):
        client.run({"a": 1})


class LosingApi:
    """Replicate's API: it accepts a prediction, and is too busy to say what becomes of it."""

    def __init__(self):
        self.accepted = 0
        self.canceled = 0
        self.app = Starlette(
            routes=[
                Route("/v1/models/me/m/predictions", self.create, methods=["POST"]),
                Route("/v1/predictions/p", self.get),
                Route("/v1/predictions/p/cancel", self.cancel, methods=["POST"]),
            ]
        )

    async def create(self, request):
        self.accepted += 1
        return JSONResponse({"id": "p", "status": "starting"}, 201)

    async def get(self, request):
        return JSONResponse({"detail": "slow down"}, 429)

    async def cancel(self, request):
        self.canceled += 1
        return JSONResponse({"id": "p", "status": "canceled"})


def test_what_was_accepted_and_got_out_of_sight_is_not_run_elsewhere():
    api, other = LosingApi(), FakeConnection()
    with on_a_thread(api.app) as url:
        each = {"fake": {"target": other}}
        settings = {"retry": Retry(tries=2, base_s=0.0), "check": False}
        client = SplitClient({f"gateway:{url}/me/m": 1}, fallback=["fake"], each=each, **settings)
        with client, pytest.raises(TargetUnavailableError, match=r"cannot be followed: .*slow down"):
            client.run({"a": 1})
    assert (api.accepted, api.canceled, other.seen) == (1, 1, [])


@pytest.mark.parametrize("kind", ["cog", "gateway"])
def test_an_address_where_nobody_is_is_passed_over(kind):
    with SplitClient(
        {f"{kind}:http://127.0.0.1:9": 1}, fallback=["y"], each={"y": {"target": FakeConnection()}}
    ) as one:
        assert one.run({"a": 1}).output == [1]


def test_a_schema_that_cannot_be_had_is_no_prediction_that_has_begun():
    async def broken(request):
        return JSONResponse({"detail": "bad gateway"}, 502)

    with (
        on_a_thread(Starlette(routes=[Route("/{path:path}", broken, methods=["GET", "POST"])])) as url,
        SplitClient({f"gateway:{url}": 1}, fallback=["y"], each={"y": {"target": FakeConnection()}}) as client,
    ):
        assert client.run({"a": 1}).output == [1]

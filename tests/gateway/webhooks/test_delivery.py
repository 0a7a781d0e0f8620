"""Webhooks from a gateway to a real receiver, and what its caller may ask for."""

import asyncio
import itertools

import pytest
from replicate.webhook import Webhooks, WebhookSigningSecret

from pilotlight.gateway import BackgroundServices, EgressClient, EgressPolicy
from pilotlight.gateway.webhooks import outbox
from tests.gateway.made import Fakes, opened, run, served, until
from tests.gateway.receiver import answer, receiving

NETWORKS = ("127.0.0.1",)
HERE = EgressPolicy.of(NETWORKS)
URL = "/v1/models/local/model1/predictions"


def with_receiver(path, scenario, **options):
    async def whole():
        async with receiving() as receiver, served(path, allow_networks=NETWORKS, **options) as client:
            return await scenario(client, receiver)

    return run(whole())


async def create(client, receiver, *events, prompt="a", hook="/hook", **body):
    if events:
        body["webhook_events_filter"] = list(events)
    answer = await client.post(URL, json={"input": {"prompt": prompt}, "webhook": receiver.url(hook), **body})
    assert answer.status_code == 201
    return answer.json()


async def nothing_owed(client, table="hooks"):
    """Waits until no webhook is left in the database, or no deadline."""
    sql = f"SELECT count(*) FROM {table}"
    while await client.gateway.store.run(lambda db: db.execute(sql).fetchone()[0]):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)


def statuses(received):
    return [one.json["status"] for one in received]


def test_a_prediction_is_told_from_its_start_to_its_end_and_signed(tmp_path):
    fakes = Fakes(answer=lambda inputs: ["one", "two"])
    fakes.hold()

    async def scenario(client, receiver):
        shown = await create(client, receiver, "start", "output", "logs", "completed")
        await receiver.until(lambda received: received and received[-1].json["output"] == ["one", "two"])
        fakes.release()
        await receiver.until(lambda received: statuses(received)[-1] == "succeeded")
        told = [one.json for one in receiver.received]
        assert (told[0]["status"], told[0]["output"]) == ("processing", None)
        assert told[-1] == (await client.get(shown["urls"]["get"])).json()
        assert {one["id"] for one in told} == {shown["id"]}
        assert len({one.headers["webhook-id"] for one in receiver.received}) == len(told)
        key = (await client.get("/v1/webhooks/default/secret")).json()
        for one in receiver.received:
            Webhooks.validate(headers=one.headers, body=one.body.decode(), secret=WebhookSigningSecret(**key))

    with_receiver(tmp_path, scenario, fakes=fakes)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["completed"], ["succeeded"]),
        (["start"], ["processing"]),
        (["start", "completed"], ["processing", "succeeded"]),
    ],
)
def test_only_what_is_asked_for_is_sent(tmp_path, events, expected):
    async def scenario(client, receiver):
        await create(client, receiver, *events)
        await receiver.until(lambda received: len(received) == len(expected))
        await nothing_owed(client)
        assert statuses(receiver.received) == expected

    with_receiver(tmp_path, scenario)


def test_who_asks_for_output_alone_gets_all_of_it(tmp_path):
    async def scenario(client, receiver):
        await create(client, receiver, "output")
        await nothing_owed(client)
        assert receiver.received[-1].json["output"] == ["a"]

    with_receiver(tmp_path, scenario)


def test_the_old_way_to_ask_is_for_the_end_alone(tmp_path):
    async def scenario(client, receiver):
        body = {"input": {"prompt": "a"}, "webhook_completed": receiver.url()}
        assert (await client.post(URL, json=body)).status_code == 201
        await nothing_owed(client)
        assert statuses(receiver.received) == ["succeeded"]

    with_receiver(tmp_path, scenario)


@pytest.mark.parametrize("refusal", [answer(500), answer(302, Location="/hook"), b"no HTTP\r\n\r\n"])
def test_the_end_is_sent_again_with_the_same_id_until_it_is_taken(tmp_path, refusal):
    async def scenario(client, receiver):
        receiver.answers["/hook"] = refusal
        await create(client, receiver, "completed")
        await receiver.until(lambda received: len(received) == 1)
        del receiver.answers["/hook"]
        await nothing_owed(client)
        first, second = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body

    with_receiver(tmp_path, scenario)


def test_a_receiver_that_never_answers_delays_neither_predictions_nor_others(tmp_path):
    async def scenario(client, receiver):
        receiver.open.clear()
        async with receiving() as other:
            # More than may be on their way to one receiver at a time, and each with its start still unanswered.
            shown = [await create(client, receiver, prompt=str(n)) for n in range(30)]
            for one in shown:
                await until(lambda one=one: client.gateway.active(one["id"]) is None)
            await create(client, other, "completed")
            await other.until(lambda received: len(received) == 1)
        receiver.open.set()

    with_receiver(tmp_path, scenario)


def test_the_events_of_each_prediction_come_in_order(tmp_path):
    async def scenario(client, receiver):
        shown = [await create(client, receiver, prompt=str(n)) for n in range(20)]
        await nothing_owed(client)
        by_id = {one["id"]: [] for one in shown}
        for one in receiver.received:
            by_id[one.json["id"]].append(one.json)
        for told in by_id.values():
            assert told[0]["status"] == "processing"
            assert told[-1]["status"] == "succeeded"
            assert all(len(a["output"] or ()) <= len(b["output"] or ()) for a, b in itertools.pairwise(told))

    with_receiver(tmp_path, scenario)


def test_a_cancelled_prediction_that_never_ran_has_one_event(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client, receiver):
        await create(client, receiver, "completed", prompt="runs")
        waits = await create(client, receiver)
        await client.post(waits["urls"]["cancel"])
        await receiver.until(lambda received: len(received) == 1)
        assert (receiver.received[0].json["id"], statuses(receiver.received)) == (waits["id"], ["canceled"])

    with_receiver(tmp_path, scenario, fakes=fakes)


def test_the_next_gateway_delivers_what_this_one_could_not(tmp_path):
    """tests/cog/test_webhooks_live.py does the same with kill -9."""

    async def scenario():
        fakes = Fakes()
        async with receiving() as receiver:
            receiver.answers["/hook"] = answer(503)
            async with served(tmp_path, allow_networks=NETWORKS) as client:
                ended = await create(client, receiver, "completed")
                await receiver.until(lambda received: len(received) == 1)
            fakes.hold()
            async with served(tmp_path, allow_networks=NETWORKS, fakes=fakes) as client:
                await receiver.until(lambda received: len(received) == 2)
                runs = await create(client, receiver, "completed")
                await until(lambda: client.gateway.active(runs["id"]).record.output)
            receiver.answers.clear()
            async with served(tmp_path, allow_networks=NETWORKS) as client:
                await nothing_owed(client)
            told = {(one.json["id"], one.json["status"]): one.headers["webhook-id"] for one in receiver.received}
            assert set(told) == {(ended["id"], "succeeded"), (runs["id"], "failed")}
            assert {one.headers["webhook-id"] for one in receiver.received} == set(told.values())

    run(scenario())


def test_what_is_not_taken_for_a_day_is_given_up(tmp_path):
    now = [1000.0]

    async def scenario():
        async with (
            receiving() as receiver,
            EgressClient(HERE) as egress,
            opened(tmp_path, clock=lambda: now[0]) as gateway,
        ):
            receiver.answers["/hook"] = answer(500)
            dispatcher = BackgroundServices(gateway, None, egress).dispatcher
            live = await gateway.create(gateway.versions[0], {"prompt": "a"})
            await live.wait_ended()
            subscription = dispatcher.subscription(live.id, receiver.url(), None, "http://gateway")
            assert subscription.events == ("output", "completed")  # without a filter, as Replicate has it
            box = outbox.Outbox(gateway.store)
            await gateway.store.run(lambda db: outbox.insert(db, subscription))
            await box.ended(live.id, now[0])
            attempts = 0
            while (claimed := await box.claim(now[0], []))[0] is not None or claimed[1] is not None:
                if claimed[0] is None:
                    now[0] = claimed[1]
                    continue
                attempts += 1
                assert (claimed[0].attempts, claimed[0].delivery) == (attempts - 1, subscription.delivery)
                await box.failed(claimed[0], now[0])
            assert 23.5 * 3600 < now[0] - 1000 <= 24 * 3600
            assert 90 < attempts < 120

    run(scenario())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"webhook": "http://127.0.0.2/"}, "webhook: 127.0.0.2 is not a public address"),
        ({"webhook": "http://169.254.169.254/latest"}, "--allow-private-urls"),
        ({"webhook": "ftp://example.com/"}, "not an http or https URL"),
        ({"webhook": "https://example.com", "webhook_events_filter": ["begin"]}, "webhook_events_filter.0"),
        ({"webhook": "https://example.com", "webhook_events_filter": []}, "webhook_events_filter"),
        ({"webhook": "https://example.com", "webhook_completed": "https://example.com"}, "leave one out"),
    ],
)
def test_what_could_not_be_sent_is_refused_at_once(tmp_path, body, words):
    async def scenario(client, _):
        answer = await client.post(URL, json={"input": {"prompt": "a"}, **body})
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True)
        assert (await client.get("/v1/predictions")).json()["results"] == []

    with_receiver(tmp_path, scenario)


def test_a_filter_without_a_webhook_changes_nothing(tmp_path):
    async def scenario(client, _):
        body = {"input": {"prompt": "a"}, "webhook_events_filter": ["start"], "webhook": None}
        assert (await client.post(URL, json=body)).status_code == 201

    with_receiver(tmp_path, scenario)


def test_the_secret_stays_the_same(tmp_path):
    async def scenario():
        keys = []
        for _ in range(2):
            async with served(tmp_path) as client:
                keys.append((await client.get("/v1/webhooks/default/secret")).json()["key"])
        assert keys[0] == keys[1]
        assert keys[0].startswith("whsec_")

    run(scenario())


@pytest.mark.parametrize("header", ["5", "5.5", "90s", "1h30m", "1h 30m", "1d"])
def test_a_deadline_is_taken(tmp_path, header):
    async def scenario(client, _):
        answer = await client.post(URL, json={"input": {"prompt": "a"}}, headers={"Cancel-After": header})
        assert answer.status_code == 201
        await until(lambda: client.gateway.active(answer.json()["id"]) is None)

    with_receiver(tmp_path, scenario)


@pytest.mark.parametrize("header", ["", "4s", "25h", "soon", "-5", "9" * 30])
def test_what_is_no_deadline_is_refused(tmp_path, header):
    async def scenario(client, _):
        answer = await client.post(URL, json={"input": {"prompt": "a"}}, headers={"Cancel-After": header})
        assert (answer.status_code, "such as 90s" in answer.json()["detail"]) == (400, True)

    with_receiver(tmp_path, scenario)


def test_what_takes_too_long_is_cancelled_also_by_the_next_gateway(tmp_path):
    """The clock stands still, so that the first gateway never finds the time to be over."""
    fakes = Fakes()
    fakes.hold()

    async def scenario():
        async with served(tmp_path, fakes=fakes, clock=lambda: 1000.0) as client:
            await client.post(URL, json={"input": {"prompt": "runs"}})
            headers = {"Cancel-After": "60"}
            waits = (await client.post(URL, json={"input": {"prompt": "a"}}, headers=headers)).json()
        async with served(tmp_path, fakes=fakes, clock=lambda: 1059.99) as client:
            live = client.gateway.active(waits["id"])
            assert await live.wait_ended(30)
            assert str(live.record.status) == "canceled"
            await nothing_owed(client, "deadlines")

    run(scenario())

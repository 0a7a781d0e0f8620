"""OpenAI's routes and OpenAI's own client, with fake workers. Real ones are in tests/cog/test_openai_live.py."""

import asyncio
import contextlib
import json

import httpx2
import openai
import pytest

from pilotlight.types import Status
from tests.gateway.made import DOCUMENT, Fakes, Limits, ended, made_version, run, served, until

URL = "/openai/v1/completions"
CHAT_URL = "/openai/v1/chat/completions"
NUMBERS = {"components": {"schemas": {**DOCUMENT["components"]["schemas"], "Output": {"type": "integer"}}}}


def over_http(path, scenario, **options):
    async def whole():
        async with served(path, **options) as client:
            return await scenario(client)

    return run(whole())


@contextlib.asynccontextmanager
async def openais(client, **options):
    """Their client, of that gateway."""
    settings = {"api_key": "any", "max_retries": 0, **options}
    async with openai.AsyncOpenAI(base_url=f"{client.base_url}/openai/v1", **settings) as theirs:
        yield theirs


def events_of(text):
    return [block.removeprefix("data: ") for block in text.strip().split("\n\n")]


def gauges(client):
    return client.gateway.pool(client.gateway.versions[0]).gauges


def test_a_model_is_found_by_its_name(tmp_path):
    versions = [made_version(1, document=NUMBERS), made_version(2), made_version(3)]

    async def scenario(client):
        async with openais(client) as theirs:
            listed = [model.id async for model in theirs.models.list()]
            assert listed == ["local/model2", "local/model3"]
            assert (await theirs.models.retrieve("local/model3")).owned_by == "local"
            for path, found in (("/", "list"), ("/local/model3/", "model"), ("/local/model3", "model")):
                answer = await client.get(f"/openai/v1/models{path}", follow_redirects=True)
                assert answer.json()["object"] == found
            found = await theirs.completions.create(model="local/model3", prompt="a")
            assert (found.model, found.choices[0].text) == ("local/model3", "a")
            with pytest.raises(openai.NotFoundError, match="no model 'gpt-9' here; there is local/model2") as caught:
                await theirs.completions.create(model="gpt-9", prompt="a")
            assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        first = (await client.post(URL, json={"prompt": "a"})).json()
        assert first["model"] == "local/model2"

    over_http(tmp_path, scenario, versions=versions)


def test_a_stream_is_openais_events_up_to_done(tmp_path):
    fakes = Fakes(answer=lambda inputs: ["one\u2028", "two"])

    async def scenario(client):
        # As guidellm and aiperf ask.
        options = {"include_usage": True, "continuous_usage_stats": True}
        body = {"prompt": "a", "stream": True, "stream_options": options}
        answer = await client.post(URL, json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        *events, done = events_of(answer.text)
        assert done == "[DONE]"
        chunks = [json.loads(event) for event in events]
        texts = [[choice["text"] for choice in chunk["choices"]] for chunk in chunks]
        assert texts == [
            ["one\u2028"],
            ["two"],
            [""],
            [],
        ]
        assert [chunk["usage"] for chunk in chunks] == [None] * 4
        assert chunks[2]["choices"][0]["finish_reason"] == "stop"
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert answer.headers["x-request-id"] in chunks[0]["id"]
        assert "\u2028" not in answer.text

    over_http(tmp_path, scenario, fakes=fakes)


def test_an_output_in_one_piece_or_none_is_streamed_too(tmp_path):
    fakes = Fakes(answer=lambda inputs: [])

    async def scenario(client):
        answer = await client.post(CHAT_URL, json={"messages": HELLO, "stream": True})
        first, last, done = events_of(answer.text)
        assert json.loads(first)["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert json.loads(last)["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
        assert done == "[DONE]"
        assert "usage" not in json.loads(last)

    over_http(tmp_path, scenario, fakes=fakes)


HELLO = [{"role": "user", "content": "hello"}]


def spelled(inputs):
    return list(inputs["prompt"])


@pytest.mark.parametrize("count", [1, 2])
def test_each_choice_of_a_request_is_a_prediction(tmp_path, count):
    prompts = ["ab", "cd"][:count]

    async def scenario(client):
        async with openais(client) as theirs:
            asked = {"model": "local/model1", "prompt": prompts, "n": count}
            answer = await theirs.completions.create(**asked)
            expected = ["ab", "ab", "cd", "cd"] if count == 2 else ["ab"]
            assert [choice.text for choice in answer.choices] == expected
            assert [choice.index for choice in answer.choices] == list(range(len(expected)))
            texts, ends, names = [""] * len(expected), [], set()
            async for chunk in await theirs.completions.create(**asked, stream=True):
                (choice,) = chunk.choices
                texts[choice.index] += choice.text
                ends += [choice.index] if choice.finish_reason == "stop" else []
                names.add(chunk.id)
            assert (texts, sorted(ends), len(names)) == (expected, list(range(len(expected))), 1)
            answer = await theirs.chat.completions.create(model="local/model1", messages=HELLO, n=count)
            assert [choice.message.content for choice in answer.choices] == ["hello"] * count
        assert ended(client.gateway, Status.SUCCEEDED) == 2 * len(expected) + count

    over_http(tmp_path, scenario, fakes=Fakes(answer=spelled))


@pytest.mark.parametrize("stream", [False, True])
def test_choices_are_accepted_and_fail_together(tmp_path, stream):
    fakes = Fakes(answer=lambda inputs: fails(inputs) if inputs["prompt"] == "bad" else [inputs["prompt"]])
    fakes.hold()

    async def scenario(client):
        async with openais(client) as theirs:
            asked = {"model": "local/model1", "stream": stream}
            first = asyncio.create_task(theirs.completions.create(**asked, prompt=["a", "b", "c"]))
            await until(lambda: gauges(client).waiting == 2)
            with pytest.raises(openai.RateLimitError):
                await theirs.completions.create(**asked, prompt=["d", "e"])
            await until(lambda: ended(client.gateway, Status.CANCELED) == 1)
            fakes.release()
            answer = await first
            assert {chunk.choices[0].text async for chunk in answer} >= {"a", "b", "c"} if stream else answer.choices
            fakes.hold()
            with pytest.raises(openai.InternalServerError, match="boom"):
                await theirs.completions.create(**asked, prompt=["bad", "b", "c"])
            await until(lambda: ended(client.gateway, Status.CANCELED) == 3)
        assert (ended(client.gateway, Status.SUCCEEDED), ended(client.gateway, Status.FAILED)) == (3, 1)

    over_http(tmp_path, scenario, fakes=fakes, limits=Limits(max_waiting=3))


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_that_the_model_cannot_be_told_cuts_the_text(tmp_path, stream):
    schemas = DOCUMENT["components"]["schemas"]
    inputs = {**schemas["Input"]["properties"], "stop_sequences": {"type": "string"}}
    document = {"components": {"schemas": {**schemas, "Input": {"properties": inputs}}}}

    async def scenario(client):
        async with openais(client) as theirs:
            for prompt, text in (("ab, c", "ab"), (", c", ""), ("ab,", "ab,")):
                asked = {"model": "local/model1", "prompt": prompt, "stop": [", ", "x"], "stream": stream}
                answer = await theirs.completions.create(**asked)
                chunks = [chunk async for chunk in answer] if stream else [answer]
                assert "".join(chunk.choices[0].text for chunk in chunks) == text
                assert chunks[-1].choices[0].finish_reason == "stop"

    over_http(tmp_path, scenario, versions=[made_version(document=document)], fakes=Fakes(answer=spelled))


def fails(inputs):
    raise ValueError("boom")


def misled(inputs):
    raise type("InputError", (Exception,), {})("prompt: says nothing")


@pytest.mark.parametrize(
    ("answer", "sort", "words", "param"),
    [
        (fails, openai.InternalServerError, "failed: ValueError: boom", None),
        (misled, openai.BadRequestError, "prompt: says nothing", "messages"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_any_text_has_a_status_and_is_not_asked_again(tmp_path, answer, sort, words, param, stream):
    fakes = Fakes(answer=answer)

    async def scenario(client):
        async with openais(client, max_retries=2) as theirs:
            with pytest.raises(sort, match=words) as caught:
                await theirs.chat.completions.create(model="local/model1", messages=HELLO, stream=stream)
        assert caught.value.param == param
        assert len(fakes.made[0].served) == 1

    over_http(tmp_path, scenario, fakes=fakes)


def test_what_fails_after_some_text_is_an_event(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        async with openais(client) as theirs:
            stream = await theirs.completions.create(model="local/model1", prompt="a", stream=True)
            async for chunk in stream:
                assert chunk.choices[0].text == "a"
                break
            fakes.made[0].crash()
            with pytest.raises(openai.APIError, match="the fake has crashed"):
                async for _ in stream:
                    pass

    over_http(tmp_path, scenario, fakes=fakes)


@pytest.mark.parametrize(
    ("url", "body", "param", "words"),
    [
        (URL, {"prompt": 1}, "prompt", "- prompt.str: Input should be a valid string"),
        (URL, {"prompt": "a", "count": 10}, "count", "count: 10 is greater than the maximum of 9"),
        (URL, {"prompt": "a", "n": True}, "n", "- n: Input should be a valid integer"),
        (URL, {"prompt": "a", "temperature": 2}, "temperature", "temperature: this model has no input"),
        (URL, {"prompt": ["a"] * 101}, "prompt", "101 texts, but up to 100 can wait"),
        (URL, {"prompt": "a", "n": 101}, "n", "101 texts, but up to 100 can wait"),
        (URL, [], None, "- body: Input should be a valid dictionary"),
        (CHAT_URL, {"messages": []}, "messages", "at least 1 item"),
        (CHAT_URL, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "'image_url'"),
    ],
)
def test_a_wrong_body_is_400_in_openais_shape(tmp_path, url, body, param, words):
    async def scenario(client):
        answer = await client.post(url, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
        assert words in error["message"]

    over_http(tmp_path, scenario)


def test_a_full_queue_and_a_wrong_token_are_openais_errors(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        async with openais(client, api_key="t") as theirs, asyncio.TaskGroup() as group:
            asked = {"model": "local/model1", "prompt": "a"}
            first = group.create_task(theirs.completions.create(**asked))
            await until(lambda: gauges(client).running == 1)
            second = group.create_task(theirs.completions.create(**asked))
            await until(lambda: gauges(client).waiting == 1)
            with pytest.raises(openai.RateLimitError) as caught:
                await theirs.completions.create(**asked)
            assert caught.value.response.headers["retry-after"] == "1"
            fakes.release()
            assert [(await task).choices[0].text for task in (first, second)] == ["a", "a"]
        async with openais(client, api_key="wrong") as theirs:
            with pytest.raises(openai.AuthenticationError):
                await theirs.models.list()
        assert (await client.get("/openai/health")).json()["status"] == "ready"

    over_http(tmp_path, scenario, fakes=fakes, limits=Limits(max_waiting=1), token="t")


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_leaves_cancels(tmp_path, stream):
    fakes = Fakes(answer=lambda inputs: [inputs["prompt"]])
    fakes.hold()

    async def scenario(client):
        async def ask():
            body = {"prompt": "a", "stream": stream}
            async with client.stream("POST", URL, json=body) as answer:
                with contextlib.suppress(httpx2.HTTPError):
                    await answer.aread()

        asking = asyncio.create_task(ask())
        await until(lambda: gauges(client).running == 1)
        waiting = asyncio.create_task(ask())
        await until(lambda: gauges(client).waiting == 1)
        asking.cancel()
        waiting.cancel()
        await until(lambda: ended(client.gateway, Status.CANCELED) == 2)

    over_http(tmp_path, scenario, fakes=fakes)


def test_somebody_else_may_cancel_it(tmp_path):
    fakes = Fakes()
    fakes.hold()

    async def scenario(client):
        asking = asyncio.create_task(client.post(URL, json={"prompt": "a"}))
        await until(lambda: gauges(client).running == 1)
        (shown,) = (await client.get("/v1/predictions")).json()["results"]
        await client.post(shown["urls"]["cancel"])
        answer = await asking
        assert (answer.status_code, answer.headers["x-should-retry"]) == (409, "false")

    over_http(tmp_path, scenario, fakes=fakes)

"""OpenAI's own client, unmodified, of a gateway with real Cog servers."""

import openai
import pytest

from tests.cog.gateway_process import gateway_process, wait_until

ASKED = {"model": "local/run_chat"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateway_process(tmp_path_factory.mktemp("home"), "run_chat") as process:
        yield process


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key="any", max_retries=0) as client:
        yield client


def turns(*texts):
    roles = ["user", "assistant"] * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def test_completions(client):
    found = client.completions.create(**ASKED, prompt="one two three", max_tokens=2, temperature=0, stop="four")
    (choice,) = found.choices
    assert (choice.text, choice.finish_reason) == ("one two ", "length")
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (3, 2, 5)


def test_completions_as_they_come(client):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = client.completions.create(**ASKED, prompt="one two three", stop=["three", "x"], **options)
    assert [chunk.choices[0].text for chunk in chunks] == ["one ", "two ", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert (last.choices, last.usage.total_tokens) == ([], 5)


def test_choices_of_several_prompts(client):
    found = client.completions.create(
        **ASKED, prompt=["one two", "three"], n=2, extra_body={"max_completion_tokens": 1}
    )
    assert [choice.text for choice in found.choices] == ["one ", "one ", "three ", "three "]
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3, 4)


def test_chat(client):
    found = client.chat.completions.create(**ASKED, messages=turns("a", "b", "c d"), max_completion_tokens=1)
    (choice,) = found.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "c ", "length")
    echoed = [*turns("a"), choice.message.model_dump(), *turns("again")]
    assert client.chat.completions.create(**ASKED, messages=echoed).choices[0].message.content == "again "


def test_chat_as_it_comes_and_put_together_by_the_client(client):
    with client.chat.completions.stream(
        **ASKED, messages=turns("one two"), stream_options={"include_usage": True}
    ) as stream:
        said = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion()
    assert said == ["one ", "two "]
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("one two ", "stop")
    assert whole.usage.completion_tokens == 2


def test_errors_are_the_clients_own(client):
    with pytest.raises(openai.BadRequestError, match=r"temperature: .* greater than the maximum of 5") as caught:
        client.completions.create(**ASKED, prompt="a", temperature=9)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.BadRequestError, match="messages: the last one has to be the user's") as caught:
        client.chat.completions.create(**ASKED, messages=turns("a", "b"))
    assert caught.value.param == "messages"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="local/other", prompt="a")
    with pytest.raises(openai.InternalServerError, match="boom"):
        client.completions.create(**ASKED, prompt="boom")
    with pytest.raises(openai.APIError, match="boom"):
        list(client.completions.create(**ASKED, prompt="one boom", stream=True))


def test_a_stream_that_is_closed_cancels_its_prediction(client, gateway):
    replicate = gateway.client()
    stream = client.completions.create(**ASKED, prompt="one two", stream=True, extra_body={"pause_s": 60})
    first = next(iter(stream))
    stream.close()
    prediction = replicate.predictions.get(first.id.removeprefix("cmpl-"))
    wait_until(lambda: prediction.reload() or prediction.status == "canceled")

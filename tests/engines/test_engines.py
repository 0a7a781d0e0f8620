"""What every real engine promises, held to by each of them on the same tiny model.

Torch with continuous batching, torch one at a time, OpenVINO (batching, its first stage alone, both in turn) and
onnxruntime: whoever adds an engine adds it to the fixtures below.

``PILOTLIGHT_MIXED_REQUESTS=1000`` makes the mixed crowd as large as that.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
from pilotlight.engines.select import open_artifact
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.fake import FakeEngine
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.protocol import Engine
from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.errors import EngineBusyError, EngineError, EngineStoppedError, InputError
from tests.engines.exported import exported_model, staged_model
from tests.engines.exported_onnx import onnx_model
from tests.models import tiny_model

# The first run makes the exporter's environment and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

Opener = Callable[[int, int], BackendEngine]
PENALIZED_TOKENS = 24
WAIT_S = 120.0
STOPS = ("two", " t", "\n", "e", "ne t")
KINDS = ("continuous", "serial", "openvino", "first", "staged", "onnx")
MAKERS = {"onnx": onnx_model, "first": staged_model, "staged": staged_model}
MIXED_REQUESTS = int(os.environ.get("PILOTLIGHT_MIXED_REQUESTS") or 120)


@pytest.fixture(scope="module", params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    """Opens another engine of the kind, with so many slots and places to wait."""
    make = MAKERS.get(request.param, exported_model)
    model, artifact = make("llama", tmp_path_factory.mktemp("llama"))

    def torch_engine(slots: int, queue_size: int) -> BackendEngine:
        serial = request.param == "serial"
        return TorchEngine(model, device="cpu", dtype="float32", slots=slots, queue_size=queue_size, serial=serial)

    def exported_engine(slots: int, queue_size: int) -> BackendEngine:
        return open_artifact(
            model, artifact, slots=slots, queue_size=queue_size, staged="1" if request.param == "staged" else "0"
        )

    def first_stage(slots: int, queue_size: int) -> BackendEngine:
        return OpenVINOEngine(model, artifact, slots=slots, queue_size=queue_size, stages=Stages.FIRST)

    if request.param == "first":
        return first_stage
    return torch_engine if request.param in ("continuous", "serial") else exported_engine


@pytest.fixture(scope="module")
def engine(opener: Opener) -> Iterator[BackendEngine]:
    engine = opener(4, 4)
    yield engine
    engine.close()


def greedy(prompt: str, max_tokens: int, **sampling: object) -> GenerationRequest:
    return GenerationRequest(prompt, Sampling(temperature=0, max_tokens=max_tokens, **sampling))  # type: ignore[arg-type]


def test_a_seed_gives_the_same_text_alone_and_in_any_company(engine: BackendEngine) -> None:
    request = GenerationRequest("one two", Sampling(seed=7, max_tokens=40, temperature=1.0))
    alone = engine.submit(request).text()
    others = [engine.submit(GenerationRequest("x", Sampling(seed=n, max_tokens=60))) for n in range(3)]
    assert engine.submit(request).text() == alone
    for other in others:
        other.text()
    different = GenerationRequest("one two", Sampling(seed=8, max_tokens=40, temperature=1.0))
    assert engine.submit(different).text() != alone


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    """The model of every engine here, by transformers itself."""
    return AutoModelForCausalLM.from_pretrained(tiny_model("llama", tmp_path_factory.mktemp("network")))


@cache
def by_hand(
    network: PreTrainedModel, prompt_ids: tuple[int, ...], repetition: float, presence: float, frequency: float
) -> list[int]:
    """What greedy decoding chooses, from the model's own scores and the words of ``Sampling``, token by token."""
    output: list[int] = []
    for _ in range(PENALIZED_TOKENS):
        with torch.inference_mode():
            scores = network(torch.tensor([[*prompt_ids, *output]])).logits[0, -1].tolist()
        for token in {*prompt_ids, *output}:
            scores[token] *= repetition if scores[token] < 0 else 1 / repetition
        for token, count in Counter(output).items():
            scores[token] -= presence + frequency * count
        scores[network.config.eos_token_id] = -torch.inf
        output.append(scores.index(max(scores)))
    return output


@pytest.mark.parametrize(
    ("repetition", "presence", "frequency"),
    [(1, 2, 0), (1, -2, 0), (1, 0, 1.5), (1, 0, -1), (1, 100, 0), (1.3, 1, 0.5), (0.8, 0.5, 0.5), (1.2, -1, -0.2)],
)
def test_penalties_are_what_they_say_alone_and_beside_requests_without(
    engine: BackendEngine, network: PreTrainedModel, repetition: float, presence: float, frequency: float
) -> None:
    rules = {
        "min_tokens": PENALIZED_TOKENS,
        "repetition_penalty": repetition,
        "presence_penalty": presence,
        "frequency_penalty": frequency,
    }
    prompts = ("one two three one two three one two", "def main(args):")
    plain = engine.submit(greedy(prompts[0], PENALIZED_TOKENS))
    without = plain.text()
    running = [engine.submit(greedy(prompt, PENALIZED_TOKENS, **rules)) for prompt in prompts]
    beside = engine.submit(greedy(prompts[0], PENALIZED_TOKENS))
    again = engine.submit(greedy(prompts[0], PENALIZED_TOKENS, **rules))
    for generation in (*running, again):
        generation.text()
        expected = by_hand(network, tuple(generation.prompt_ids), repetition, presence, frequency)
        assert generation.output_ids == expected
    assert running[0].output_ids != plain.output_ids
    assert beside.text() == without


def test_a_seed_gives_the_same_text_with_penalties_too(engine: BackendEngine) -> None:
    rules = {"max_tokens": 30, "temperature": 1.5, "presence_penalty": 1.5, "frequency_penalty": 0.3}
    request = GenerationRequest("one two", Sampling(seed=7, **rules))  # type: ignore[arg-type]  # no one type
    alone = engine.submit(request).text()
    other = engine.submit(GenerationRequest("x", Sampling(seed=1, max_tokens=40)))
    assert engine.submit(request).text() == alone
    other.text()


def test_a_nucleus_of_nothing_is_the_likeliest_token(engine: BackendEngine) -> None:
    expected = engine.submit(greedy("one two", 30)).text()
    nothing = Sampling(temperature=1.5, top_p=0, top_k=0, seed=3, max_tokens=30)
    assert engine.submit(GenerationRequest("one two", nothing)).text() == expected
    among_few = Sampling(temperature=0.7, top_p=0.0, top_k=50, seed=4, max_tokens=30)
    assert engine.submit(GenerationRequest("one two", among_few)).text() == expected


def test_max_tokens_ends_with_length_and_counts(engine: BackendEngine) -> None:
    generation = engine.submit(greedy("one two", 5))
    chunks = list(generation)
    assert chunks[-1].finish is FinishReason.LENGTH
    assert all(chunk.finish is None for chunk in chunks[:-1])
    assert chunks[-1].output_tokens == generation.usage.output_tokens == 5
    assert generation.usage.input_tokens == len(engine.codec.encode("one two"))
    assert 0 < generation.usage.time_to_first_token_s <= generation.usage.total_s


def test_context_bounds_max_tokens(engine: BackendEngine) -> None:
    generation = engine.submit(greedy("one two", 10**6))
    chunks = list(generation)
    assert chunks[-1].finish in (FinishReason.LENGTH, FinishReason.STOP)
    assert len(generation.prompt_ids) + chunks[-1].output_tokens <= engine.info.context_tokens


def test_a_stop_sequence_that_spans_tokens_cuts_the_text(engine: BackendEngine) -> None:
    whole = engine.submit(greedy("def main(args):", 60)).text()
    stop = whole[17:22]
    expected = whole[: whole.index(stop)]
    generation = engine.submit(greedy("def main(args):", 60, stop=(stop, "never said")))
    chunks = list(generation)
    assert "".join(chunk.text for chunk in chunks) == expected
    assert chunks[-1].finish is FinishReason.STOP


def test_the_end_of_text_token_stops_unless_min_tokens_forbids_it(engine: BackendEngine) -> None:
    # High temperature makes the end of text come by chance; the seed makes it come at the same place every time.
    def run(seed: int, min_tokens: int) -> Generation:
        sampling = Sampling(seed=seed, temperature=5.0, top_k=0, top_p=1.0, max_tokens=200, min_tokens=min_tokens)
        generation = engine.submit(GenerationRequest("one", sampling))
        generation.text()
        return generation

    ended = next(g for seed in range(40) if (g := run(seed, 0)).output_ids[-1] in g.eos_ids)
    longer = run(ended.request.sampling.seed, 200)
    assert len(longer.output_ids) == 200
    assert not set(longer.output_ids) & longer.eos_ids


def test_cancel_frees_the_place_and_leaves_the_others_alone(engine: BackendEngine) -> None:
    expected = engine.submit(greedy("one two", 30)).text()
    places = engine.info.slots + engine.info.queue_size
    crowd = [engine.submit(greedy("def f(self):", 400)) for _ in range(places)]
    with pytest.raises(EngineBusyError, match=f"all {places} places"):
        engine.submit(greedy("one two", 30))
    for generation in crowd:
        generation.cancel()
        generation.cancel()
    survivor = engine.submit(greedy("one two", 30))
    assert survivor.text() == expected
    for generation in crowd:
        *_, last = generation
        assert last.finish is FinishReason.CANCELED


def test_a_reader_that_goes_away_cancels(engine: BackendEngine) -> None:
    places = engine.info.slots + engine.info.queue_size
    for _ in range(3 * places):  # would fill the engine if a place stayed taken
        reader = iter(engine.submit(greedy("def f(self):", 400)))
        next(reader)
        reader.close()  # type: ignore[attr-defined]  # it is a generator
    assert engine.submit(greedy("one two", 3)).text()


def test_a_mixed_crowd_gets_what_each_gets_alone(opener: Opener) -> None:
    mixed_crowd(opener)


def test_a_mixed_crowd_in_the_fake_engine() -> None:
    mixed_crowd(lambda slots, queue_size: FakeEngine(slots=slots, queue_size=queue_size))


def mixed_crowd(opener: Callable[[int, int], Engine]) -> None:
    """Greedy requests of random lengths, stops, penalties and prompts, a third cancelled somewhere on their way."""
    dice = random.Random(0)
    kinds = [
        greedy(
            "one two three " * dice.randint(1, 12),
            dice.randint(1, 40),
            stop=tuple(dice.sample(STOPS, i % 3)),
            presence_penalty=1.5 if i % 4 == 1 else 0,
        )
        for i in range(12)
    ]
    engine = opener(8, MIXED_REQUESTS)
    try:
        alone = [engine.submit(kind).text() for kind in kinds]
        crowd = [
            (number, engine.submit(kinds[number])) for number in (dice.randrange(12) for _ in range(MIXED_REQUESTS))
        ]
        doomed = [generation for _, generation in crowd[::3]]
        timers = [threading.Timer(dice.uniform(0, MIXED_REQUESTS / 400), generation.cancel) for generation in doomed]
        for timer in timers:
            timer.start()
        for number, generation in crowd:
            chunks = list(generation)
            text = "".join(chunk.text for chunk in chunks)
            if chunks[-1].finish is FinishReason.CANCELED:
                assert generation in doomed
                assert alone[number].startswith(text)
            else:
                assert text == alone[number]
        for timer in timers:
            timer.join()
        assert engine.submit(kinds[0]).text() == alone[0]
    finally:
        engine.close()


def test_many_cancels_at_random_moments_lose_nothing(opener: Opener) -> None:
    engine = opener(8, 200)
    try:
        expected = engine.submit(greedy("one two", 25)).text()
        doomed, kept = [], []
        for i in range(50):
            doomed.append(engine.submit(greedy(f"def f{i}(self):", 400, min_tokens=400)))
            kept.append(engine.submit(greedy("one two", 25)))
        timers = [threading.Timer(0.02 * (i % 17), generation.cancel) for i, generation in enumerate(doomed)]
        for timer in timers:
            timer.start()
        assert {generation.text() for generation in kept} == {expected}
        ends = []
        for generation in doomed:
            *_, last = generation
            ends.append(last.finish)
        assert FinishReason.CANCELED in ends
        assert set(ends) <= {FinishReason.CANCELED, FinishReason.LENGTH}  # a fast engine may end before its cancel
        for timer in timers:
            timer.join()
        assert engine.submit(greedy("one two", 25)).text() == expected
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "prompt: is empty"),
        ("word " * 700, "prompt: has .* tokens; the model holds 511"),
        ("x" * 10_000_000, "prompt: has 10000000 characters; the model holds 511"),
        ("broken \ud83d emoji", "prompt: holds half a surrogate pair at character 7"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused_on_entry(engine: BackendEngine, prompt: str, message: str) -> None:
    running = engine.submit(greedy("one two", 20))
    with pytest.raises(InputError, match=message):
        engine.submit(greedy(prompt, 20))
    assert running.text() == engine.submit(greedy("one two", 20)).text()


@pytest.mark.parametrize("prompt", ["\x00\x01\x02", "\r\n\t", "🙂🏳️‍🌈", " ", "\u2028\x85"])
def test_odd_prompts_work(engine: BackendEngine, prompt: str) -> None:
    assert engine.submit(greedy(prompt, 3)).usage.input_tokens > 0


def test_closing_answers_everybody(opener: Opener) -> None:
    engine = opener(2, 6)
    running = [engine.submit(greedy("def f(self):", 480)) for _ in range(6)]
    next(iter(running[0]))
    engine.close()
    for generation in running[1:]:
        with pytest.raises(EngineError, match="closed"):
            generation.text()
    with pytest.raises(EngineStoppedError):
        engine.submit(greedy("one", 2))
    engine.close()


def test_submits_that_race_a_close_are_all_answered(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opener(2, 100)
    closing = threading.Thread(target=engine.close)
    healthy = BackendEngine.healthy

    def close_meanwhile(self: BackendEngine) -> bool:
        """Begin to close after the check: the requests that follow are on their way into the engine."""
        found = healthy(self)
        if found and not closing.ident:
            closing.start()
        return found

    monkeypatch.setattr(BackendEngine, "healthy", close_meanwhile)
    for _ in range(100):
        try:
            engine.submit(greedy("one two", 400, min_tokens=400)).text()  # the closing thread may be late
        except EngineStoppedError:
            break
    closing.join(WAIT_S)
    assert not closing.is_alive()
    with pytest.raises(EngineStoppedError):
        engine.submit(greedy("one", 2))

"""The torch engine on real (tiny, random) models of eight architectures: exact, isolated, cancelable."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from pilotlight.engines.base import FinishReason, GenerationRequest, Sampling
from pilotlight.engines.generation import Generation
from pilotlight.engines.torch_engine import TorchEngine
from pilotlight.errors import ConfigError, EngineBusyError, EngineError, EngineStoppedError, InputError, WeightsError
from tests.models import ARCHITECTURES, tiny_model, tiny_tokenizer

PROMPTS = ("def main(args):", "The quick brown fox jumps " * 12, "one two", " x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module", params=["continuous", "serial"])
def engine(folder: Path, request: pytest.FixtureRequest) -> Iterator[TorchEngine]:
    engine = TorchEngine(folder, device="cpu", dtype="float32", slots=4, queue_size=4, serial=request.param == "serial")
    yield engine
    engine.close()


def greedy(prompt: str, max_tokens: int, **sampling: object) -> GenerationRequest:
    return GenerationRequest(prompt, Sampling(temperature=0, max_tokens=max_tokens, **sampling))  # type: ignore[arg-type]


def reference(folder: Path, prompt_ids: list[int], max_tokens: int) -> list[int]:
    """What transformers' own ``generate`` gives, as token ids."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([prompt_ids])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=max_tokens)
    tokens: list[int] = out[0, ids.shape[1] :].tolist()
    return tokens


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_greedy_is_generate_token_for_token(arch: str, tmp_path: Path) -> None:
    folder = tiny_model(arch, tmp_path)
    engine = TorchEngine(folder, device="cpu", dtype="float32", slots=8)
    try:
        assert engine.info.slots == 8, engine.info.note
        expected = [reference(folder, engine.codec.encode(p), 20 + 7 * i) for i, p in enumerate(PROMPTS)]
        assert len(set(map(tuple, expected))) > 1, "a model that says the same to everything shows nothing"
        alone = []
        for i, prompt in enumerate(PROMPTS):
            generation = engine.submit(greedy(prompt, 20 + 7 * i))
            generation.text()
            alone.append(generation.output_ids)
        assert alone == expected
        batch = [engine.submit(greedy(p, 20 + 7 * i)) for i, p in enumerate(PROMPTS)]
        for generation in batch:
            generation.text()
        assert [g.output_ids for g in batch] == expected
        assert staggered(engine) == expected
    finally:
        engine.close()


def staggered(engine: TorchEngine) -> list[list[int]]:
    """The same prompts, each submitted in the middle of another one's output, next to requests that are cancelled."""
    generations: list[Generation] = []
    for i, prompt in enumerate(PROMPTS):
        victim = engine.submit(greedy("def victim(self):", 300))
        generations.append(engine.submit(greedy(prompt, 20 + 7 * i)))
        chunks = iter(victim)
        next(chunks)
        victim.cancel()
    for generation in generations:
        generation.text()
    return [g.output_ids for g in generations]


def test_a_seed_gives_the_same_text_alone_and_in_any_company(engine: TorchEngine) -> None:
    request = GenerationRequest("one two", Sampling(seed=7, max_tokens=40, temperature=1.0))
    alone = engine.submit(request).text()
    others = [engine.submit(GenerationRequest("x", Sampling(seed=n, max_tokens=60))) for n in range(3)]
    assert engine.submit(request).text() == alone
    for other in others:
        other.text()
    different = GenerationRequest("one two", Sampling(seed=8, max_tokens=40, temperature=1.0))
    assert engine.submit(different).text() != alone


def test_max_tokens_ends_with_length_and_counts(engine: TorchEngine) -> None:
    generation = engine.submit(greedy("one two", 5))
    chunks = list(generation)
    assert chunks[-1].finish is FinishReason.LENGTH
    assert all(chunk.finish is None for chunk in chunks[:-1])
    assert chunks[-1].output_tokens == generation.usage.output_tokens == 5
    assert generation.usage.input_tokens == len(engine.codec.encode("one two"))
    assert 0 < generation.usage.time_to_first_token_s <= generation.usage.total_s


def test_context_bounds_max_tokens(engine: TorchEngine) -> None:
    generation = engine.submit(greedy("one two", 10**6))
    chunks = list(generation)
    assert chunks[-1].finish in (FinishReason.LENGTH, FinishReason.STOP)
    assert len(generation.prompt_ids) + chunks[-1].output_tokens <= engine.info.context_tokens


def test_a_stop_sequence_that_spans_tokens_cuts_the_text(engine: TorchEngine) -> None:
    whole = engine.submit(greedy("def main(args):", 60)).text()
    stop = whole[17:22]
    expected = whole[: whole.index(stop)]
    generation = engine.submit(greedy("def main(args):", 60, stop=(stop, "never said")))
    chunks = list(generation)
    assert "".join(chunk.text for chunk in chunks) == expected
    assert chunks[-1].finish is FinishReason.STOP


def test_the_end_of_text_token_stops_unless_min_tokens_forbids_it(engine: TorchEngine, folder: Path) -> None:
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


def test_cancel_frees_the_place_and_leaves_the_others_alone(engine: TorchEngine) -> None:
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


def test_a_reader_that_goes_away_cancels(engine: TorchEngine) -> None:
    places = engine.info.slots + engine.info.queue_size
    for _ in range(3 * places):  # would fill the engine if a place stayed taken
        reader = iter(engine.submit(greedy("def f(self):", 400)))
        next(reader)
        reader.close()  # type: ignore[attr-defined]  # it is a generator
    assert engine.submit(greedy("one two", 3)).text()


def test_many_cancels_at_random_moments_lose_nothing(folder: Path) -> None:
    engine = TorchEngine(folder, device="cpu", dtype="float32", slots=8, queue_size=200)
    try:
        expected = engine.submit(greedy("one two", 25)).text()
        doomed, kept = [], []
        for i in range(50):
            doomed.append(engine.submit(greedy(f"def f{i}(self):", 400)))
            kept.append(engine.submit(greedy("one two", 25)))
        timers = [threading.Timer(0.02 * (i % 17), generation.cancel) for i, generation in enumerate(doomed)]
        for timer in timers:
            timer.start()
        assert {generation.text() for generation in kept} == {expected}
        ends = []
        for generation in doomed:
            *_, last = generation
            ends.append(last.finish)
        assert set(ends) == {FinishReason.CANCELED}
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
def test_a_prompt_that_cannot_work_is_refused_on_entry(engine: TorchEngine, prompt: str, message: str) -> None:
    running = engine.submit(greedy("one two", 20))
    with pytest.raises(InputError, match=message):
        engine.submit(greedy(prompt, 20))
    assert running.text() == engine.submit(greedy("one two", 20)).text()


@pytest.mark.parametrize("prompt", ["\x00\x01\x02", "\r\n\t", "🙂🏳️‍🌈", " ", "\u2028\x85"])
def test_odd_prompts_work(engine: TorchEngine, prompt: str) -> None:
    assert engine.submit(greedy(prompt, 3)).usage.input_tokens > 0


def test_a_dead_engine_says_so(folder: Path) -> None:
    engine = TorchEngine(folder, device="cpu", dtype="float32")
    engine.submit(greedy("one", 2)).text()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of memory, say")

    engine._loaded.model.forward = broken
    with pytest.raises(EngineError, match="out of memory, say"):
        engine.submit(greedy("one", 2)).text()
    # The loop's thread may need a moment to die; until then requests fail, afterwards they are refused: none hangs.
    refused = False
    while not refused:
        try:
            engine.submit(greedy("one", 2)).text()
        except EngineStoppedError:
            refused = True
        except EngineError:
            continue
    assert not engine.healthy()
    engine.close()


def test_one_bad_request_does_not_stop_a_serial_engine(folder: Path) -> None:
    engine = TorchEngine(folder, device="cpu", dtype="float32", serial=True)
    forward = engine._loaded.model.forward

    def broken(*args: object, **kwargs: object) -> None:
        engine._loaded.model.forward = forward
        raise RuntimeError("just once")

    engine._loaded.model.forward = broken
    with pytest.raises(EngineError, match="just once"):
        engine.submit(greedy("one", 2)).text()
    assert engine.submit(greedy("one", 2)).text()
    engine.close()


@pytest.mark.parametrize("serial", [False, True])
def test_closing_answers_everybody(folder: Path, serial: bool) -> None:
    engine = TorchEngine(folder, device="cpu", dtype="float32", slots=2, queue_size=6, serial=serial)
    running = [engine.submit(greedy("def f(self):", 480)) for _ in range(6)]
    next(iter(running[0]))
    engine.close()
    for generation in running[1:]:
        with pytest.raises(EngineError, match="closed"):
            generation.text()
    with pytest.raises(EngineStoppedError):
        engine.submit(greedy("one", 2))
    engine.close()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Mamba says that its fast kernels are not installed
def test_a_model_without_attention_runs_one_at_a_time_and_says_so(tmp_path: Path) -> None:
    config = MambaConfig(vocab_size=512, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=1.0)
    torch.manual_seed(0)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    llama = tiny_model("llama", tmp_path / "tokenizer")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((llama / name).read_bytes())
    engine = TorchEngine(tmp_path, device="cpu", dtype="float32")
    try:
        assert engine.info.slots == 1
        assert "one at a time" in engine.info.note
        batch = [engine.submit(greedy(prompt, 12)) for prompt in PROMPTS]
        for generation in batch:
            generation.text()
        expected = [reference(tmp_path, tiny_tokenizer().encode(prompt).ids, 12) for prompt in PROMPTS]
        assert [g.output_ids for g in batch] == expected
    finally:
        engine.close()


def test_what_cannot_be_loaded_is_one_clear_error(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(WeightsError, match="cannot load it as a causal language model"):
        TorchEngine(tmp_path)
    with pytest.raises(ConfigError, match="device is 'gpu'"):
        TorchEngine(folder, device="gpu")
    with pytest.raises(ConfigError, match="dtype is 'int3'"):
        TorchEngine(folder, dtype="int3")

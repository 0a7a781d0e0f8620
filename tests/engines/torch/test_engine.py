"""The torch engine on real (tiny, random) models of eight architectures: exact, isolated, cancelable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.codec import TransformersCodec
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.engines.torch.load import Loaded, load
from pilotlight.errors import ConfigError, EngineError, EngineStoppedError, InputError, WeightsError
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


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Loaded]:
    """The models of the engines that the test opens."""
    found: list[Loaded] = []

    def keep(*args: Any, **kwargs: Any) -> Loaded:
        found.append(load(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr("pilotlight.engines.torch.engine.load", keep)
    return found


def test_a_dead_engine_says_so(folder: Path, loaded: list[Loaded]) -> None:
    engine = TorchEngine(folder, device="cpu", dtype="float32")
    engine.submit(greedy("one", 2)).text()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of memory, say")

    loaded[0].model.forward = broken
    for _ in range(2):  # the first failure may be the request's; the second in a row is the engine's
        assert engine.healthy()
        with pytest.raises(EngineError, match="out of memory, say"):
            engine.submit(greedy("one", 2)).text()
    assert not engine.healthy()
    with pytest.raises(EngineStoppedError):
        engine.submit(greedy("one", 2))
    engine.close()


@pytest.mark.parametrize("serial", [False, True])
def test_one_bad_request_does_not_stop_an_engine(serial: bool, folder: Path, loaded: list[Loaded]) -> None:
    engine = TorchEngine(folder, device="cpu", dtype="float32", serial=serial)
    expected = engine.submit(greedy("one", 8)).text()
    forward = loaded[0].model.forward

    def broken(*args: object, **kwargs: object) -> None:
        loaded[0].model.forward = forward
        raise RuntimeError("just once")

    loaded[0].model.forward = broken
    with pytest.raises(EngineError, match="just once"):
        engine.submit(greedy("one", 2)).text()
    assert engine.submit(greedy("one", 8)).text() == expected
    engine.close()


def test_a_token_without_an_embedding_is_refused_alone(engine: TorchEngine) -> None:
    alone = engine.submit(greedy("one two", 24)).text()
    beside = engine.submit(greedy("one two", 24))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransformersCodec, "encode", lambda self, text, **kwargs: [1, 512])
        with pytest.raises(InputError, match=r"prompt: holds a token .* no embedding for: its number is 512"):
            engine.submit(GenerationRequest("one"))
    assert beside.text() == alone
    assert engine.healthy()


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
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        TorchEngine(tmp_path)
    with pytest.raises(ConfigError, match="device is 'gpu'"):
        TorchEngine(folder, device="gpu")
    with pytest.raises(ConfigError, match="dtype is 'int3'"):
        TorchEngine(folder, dtype="int3")

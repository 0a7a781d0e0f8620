"""The onnx engine beside torch on real (tiny, random) models, and what only it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.onnx import logprobs as onnx_logprobs
from pilotlight.engines.onnx.engine import OnnxEngine
from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.engines.torch import logprobs as torch_logprobs
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.engines.torch.load import load
from pilotlight.errors import EngineError, EngineStoppedError, InputError, WeightsError
from pilotlight.loading.files.artifacts import Artifact
from tests.engines.exported_onnx import ARCHITECTURES, onnx_model

# The first run makes the exporter's environment and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

PROMPTS = ("def main(args):", "The quick brown fox jumps " * 12, "one two", " x")
Model = tuple[Path, Artifact]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return onnx_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(llama: Model) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(*llama, slots=4)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def torch_engine(llama: Model) -> Iterator[TorchEngine]:
    engine = TorchEngine(llama[0], device="cpu", dtype="float32", slots=4)
    yield engine
    engine.close()


def together(engine: BackendEngine, **rules: Any) -> list[list[int]]:
    """Outputs of all prompts, in tokens, computed at once."""
    running = [
        engine.submit(GenerationRequest(prompt, Sampling(max_tokens=20 + 7 * i, **rules)))
        for i, prompt in enumerate(PROMPTS)
    ]
    for generation in running:
        generation.text()
    return [generation.output_ids for generation in running]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_greedy_is_that_of_torch_token_for_token(arch: str, tmp_path: Path) -> None:
    model, artifact = onnx_model(arch, tmp_path)
    reference = TorchEngine(model, device="cpu", dtype="float32", slots=8)
    expected = together(reference, temperature=0)
    reference.close()
    engine = OnnxEngine(model, artifact, slots=8)
    try:
        assert engine.info.context_tokens == reference.info.context_tokens
        assert len(set(map(tuple, expected))) > 1, "a model that says the same to everything shows nothing"
        assert together(engine, temperature=0) == expected
    finally:
        engine.close()


@pytest.mark.parametrize(
    "rules",
    [
        {"temperature": 0, "repetition_penalty": 1.3, "min_tokens": 40},
        {"temperature": 0, "presence_penalty": 1.5, "frequency_penalty": 0.5},
        {"temperature": 0.7},
        {"temperature": 3.0, "top_k": 0, "top_p": 1.0},
        {"temperature": 3.0, "top_k": 10**9, "top_p": 0.6, "seed": 2**53},
        {"temperature": 5.0, "top_k": 1000, "repetition_penalty": 1.5, "frequency_penalty": 1.0, "seed": 3},
    ],
)
def test_any_rules_and_seed_give_what_they_give_with_torch(
    engine: OnnxEngine, torch_engine: TorchEngine, rules: dict[str, Any]
) -> None:
    assert together(engine, **rules) == together(torch_engine, **rules)


def test_prompts_longer_than_a_piece_and_crowds_larger_than_the_slots_change_nothing(
    engine: OnnxEngine, torch_engine: TorchEngine
) -> None:
    long = "The quick brown fox jumps over the lazy dog. " * 25
    requests = [
        GenerationRequest(prompt, Sampling(temperature=0, max_tokens=15 + 9 * i, min_tokens=60))
        for i, prompt in enumerate([long, "one two", long + "one", "x"])
    ]
    expected = []
    for request in requests:
        generation = torch_engine.submit(request)
        generation.text()
        expected.append(generation.output_ids)
    running = [engine.submit(request) for request in requests * 4]
    for generation in running:
        generation.text()
    assert len(running[0].prompt_ids) > 256
    assert [generation.output_ids for generation in running] == expected * 4


def test_a_model_whose_text_nothing_ends(tmp_path: Path) -> None:
    model, artifact = onnx_model("llama", tmp_path)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        content = json.loads((model / name).read_text())
        (model / name).write_text(json.dumps({k: v for k, v in content.items() if not k.startswith("eos")}))
    engine = OnnxEngine(model, artifact)
    try:
        rules = Sampling(temperature=5.0, top_k=0, top_p=1.0, max_tokens=400, min_tokens=3)
        *_, last = engine.submit(GenerationRequest("one", rules))
        assert (last.finish, last.output_tokens) == (FinishReason.LENGTH, 400)
    finally:
        engine.close()


def test_positions_are_not_stretched_for_one_request_at_the_cost_of_another(tmp_path: Path) -> None:
    model, artifact = onnx_model("llama", tmp_path)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"original_max_position_embeddings": 64}))
    engine = OnnxEngine(model, artifact)
    engine.close()
    assert engine.info.context_tokens == 64


def test_the_memory_that_it_states_is_that_of_its_cache(engine: OnnxEngine) -> None:
    info = engine.info
    # Two layers, two heads of 16 floats, keys and values.
    assert info.cache_bytes == info.slots * info.context_tokens * 2 * 2 * 2 * 16 * 4


def test_a_token_beyond_the_vocabulary_is_refused(engine: OnnxEngine) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenizerCodec, "encode", lambda self, text, **kwargs: [1, 512])
        with pytest.raises(InputError, match="prompt: holds a token that this model has no embedding for"):
            engine.submit(GenerationRequest("one"))
    assert engine.submit(GenerationRequest("one two", Sampling(max_tokens=2))).text() is not None


def test_a_dead_engine_says_so(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OnnxEngine(*llama)
    engine.submit(GenerationRequest("one", Sampling(max_tokens=2))).text()

    def broken(*args: object) -> None:
        raise RuntimeError("out of memory, say")

    monkeypatch.setattr(OnnxModel, "run", broken)
    with pytest.raises(EngineError, match="out of memory, say"):
        engine.submit(GenerationRequest("one")).text()
    assert not engine.healthy()
    with pytest.raises(EngineStoppedError):
        engine.submit(GenerationRequest("one"))
    engine.close()


def test_log_probabilities_are_those_of_torch(llama: Model) -> None:
    model, artifact = llama
    windows = [[(7 * i * i + k) % 512 for i in range(5 + 6 * k)] for k in range(11)]
    loaded = load(model, device="cpu", dtype="float32")
    found = onnx_logprobs.log_probabilities(artifact.folder, windows)
    for ours, window in zip(found, windows, strict=True):
        assert ours == pytest.approx(torch_logprobs.log_probabilities(loaded.model, window), abs=1e-3)


def test_a_damaged_artifact_is_one_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, artifact = onnx_model("llama", tmp_path)
    (artifact.folder / "genai_config.json").write_text('{"model": {}}')
    with pytest.raises(WeightsError, match=r"genai_config\.json does not describe a language model"):
        OnnxEngine(model, artifact)
    weights = artifact.folder / "model.onnx.data"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"onnxruntime cannot load it [\s\S]* export the model again"):
        OnnxEngine(model, artifact)
    (artifact.folder / "model.onnx").unlink()
    with pytest.raises(WeightsError, match="onnxruntime cannot load it"):
        OnnxEngine(model, artifact)
    (model / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        OnnxEngine(model, artifact)
    assert capfd.readouterr().err == ""


def test_a_runtime_that_is_not_installed_is_one_clear_error(llama: Model) -> None:
    code = f"""
import sys
sys.modules["onnxruntime"] = None
from pathlib import Path
from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.errors import ConfigError
try:
    OnnxModel(Path({str(llama[1].folder)!r}))
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    assert "the onnx engine needs the package onnxruntime" in done.stdout
    assert "install pilotlight[onnx], or set PILOTLIGHT_ENGINE=torch" in done.stdout


def test_it_serves_without_torch_without_transformers_and_without_telling_anybody(llama: Model) -> None:
    model, artifact = llama
    code = f"""
import sys
from pathlib import Path
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.onnx.engine import OnnxEngine
from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.loading.files.artifacts import Artifact
engine = OnnxEngine(Path({str(model)!r}), Artifact(Path({str(artifact.folder)!r}), "onnx", "fp32", "cpu"))
assert engine.submit(GenerationRequest("one two", Sampling(max_tokens=3))).usage is not None
engine.close()
heavy = ("torch", "transformers", "onnxruntime_genai", "sympy", "google.protobuf", "pydantic", "jinja2", "rich")
print(*[name for name in heavy if name in sys.modules], len(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    *heavy, count = done.stdout.split()
    assert heavy == []
    assert int(count) < 350
    assert done.stderr == ""


def test_an_artifact_of_another_form_is_refused(llama: Model, tmp_path: Path) -> None:
    """Such as one that takes positions too: what it would be given is not all that it wants."""
    model, artifact = llama
    folder = tmp_path / "other"
    folder.mkdir()
    for path in artifact.folder.iterdir():
        content = path.read_bytes()
        if path.name == "model.onnx":
            content = content.replace(b"attention_mask", b"attention_cask")
        (folder / path.name).write_bytes(content)
    with pytest.raises(WeightsError, match="is not what `pilotlight export` makes"):
        OnnxEngine(model, replace(artifact, folder=folder))

"""The openvino engine beside torch on real (tiny, random) models, and what only it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.openvino import continuous, pipeline
from pilotlight.engines.openvino.engine import OpenVINOEngine
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.errors import EngineError, EngineStoppedError, WeightsError
from pilotlight.loading.files.artifacts import Artifact
from tests.engines.exported import ARCHITECTURES, exported_model

# The first run makes the exporter's environment and the artifacts; see exported.py.
pytestmark = pytest.mark.timeout(600)

PROMPTS = ("def main(args):", "The quick brown fox jumps " * 12, "one two", " x")
Model = tuple[Path, Artifact]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return exported_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(llama: Model) -> Iterator[OpenVINOEngine]:
    engine = OpenVINOEngine(*llama, slots=4)
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
    model, artifact = exported_model(arch, tmp_path)
    reference = TorchEngine(model, device="cpu", dtype="float32", slots=8)
    expected = together(reference, temperature=0)
    reference.close()
    engine = OpenVINOEngine(model, artifact, slots=8)
    try:
        assert engine.info.context_tokens == reference.info.context_tokens
        assert len(set(map(tuple, expected))) > 1, "a model that says the same to everything shows nothing"
        assert together(engine, temperature=0) == expected
        alone = []
        for i, prompt in enumerate(PROMPTS):
            generation = engine.submit(GenerationRequest(prompt, Sampling(temperature=0, max_tokens=20 + 7 * i)))
            generation.text()
            alone.append(generation.output_ids)
        assert alone == expected
    finally:
        engine.close()


@pytest.mark.parametrize(
    "rules",
    [
        {"temperature": 0, "repetition_penalty": 1.3},
        {"temperature": 0, "repetition_penalty": 0.8},
        {"temperature": 0, "min_tokens": 40},
        {"temperature": 0, "presence_penalty": 1.5, "frequency_penalty": 0.5},
        {"temperature": 0, "repetition_penalty": 1.2, "frequency_penalty": -0.3},
        {"temperature": 1.0, "top_k": 1},
        {"temperature": 1.0, "top_p": 0.0},
        {"temperature": 1e-6},
    ],
)
def test_rules_that_leave_nothing_to_chance_choose_as_torch_does(
    engine: OpenVINOEngine, torch_engine: TorchEngine, rules: dict[str, Any]
) -> None:
    assert together(engine, **rules) == together(torch_engine, **rules)


@pytest.mark.parametrize(
    "rules",
    [
        {"temperature": 0.7},
        {"temperature": 3.0, "top_k": 0, "top_p": 1.0},
        {"temperature": 3.0, "top_k": 5, "top_p": 1.0},
        {"temperature": 3.0, "top_k": 10**9, "top_p": 0.6},
        {"temperature": 100.0, "top_k": 1000, "repetition_penalty": 1.5, "seed": 2**53},
    ],
)
def test_a_seed_repeats_itself_under_any_rules(engine: OpenVINOEngine, rules: dict[str, Any]) -> None:
    first = together(engine, **rules)
    assert together(engine, **rules) == first
    assert together(engine, **{**rules, "seed": 12345}) != first


def first_tokens(engine: BackendEngine, count: int, **rules: Any) -> list[int]:
    """The first token after one prompt, for ``count`` seeds."""
    found = []
    for start in range(0, count, 64):
        running = [
            engine.submit(GenerationRequest("one two", Sampling(seed=seed, max_tokens=1, **rules)))
            for seed in range(start, start + 64)
        ]
        for generation in running:
            generation.text()
            found.append(generation.output_ids[0])
    return found


@pytest.mark.parametrize(
    "rules", [{"temperature": 1.5, "top_k": 8, "top_p": 0.9}, {"temperature": 1.5, "top_k": 0, "top_p": 0.3}]
)
def test_sampling_draws_from_the_candidates_that_torch_draws_from(llama: Model, rules: dict[str, Any]) -> None:
    engine = OpenVINOEngine(*llama, slots=32, queue_size=32)
    reference = TorchEngine(llama[0], device="cpu", dtype="float32", slots=32, queue_size=32)
    try:
        ours, theirs = first_tokens(engine, 640, **rules), first_tokens(reference, 640, **rules)
    finally:
        engine.close()
        reference.close()
    shares = {token: (ours.count(token) / 640, theirs.count(token) / 640) for token in {*ours, *theirs}}
    # Two shares of 640 draws differ by 0.028 (one standard deviation) at most; the seeds are fixed.
    assert len(shares) > 2
    assert all(abs(a - b) < 0.1 for a, b in shares.values()), shares


def test_prompts_longer_than_a_step_and_caches_smaller_than_the_crowd_change_nothing(
    llama: Model, torch_engine: TorchEngine
) -> None:
    long = "The quick brown fox jumps over the lazy dog. " * 25
    rules = Sampling(temperature=0, max_tokens=60, min_tokens=60)
    expected = torch_engine.submit(GenerationRequest(long, rules))
    expected.text()
    assert len(expected.prompt_ids) > 256
    engine = OpenVINOEngine(*llama, slots=4)
    try:
        running = [engine.submit(GenerationRequest(long, rules)) for _ in range(12)]
        for generation in running:
            generation.text()
        assert [generation.output_ids for generation in running] == [expected.output_ids] * 12
    finally:
        engine.close()


def test_a_model_whose_text_nothing_ends(tmp_path: Path) -> None:
    model, artifact = exported_model("llama", tmp_path)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        content = json.loads((model / name).read_text())
        kept = {key: value for key, value in content.items() if not key.startswith("eos")}
        (model / name).write_text(json.dumps(kept))
    engine = OpenVINOEngine(model, artifact)
    try:
        rules = Sampling(temperature=5.0, top_k=0, top_p=1.0, max_tokens=400, min_tokens=3)
        *_, last = engine.submit(GenerationRequest("one", rules))
        assert (last.finish, last.output_tokens) == (FinishReason.LENGTH, 400)
    finally:
        engine.close()


def test_the_memory_that_it_states_is_that_of_its_cache(llama: Model) -> None:
    engine = OpenVINOEngine(*llama, slots=4)
    info = engine.info
    engine.close()
    # Two layers, two heads of 16 floats, keys and values.
    token_bytes = 2 * 2 * 2 * 16 * 4
    assert info.cache_bytes == info.slots * info.context_tokens * token_bytes


class Pipeline:
    """A pipeline whose steps fail once ``broken`` is set."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipeline, name)

    def step(self) -> None:
        if self.broken:
            raise RuntimeError("out of memory, say")
        self.pipeline.step()


def test_a_dead_engine_says_so(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Pipeline] = []

    def open_pipeline(*args: Any, **kwargs: Any) -> Pipeline:
        opened.append(Pipeline(pipeline.open_pipeline(*args, **kwargs)))
        return opened[0]

    monkeypatch.setattr(continuous, "open_pipeline", open_pipeline)
    engine = OpenVINOEngine(*llama)
    engine.submit(GenerationRequest("one", Sampling(max_tokens=2))).text()
    opened[0].broken = True
    with pytest.raises(EngineError, match="out of memory, say"):
        engine.submit(GenerationRequest("one")).text()
    assert not engine.healthy()
    with pytest.raises(EngineStoppedError):
        engine.submit(GenerationRequest("one"))
    engine.close()


def test_a_damaged_artifact_is_one_clear_error(tmp_path: Path) -> None:
    model, artifact = exported_model("llama", tmp_path)
    weights = artifact.folder / "openvino_model.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"OpenVINO cannot load it [\s\S]* export the model again"):
        OpenVINOEngine(model, artifact)
    (artifact.folder / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(WeightsError, match="keeps no keys and values"):
        OpenVINOEngine(model, artifact)
    (artifact.folder / "openvino_model.xml").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        OpenVINOEngine(model, artifact)
    (model / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        OpenVINOEngine(model, artifact)


def test_a_runtime_that_is_not_installed_is_one_clear_error() -> None:
    code = """
import sys
sys.modules["openvino"] = None
from pilotlight.engines.openvino.runtime import runtime
from pilotlight.errors import ConfigError
try:
    runtime()
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    assert "the openvino engine needs the packages openvino and openvino-genai" in done.stdout
    assert "PILOTLIGHT_ENGINE=torch" in done.stdout


def test_it_serves_without_torch_without_transformers_and_without_telling_anybody(llama: Model) -> None:
    model, artifact = llama
    code = f"""
import sys
from pathlib import Path
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.openvino import continuous, pipeline
from pilotlight.engines.openvino.engine import OpenVINOEngine
from pilotlight.loading.files.artifacts import Artifact
engine = OpenVINOEngine(Path({str(model)!r}), Artifact(Path({str(artifact.folder)!r}), "openvino", "fp32", "cpu"))
assert engine.submit(GenerationRequest("one two", Sampling(max_tokens=3))).usage is not None
engine.close()
heavy = ("torch", "transformers", "openvino_telemetry", "openvino.tools.ovc.convert", "pydantic", "jinja2", "rich")
print(*[name for name in heavy if name in sys.modules], len(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    *heavy, count = done.stdout.split()
    assert heavy == []
    assert int(count) < 450
    assert done.stderr == ""

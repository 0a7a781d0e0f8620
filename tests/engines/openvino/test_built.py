"""The openvino engine on artifacts of the builder: both stages say what transformers' ``generate`` says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
from pilotlight.engines.openvino.make import make_artifact
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.model_config import read_facts
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.loading.files.artifacts import Artifact, find_artifacts
from pilotlight.loading.files.manifest import read_manifest
from pilotlight.loading.files.verify import verify_folder
from tests.built import built, make_family
from tests.loading.recorder import Recorder
from tests.real_models import smollm2

pytestmark = pytest.mark.timeout(600)

PROMPTS = [f"{word} {i}" * (1 + 12 * (i % 4)) for i in range(4) for word in ("def main(", "one two", "The quick", " x")]
QUESTIONS = ("Why is the sky blue?", "Write a short poem about rain.", "List three prime numbers, then stop.")
SMOLLM2_TOKENS = 64


def greedy(engine: BackendEngine, prompts: list[str], tokens: int, *, together: bool) -> list[list[int]]:
    """Outputs in tokens; ``together`` or one after the other."""
    rules = Sampling(temperature=0, max_tokens=tokens)
    outputs = []
    for group in [prompts] if together else [[prompt] for prompt in prompts]:
        running = [engine.submit(GenerationRequest(prompt, rules)) for prompt in group]
        for generation in running:
            generation.text()
        outputs += [generation.output_ids for generation in running]
    return outputs


def is_greedy(model: Path, prompts: list[str], outputs: list[list[int]], tokens: int) -> bool:
    """Whether every token is the likeliest after those before it, which is what ``generate`` chooses."""
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    codec = TokenizerCodec(model)
    ends = read_facts(model, codec).eos_ids
    for prompt, output in zip(prompts, outputs, strict=True):
        ids = codec.encode(prompt)
        with torch.no_grad():
            scores = loaded(torch.tensor([ids + output[:-1]])).logits[0, len(ids) - 1 :]
        whole = len(output) == tokens or (0 < len(output) < tokens and output[-1] in ends)
        if not whole or scores.argmax(-1).tolist() != output:
            return False
    return True


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_greedy_is_generate_alone_and_sixteen_together(name: str, tmp_path: Path) -> None:
    model = make_family(name, tmp_path)
    artifact = make_artifact(model, precision="fp32")
    engine = OpenVINOEngine(model, artifact, slots=16, stages=Stages.BATCHING)
    found = greedy(engine, PROMPTS, 24, together=True)
    assert greedy(engine, PROMPTS, 24, together=False) == found
    engine.close()
    first = OpenVINOEngine(model, artifact, slots=16, stages=Stages.FIRST)
    assert greedy(first, PROMPTS, 24, together=False) == found
    first.close()
    assert len(set(map(tuple, found))) > 8, "a model that says the same to everything shows nothing"
    assert is_greedy(model, PROMPTS, found, 24)


def test_it_is_listed_whole_and_says_what_it_does(tmp_path: Path) -> None:
    model, watcher = make_family("llama", tmp_path), Recorder()
    artifact = make_artifact(model, watcher=watcher)
    assert artifact == Artifact(model / "openvino-int8-cpu", "openvino", "int8", "cpu")
    assert find_artifacts(model) == (artifact,)
    names = {path.name for path in artifact.folder.iterdir()}
    assert names == {"openvino_model.xml", "openvino_model.bin", "first_stage.blob"}
    (entry,) = read_manifest(model).artifacts
    assert entry.check is None
    assert set(entry.made_with) == {"openvino"}
    assert {report.finding for report in verify_folder(model)} == {"ok"}
    assert watcher.notes == ["building llama in int8", "compiling its first stage"]


@pytest.fixture(scope="module")
def chats() -> list[str]:
    codec = TokenizerCodec(smollm2())
    rendered = [codec.apply_chat_template([{"role": "user", "content": question}]) for question in QUESTIONS]
    return [chat for chat in rendered if chat is not None]


def test_smollm2_in_float32_is_generate_for_64_tokens(chats: list[str], tmp_path: Path) -> None:
    source = smollm2()
    model = tmp_path / "smollm2"
    model.mkdir()
    for path in source.iterdir():
        (model / path.name).symlink_to(path)
    assert len(chats) == len(QUESTIONS)
    engine = OpenVINOEngine(model, built(model), slots=3, stages=Stages.BATCHING)
    found = greedy(engine, chats, SMOLLM2_TOKENS, together=True)
    engine.close()
    assert is_greedy(model, chats, found, SMOLLM2_TOKENS)

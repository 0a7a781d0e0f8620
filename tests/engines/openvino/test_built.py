"""The openvino engine on artifacts of the builder: both stages say what transformers' ``generate`` says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pilotlight.engines.openvino.engine import OpenVINOEngine, Stages
from pilotlight.engines.openvino.make import make_artifact
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.loading.files.artifacts import Artifact, find_artifacts
from pilotlight.loading.files.manifest import read_manifest
from pilotlight.loading.files.verify import verify_folder
from tests.built import make_family
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


def generated(model: Path, prompts: list[str], tokens: int) -> list[list[int]]:
    """What transformers' ``generate`` says in float32, one prompt after the other."""
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    codec, outputs = TokenizerCodec(model), []
    for prompt in prompts:
        ids = torch.tensor([codec.encode(prompt)])
        output = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
        outputs.append(output[0, ids.shape[1] :].tolist())
    return outputs


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_greedy_is_generate_alone_and_sixteen_together(name: str, tmp_path: Path) -> None:
    model = make_family(name, tmp_path)
    artifact = make_artifact(model, precision="fp32")
    expected = generated(model, PROMPTS, 24)
    assert len(set(map(tuple, expected))) > 8, "a model that says the same to everything shows nothing"
    for stages, together in ((Stages.BATCHING, True), (Stages.BATCHING, False), (Stages.FIRST, False)):
        engine = OpenVINOEngine(model, artifact, slots=16, stages=stages)
        assert greedy(engine, PROMPTS, 24, together=together) == expected
        engine.close()


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
    expected = generated(model, chats, SMOLLM2_TOKENS)
    engine = OpenVINOEngine(model, make_artifact(model, precision="fp32"), slots=3, stages=Stages.BATCHING)
    assert greedy(engine, chats, SMOLLM2_TOKENS, together=True) == expected
    engine.close()

"""The check of the back ends against plain forward passes, and the choice that it makes."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.check.check_records import read_result, result_path
from pilotlight.engines.torch.check.samples import STEPS, compare, compare_generate, in_float32, make_samples
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.engines.torch.load import load
from pilotlight.errors import WeightsError
from pilotlight.loading.files.manifest import write_manifest
from tests.architectures import tiny_architecture
from tests.logs import own_messages
from tests.models import tiny_model

OPTIONS: dict[str, Any] = {"device": "cpu", "dtype": "float32", "slots": 2}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def gemma2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_architecture("gemma2", tmp_path_factory.mktemp("gemma2"))


def opened(folder: Path, **options: Any) -> tuple[int, str]:
    engine = TorchEngine(folder, **OPTIONS | options)
    engine.close()
    return engine.info.slots, engine.info.note


def answer(folder: Path, **options: Any) -> str:
    engine = TorchEngine(folder, **OPTIONS | options)
    try:
        return engine.submit(GenerationRequest("one two", Sampling(temperature=0, max_tokens=12))).text()
    finally:
        engine.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_the_paged_attention_leaves_out_is_seen_in_every_precision(
    gemma2: Path, llama: Path, dtype: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert opened(llama, dtype=dtype) == (2, "")
    assert own_messages(caplog) == []
    with caplog.at_level(logging.WARNING):
        slots, note = opened(gemma2, dtype=dtype)
    assert slots == 1
    assert "differ from a plain forward pass by" in note
    (line,) = own_messages(caplog)
    assert line == f"{gemma2}: requests are served {note}"


def test_what_fails_in_its_first_forward_pass_is_served_one_at_a_time(tmp_path: Path) -> None:
    slots, note = opened(tiny_architecture("minicpm3", tmp_path))
    assert slots == 1
    assert note.startswith("one at a time: MiniCPM3ForCausalLM fails in continuous batching: ")


def test_a_model_that_generate_computes_otherwise_is_refused(tmp_path: Path) -> None:
    folder = tiny_architecture("xlnet", tmp_path)
    with pytest.raises(WeightsError, match="generate does not compute what its XLNetLMHeadModel does: its logits"):
        TorchEngine(folder, **OPTIONS)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    folder = tiny_model("gpt2", tmp_path)
    model = load(folder, device="cpu", dtype="float32").model
    model.transformer.wte.weight.data = torch.full_like(model.transformer.wte.weight, torch.nan)
    model.save_pretrained(folder)
    with pytest.raises(WeightsError, match="gives values that are not numbers in float32"):
        TorchEngine(folder, **OPTIONS)


def test_nothing_of_the_generation_config_comes_on_top_of_the_request_s_own_sampling(tmp_path: Path) -> None:
    folder = tiny_architecture("minicpm3", tmp_path)
    plain = answer(folder)
    path = folder / "generation_config.json"
    settings = {"repetition_penalty": 5.0, "num_beams": 3, "no_repeat_ngram_size": 1, "suppress_tokens": [3, 4, 5]}
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    assert answer(folder) == plain


def test_a_result_is_used_again_and_belongs_to_the_weights(
    llama: Path, gemma2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = {folder: opened(folder, cache=cache) for folder in (llama, gemma2)}
    assert len(list(cache.rglob("*.json"))) == 2

    def checked(*args: object, **kwargs: object) -> None:
        raise AssertionError("checked again")

    monkeypatch.setattr("pilotlight.engines.torch.check.self_check.check_model", checked)
    assert {folder: opened(folder, cache=cache) for folder in (llama, gemma2)} == first
    with pytest.raises(AssertionError, match="checked again"):
        opened(llama, cache=cache, dtype="bfloat16")


def test_a_result_is_found_by_what_is_in_the_folder(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    model = load(folder, device="cpu", dtype="float32").model
    weights = folder / "model.safetensors"

    def place() -> Path:
        return result_path(tmp_path, folder, model)

    before = place()
    assert place() == before
    os.utime(weights, ns=(1, 1))
    touched = place()
    assert touched != before
    write_manifest(folder, source="a test")
    listed = place()
    os.utime(weights, ns=(2, 2))
    assert place() == listed != touched, "a manifest's hash names the content"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert place() != listed


def test_a_damaged_result_is_no_result(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"batched": true, "other": 1}'):
        (tmp_path / "result.json").write_text(text)
        assert read_result(tmp_path / "result.json") is None
    assert read_result(tmp_path / "none.json") is None


def test_weights_are_the_same_memory_after_a_pass_in_float32(llama: Path) -> None:
    model = load(llama, device="cpu", dtype="bfloat16").model
    before = {name: (one.data_ptr(), one.dtype) for name, one in model.named_parameters()}
    with in_float32(model) as dtype:
        assert dtype is torch.float32
        assert {one.dtype for one in model.parameters()} == {torch.float32}
    assert {name: (one.data_ptr(), one.dtype) for name, one in model.named_parameters()} == before


def test_samples_outgrow_the_window_and_have_no_token_with_a_meaning(tmp_path: Path) -> None:
    model = load(tiny_model("gemma3", tmp_path), device="cpu", dtype="float32").model
    long, short = make_samples(model, 512)
    assert len(long.prompt) > model.config.sliding_window > len(short.prompt)
    assert make_samples(model, 512) == (long, short)
    assert 0 not in {*long.prompt, *long.continuation}  # the end of text
    tiny, _ = make_samples(model, 9)
    assert len(tiny.ids) < 9


def test_the_comparison_says_how_much_differs() -> None:
    reference = torch.randn(STEPS, 100, generator=torch.Generator().manual_seed(0))
    assert compare(reference, reference, torch.float32) == ""
    assert compare(reference, reference * (1 + 1e-5), torch.float32) == ""
    assert compare(reference, reference * 1.1, torch.float32) == (
        f"its logits differ from a plain forward pass by 0.1 where 0.001 is rounding; {STEPS} of {STEPS} likeliest "
        "tokens are the same"
    )
    assert compare(reference, reference * 1.1, torch.bfloat16) == ""
    assert "is rounding" in compare(reference, reference * 1.5, torch.bfloat16)
    excluded = reference.clone()
    excluded[:, 7] = -torch.inf
    assert compare(excluded, excluded, torch.float32) == ""
    assert compare(reference, torch.full_like(reference, torch.nan), torch.float32) == "its logits are not numbers"


def test_generate_may_differ_after_the_prompt_but_not_be_unrelated() -> None:
    chance = torch.Generator().manual_seed(0)
    reference, other = (torch.randn(STEPS, 100, generator=chance) for _ in range(2))
    later = torch.cat([reference[:1], reference[1:] * 1.2])
    assert compare_generate(reference[:1], reference, later, torch.float32) == ""
    assert "from a plain forward pass" in compare_generate(other[:1], reference, later, torch.float32)
    unrelated = torch.cat([reference[:1], other[1:]])
    found = compare_generate(reference[:1], reference, unrelated, torch.float32)
    assert found.startswith("from its second token on its logits differ from a plain forward pass by 1")

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from pilotlight.engines.torch.load_mapped import load_mapped
from tests.models import ARCHITECTURES, tiny_model

IDS = torch.tensor([[5, 90, 17, 300, 44, 8]])
# Experts that lie one by one in the file and together in the model; a layer that has another name there.
CONVERTED = {"mixtral", "gpt_neox"}


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_same_model_as_from_pretrained_gives(arch: str, dtype: torch.dtype, tmp_path: Path) -> None:
    folder = tiny_model(arch, tmp_path)
    model = load_mapped(folder, dtype)
    assert (model is None) == (arch in CONVERTED)
    if model is None:
        return
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    assert torch.equal(logits(model), logits(expected))
    assert {n: (p.dtype, tuple(p.shape)) for n, p in model.named_parameters()} == {
        n: (p.dtype, tuple(p.shape)) for n, p in expected.named_parameters()
    }
    assert [n for n, b in model.named_buffers() if b.is_meta] == []
    assert model.generation_config == expected.generation_config
    assert not model.training


def test_shards(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    expected = logits(load_mapped(folder, torch.float32))
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    places = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}
    for part in set(places.values()):
        save_file({n: tensors[n] for n in names if places[n] == part}, folder / part, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    del tensors
    (folder / "model.safetensors").unlink()
    assert torch.equal(logits(load_mapped(folder, torch.float32)), expected)


def test_weights_of_the_right_precision_stay_in_their_file(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    model = load_mapped(folder, torch.float32)
    maps = Path("/proc/self/maps").read_text().splitlines()
    (mapped, *_) = [line for line in maps if line.endswith(str(folder / "model.safetensors"))]
    start, end = (int(part, 16) for part in mapped.split()[0].split("-"))
    assert all(start <= one.data_ptr() < end for one in model.parameters())


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_what_does_not_fit_is_left_to_transformers(change: str, tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    tensors = {name: one.clone() for name, one in load_file(folder / "model.safetensors").items()}
    name = "model.layers.0.mlp.up_proj.weight"
    if change == "missing":
        del tensors[name]
    elif change == "unexpected":
        tensors["another"] = torch.zeros(1)
    else:
        tensors[name] = tensors[name][:1]
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_mapped(folder, torch.float32) is None


def test_a_quantized_model_is_left_to_transformers(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    assert load_mapped(folder, torch.float32) is None


def test_without_a_generation_config_it_comes_from_the_model_s(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    (folder / "generation_config.json").unlink()
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    expected = AutoModelForCausalLM.from_pretrained(other).generation_config
    assert load_mapped(folder, torch.float32).generation_config.eos_token_id == expected.eos_token_id

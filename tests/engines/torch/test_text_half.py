"""Checkpoints that also see: their text half is served, whole, or they are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from pilotlight.engines.text.model_config import read_facts
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import GenerationRequest, Sampling
from pilotlight.engines.torch.engine import TorchEngine
from pilotlight.engines.torch.load import load
from pilotlight.errors import WeightsError
from tests.architectures import tiny_config, write_model

# The architecture of the text half, for each whole.
TEXT = {"gemma3": "gemma3_text", "llama4": "llama4_text", "llava": "llama", "qwen3_5": "qwen3_5_text"}
VISION: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "embed_dim", "vision_output_dim", "projector_input_dim"), 32),
    **dict.fromkeys(("num_attention_heads", "num_heads"), 2),
    **dict.fromkeys(("num_hidden_layers", "depth"), 1),
    "projector_output_dim": 32,
    "intermediate_size": 48,
    "out_hidden_size": 64,
    "num_position_embeddings": 16,
    "image_size": 28,
    "patch_size": 14,
}


def tiny_whole(model_type: str) -> Any:
    kind = CONFIG_MAPPING[model_type]
    known = kind().to_dict()["vision_config"]
    vision = {"model_type": known["model_type"]} | {name: size for name, size in VISION.items() if name in known}
    config = kind(text_config=tiny_config(TEXT[model_type]).to_dict(), vision_config=vision)
    torch.manual_seed(0)
    return AutoModelForImageTextToText.from_config(config, dtype=torch.float32).eval()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("model_type", ["gemma3", "llama4", "qwen3_5"])
def test_the_text_half_is_that_of_the_whole(model_type: str, tmp_path: Path) -> None:
    whole = tiny_whole(model_type)
    write_model(whole, tmp_path)
    engine = TorchEngine(tmp_path, device="cpu", dtype="float32", slots=2)
    try:
        ids = torch.tensor([engine.codec.encode("one two three")])
        expected = whole.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
        generation = engine.submit(GenerationRequest("one two three", Sampling(temperature=0, max_tokens=8)))
        generation.text()
        assert generation.output_ids == expected[0, ids.shape[1] :].tolist()
        facts = read_facts(tmp_path, TokenizerCodec(tmp_path))
        assert facts.context_tokens == engine.info.context_tokens
    finally:
        engine.close()


def test_a_tensor_of_the_text_half_must_not_lack_nor_be_too_many(tmp_path: Path) -> None:
    write_model(tiny_whole("qwen3_5"), tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    name = next(one for one in tensors if one.endswith("layers.1.mlp.up_proj.weight"))
    save_file({one: tensor for one, tensor in tensors.items() if one != name}, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks .*mlp\.up_proj\.weight"):
        load(tmp_path, device="cpu")
    save_file(tensors | {"model.language_model.other": torch.zeros(2)}, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"holds .*other.* that the model has no place for"):
        load(tmp_path, device="cpu")


def test_a_whole_without_a_text_half_is_refused_by_name(tmp_path: Path) -> None:
    write_model(tiny_whole("llava"), tmp_path)
    with pytest.raises(WeightsError, match=r"is a llava model, which also sees or hears, and transformers .* has no"):
        load(tmp_path, device="cpu")

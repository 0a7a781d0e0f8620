"""Loading: device and precision by what the machine is good at, chat templates as the model's own file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pilotlight.engines.torch.load import load, pick_device, pick_dtype
from pilotlight.errors import ConfigError
from tests.models import tiny_model

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_auto_is_16_bits_only_where_the_processor_is_fast_at_it() -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    expected = torch.bfloat16 if "avx512_bf16" in flags else torch.float32
    assert pick_dtype("auto", torch.device("cpu")) is expected
    assert pick_dtype("float16", torch.device("cpu")) is torch.float16


def test_auto_is_a_device_that_is_there() -> None:
    device = pick_device("auto")
    assert torch.zeros(1, device=device).sum() == 0
    with pytest.raises(ConfigError, match="which this machine does not have"):
        pick_device("meta")


def test_dtype_is_converted_while_loading(tmp_path: Path) -> None:
    loaded = load(tiny_model("llama", tmp_path), device="cpu", dtype="bfloat16")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}


def test_a_chat_template_is_applied_with_the_assistants_turn_open(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert load(folder, device="cpu").codec.apply_chat_template(turns) is None
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": TEMPLATE}))
    chat = load(folder, device="cpu").codec.apply_chat_template(turns)
    assert chat == "<system>be brief\n<user>hi\n<assistant>"


def test_context_and_end_of_text_come_from_the_folder(tmp_path: Path) -> None:
    folder = tiny_model("gpt2", tmp_path)
    loaded = load(folder, device="cpu")
    assert loaded.context_tokens == 512
    assert loaded.eos_ids == (0,)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [0, 7]}))
    assert load(folder, device="cpu").eos_ids == (0, 7)

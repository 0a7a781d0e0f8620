"""scripts/train/make_bench_model.py and the tiny models that tests make with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from scripts.train.make_bench_model import (
    TINY,
    fill_vocabulary,
    main,
    make_model,
    parameter_count,
    require_room,
    shape_of,
)
from tests.models import ARCHITECTURES, tiny_model, tiny_tokenizer
from tests.paths import ROOT

SCRIPT = ROOT / "scripts/train/make_bench_model.py"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_tiny_model_loads_and_its_greedy_output_varies(arch: str, tmp_path: Path) -> None:
    folder = tiny_model(arch, tmp_path, seed=1)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer("one two three four five six seven", return_tensors="pt")["input_ids"]
    assert model.config.model_type.startswith(arch)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.inference_mode():
        output = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, min_new_tokens=40, max_new_tokens=40
        )
    fresh = output[0, prompt.shape[1] :].tolist()
    assert len(set(fresh)) >= 15


def test_seed_decides_the_weights(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    seeds = {"a": 3, "b": 3, "c": 4}
    files = [tiny_model("llama", tmp_path / name, seed) / "model.safetensors" for name, seed in seeds.items()]
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_dtype_is_that_of_the_file(tmp_path: Path) -> None:
    folder = make_model(tmp_path, TINY["gpt2"], tiny_tokenizer(), dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}


def test_every_id_of_a_filled_vocabulary_decodes_and_texts_encode_as_before() -> None:
    plain = tiny_tokenizer()
    filled = fill_vocabulary(plain, 5000)
    texts = [filled.decode([i]) for i in range(1, 5000)]
    assert all(texts)
    assert len(set(texts[plain.get_vocab_size() - 1 :])) == 5000 - plain.get_vocab_size()
    for text in ("def main(args):\n    return 0", " x01234", "über 🎈"):
        assert filled.encode(text).ids == plain.encode(text).ids
        assert filled.decode(filled.encode(text).ids) == text


def test_tokenizer_larger_than_the_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\d+ ids and the model only 300"):
        fill_vocabulary(tiny_tokenizer(), 300)


@pytest.mark.parametrize(
    ("arch", "size", "parameters"),
    [
        ("llama", "135m", 134_515_008),
        ("llama", "0.5b", 494_032_768 - 24 * (896 + 2 * 128)),  # Qwen2.5-0.5B without the biases of its attention
        ("llama", "1b", 1_235_814_400),
        ("llama", "8b", 8_030_261_248),
        ("gpt2", "gpt2-124m", 124_439_808),
    ],
)
def test_shapes_of_real_models_have_their_parameters(arch: str, size: str, parameters: int) -> None:
    assert parameter_count(shape_of(arch, size)) == parameters


def test_large_weights_come_in_several_files_of_the_same_values(tmp_path: Path) -> None:
    whole = make_model(tmp_path / "whole", TINY["llama"], tiny_tokenizer())
    steps: list[str] = []
    shards = make_model(tmp_path / "shards", TINY["llama"], tiny_tokenizer(), shard_size="60KB", step=steps.append)
    assert len(list(shards.glob("model-*-of-*.safetensors"))) >= 3
    one, other = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (whole, shards))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [step.split()[0] for step in steps] == ["a", "0.00", "writing"]


def test_a_disk_without_room_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"new/model would take 10000000000\.0 GB and its disk has [\d.]+ GB: choose"):
        require_room(tmp_path / "new" / "model", 10**19)
    require_room(tmp_path / "new" / "model", 1)
    assert list(tmp_path.iterdir()) == []


def test_command_makes_a_model_with_the_tokenizer_given(tmp_path: Path) -> None:
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    command = [sys.executable, SCRIPT, "--arch", "opt", "--tokenizer", tmp_path / "tokenizer.json", "--out"]
    result = subprocess.run([*command, tmp_path / "out"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "opt tiny, seed 0" in result.stderr
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arch", "opt", "--size", "135m"], "opt has no size '135m': choose tiny"),
        (["--tokenizer", "missing.json"], "no tokenizer: looked for missing.json"),
    ],
)
def test_mistake_is_one_message(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path / "out"), *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

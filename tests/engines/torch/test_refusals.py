"""What is not the model is refused with the sentence in docs/models-and-weights.md, or loaded as it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pilotlight.engines.torch.load import load
from pilotlight.errors import WeightsError
from pilotlight.loading import check_loadable
from pilotlight.loading.files.checks.exportable import require_exportable
from scripts.dev.write_refusals import CASES, base_model, config, page_table, renamed, sentence, tensors
from tests.models import tiny_model

ROWS = dict(line[2:-2].split(" | ", 1) for line in page_table().splitlines()[2:])
IDS = torch.tensor([[5, 90, 17, 300, 44, 8]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_model(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("title", CASES)
def test_a_refusal_says_what_the_page_shows(title: str, base: Path, tmp_path: Path) -> None:
    said = sentence(base, tmp_path / "model", CASES[title])
    assert said == ROWS[title], "run: scripts/dev/write_refusals.py"
    assert "\n" not in said


def test_the_page_has_these_cases_and_no_other() -> None:
    assert ROWS.keys() == CASES.keys()


def logits(folder: Path) -> torch.Tensor:
    check_loadable(folder)
    with torch.inference_mode():
        scores: torch.Tensor = load(folder, device="cpu", dtype="float32").model(IDS).logits
    return scores


def prefixed(prefix: str) -> Callable[[Path], None]:
    return tensors(lambda found: {prefix + name: one for name, one in found.items()})


def inv_freq(folder: Path) -> None:
    names = [f"model.layers.{layer}.self_attn.rotary_emb.inv_freq" for layer in range(2)]
    tensors(lambda found: {**found, **{name: torch.ones(8) for name in names}})(folder)


@pytest.mark.parametrize(
    "change",
    [
        prefixed("_orig_mod."),
        prefixed("module."),
        prefixed("module._orig_mod."),
        prefixed("model."),
        prefixed("base_model.model."),
        tensors(lambda found: {name.removeprefix("model."): one for name, one in found.items()}),
        tensors(lambda found: {name.replace("layers.1.", "layers.1._orig_mod."): one for name, one in found.items()}),
        renamed("weights.safetensors"),
        renamed("model.fp16.safetensors"),
        renamed("model-00001-of-00001.safetensors"),
        inv_freq,
        config(architectures=None),
        config(auto_map={"AutoModelForCausalLM": "modeling_ours.Ours"}),
    ],
)
def test_what_can_be_read_rightly_is(change: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    expected = logits(folder)
    change(folder)
    assert torch.equal(logits(folder), expected)


@pytest.mark.parametrize("arch", ["gpt2", "gpt_neox", "mixtral"])
def test_a_prefix_is_taken_off_where_transformers_converts_the_names(arch: str, tmp_path: Path) -> None:
    folder = tiny_model(arch, tmp_path)
    expected = logits(folder)
    prefixed("_orig_mod.")(folder)
    assert torch.equal(logits(folder), expected)


def test_a_head_of_its_own_is_honoured_whatever_the_flag_says(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    expected = logits(folder)
    config(tie_word_embeddings=True)(folder)
    assert torch.equal(logits(folder), expected)


def test_a_tied_head_may_lack_or_be_there_twice(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    config(tie_word_embeddings=True)(folder)
    tensors(lambda found: {**found, "lm_head.weight": found["model.embed_tokens.weight"] + 0})(folder)
    twice = logits(folder)
    tensors(lambda found: {name: one for name, one in found.items() if name != "lm_head.weight"})(folder)
    assert torch.equal(logits(folder), twice)
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(load(folder, device="cpu", dtype="float32").model.lm_head.weight, embedding)


def test_an_expert_that_lacks_is_refused_where_transformers_merges_them(tmp_path: Path) -> None:
    folder = tiny_model("mixtral", tmp_path)
    tensors(lambda found: {name: one for name, one in found.items() if "experts.2.w1" not in name})(folder)
    with pytest.raises(
        WeightsError, match=r"is not the MixtralForCausalLM .* does not fit together, so some of it lacks"
    ):
        load(folder, device="cpu")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path)
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    state["model"]["vocab"] |= {f"more-{number}": 512 + number for number in range(10)}
    path.write_text(json.dumps(state))
    with pytest.raises(WeightsError, match="its tokenizer has 522 tokens and the model has embeddings for 512"):
        load(folder, device="cpu")
    path.write_text("{")
    with pytest.raises(WeightsError, match="its tokenizer cannot be read"):
        load(folder, device="cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (prefixed("_orig_mod."), "with the prefix of a wrapper"),
        (renamed("weights.safetensors"), r"has its weights in weights\.safetensors"),
        (config(quantization_config={"quant_method": "gptq"}), "is quantised with GPTQ already"),
    ],
)
def test_what_an_exporter_would_read_wrongly_is_not_exported(
    change: Callable[[Path], None], words: str, base: Path, tmp_path: Path
) -> None:
    folder = tiny_model("llama", tmp_path)
    require_exportable(folder)
    change(folder)
    with pytest.raises(WeightsError, match=words):
        require_exportable(folder)

#!/usr/bin/env python
"""Write the table of refused models in docs/models-and-weights.md: each case is made, and says what it says.

With --check nothing is written; the exit status is 1 where the table differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

import torch
from safetensors.torch import load_file, save_file

from pilotlight.engines.torch.load import load
from pilotlight.errors import PilotlightError
from pilotlight.loading import check_loadable
from scripts.train.make_bench_model import TINY, TINY_VOCAB, make_model, train_tokenizer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models-and-weights.md"
BEGIN, END = "<!-- refusals: written by scripts/dev/write_refusals.py -->", "<!-- end of refusals -->"
WEIGHTS = "model.safetensors"
Tensors = dict[str, torch.Tensor]


def tensors(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    """Return what changes the tensors of a folder."""

    def apply(folder: Path) -> None:
        found = {name: one.clone() for name, one in load_file(folder / WEIGHTS).items()}
        (folder / WEIGHTS).unlink()
        changed = {name: one.contiguous() for name, one in change(found).items()}
        save_file(changed, folder / WEIGHTS, metadata={"format": "pt"})

    return apply


def config(**changes: Any) -> Callable[[Path], None]:
    """Return what changes the ``config.json`` of a folder; ``None`` removes a key."""

    def apply(folder: Path) -> None:
        before = json.loads((folder / "config.json").read_text())
        after = {key: value for key, value in (before | changes).items() if value is not None}
        (folder / "config.json").write_text(json.dumps(after))

    return apply


def without(*names: str) -> Callable[[Tensors], Tensors]:
    return lambda found: {name: one for name, one in found.items() if name not in names}


def cast(dtype: torch.dtype) -> Callable[[Tensors], Tensors]:
    return lambda found: {name: one.to(dtype) if "mlp" in name else one for name, one in found.items()}


def renamed(*names: str) -> Callable[[Path], None]:
    """Return what gives the weights of a folder other names, one copy for each."""

    def apply(folder: Path) -> None:
        for name in names:
            shutil.copyfile(folder / WEIGHTS, folder / name)
        (folder / WEIGHTS).unlink()

    return apply


def removed(*names: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return apply


def index(**places: str) -> Callable[[Path], None]:
    """Return what splits the weights: all of them in one shard, and an index that says otherwise."""

    def apply(folder: Path) -> None:
        names = list(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
        weight_map = dict.fromkeys(names, "model-00001-of-00002.safetensors") | places
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return apply


def adapter(folder: Path) -> None:
    renamed("adapter_model.safetensors")(folder)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "org/base"}')


def quantized(method: str, **more: Any) -> Callable[[Path], None]:
    return config(quantization_config={"quant_method": method, **more})


def own_code(folder: Path) -> None:
    config(model_type="ours", auto_map={"AutoModelForCausalLM": "modeling_ours.Ours"})(folder)
    (folder / "modeling_ours.py").write_text("")


UP = "model.layers.1.mlp.up_proj.weight"
CASES: dict[str, Callable[[Path], None]] = {
    "an output layer lacks, and the configuration does not tie it": tensors(without("lm_head.weight")),
    "a tensor lacks in one layer": tensors(without(UP)),
    "a tensor lacks": tensors(without("model.norm.weight")),
    "a tensor is too many": tensors(lambda found: {**found, "extra.weight": torch.zeros(3)}),
    "a tensor is there twice, with a wrapper's prefix": tensors(
        lambda found: {**found, f"_orig_mod.{UP}": found[UP] + 0}
    ),
    "layers lack": config(num_hidden_layers=3),
    "layers are too many": config(num_hidden_layers=1),
    "the vocabulary has another size": config(vocab_size=600),
    "shapes differ": config(intermediate_size=100),
    "a shard lacks": index(other="model-00002-of-00002.safetensors"),
    "a shard holds less than the index says": index(other="model-00001-of-00002.safetensors"),
    "numbered shards without all numbers": renamed("model-00001-of-00003.safetensors"),
    "two variants": renamed("model.fp16.safetensors", "model.bf16.safetensors"),
    "Mistral's own file": renamed("consolidated.safetensors"),
    "pickles only": renamed("pytorch_model.bin"),
    "an adapter": adapter,
    "an adapter's tensors in the model": tensors(lambda found: {**found, "q_proj.lora_A.weight": torch.zeros(2, 2)}),
    "integers without a configuration": tensors(cast(torch.int8)),
    "fp8 without a configuration": tensors(cast(torch.float8_e4m3fn)),
    "GPTQ": quantized("gptq", bits=4),
    "AWQ": quantized("awq", bits=4),
    "bitsandbytes": quantized("bitsandbytes", load_in_4bit=True),
    "fp8 for FBGEMM": quantized("fbgemm_fp8"),
    "compressed-tensors": quantized("compressed-tensors"),
    "HQQ": quantized("hqq"),
    "MLX": config(quantization={"bits": 4, "group_size": 64}),
    "BERT": config(model_type="bert", architectures=["BertForMaskedLM"]),
    "BERT with a head, without is_decoder": config(model_type="bert", architectures=["BertLMHeadModel"]),
    "a classifier": config(architectures=["LlamaForSequenceClassification"]),
    "BART, T5, Whisper, Marian": config(model_type="t5", architectures=["T5ForConditionalGeneration"]),
    "ViT, CLIP": config(model_type="vit", architectures=["ViTModel"]),
    "no model_type": config(model_type=None),
    "an unknown model_type": config(model_type="unheard-of"),
    "code that comes with the model": own_code,
    "no config.json": removed("config.json"),
    "no tokenizer": removed("tokenizer.json"),
    "a diffusers pipeline": lambda folder: (folder / WEIGHTS).rename(folder / "model_index.json") and None,
}


def base_model(folder: Path) -> Path:
    """Make the tiny Llama that every case starts from."""
    tokenizer = train_tokenizer(["one two three four five six seven"], TINY_VOCAB)
    return make_model(folder / "model", TINY["llama"], tokenizer, dtype=torch.float32)


def sentence(base: Path, folder: Path, change: Callable[[Path], None]) -> str:
    """Return what is said of a copy of ``base`` after ``change``; the copy's name stands as MODEL.

    Raises:
        AssertionError: it was not refused.
    """
    shutil.copytree(base, folder)
    change(folder)
    try:
        check_loadable(folder)
        load(folder, device="cpu", dtype="float32")
    except PilotlightError as error:
        return str(error).replace(str(folder), "MODEL")
    raise AssertionError(f"{folder} was not refused")


def table() -> str:
    """Return the whole table in Markdown."""
    rows = ["| what is wrong | what it says |", "| --- | --- |"]
    with tempfile.TemporaryDirectory() as scratch:
        base = base_model(Path(scratch))
        for number, (title, change) in enumerate(CASES.items()):
            said = sentence(base, Path(scratch) / str(number), change).replace("|", "\\|")
            rows.append(f"| {title} | {said} |")
    return "\n".join(rows)


def page_table() -> str:
    """Return the table as it stands in the page."""
    return PAGE.read_text().partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the table differs")
    args = parser.parse_args(arguments)
    new, old = table(), page_table()
    if args.check:
        return int(new != old)
    PAGE.write_text(PAGE.read_text().replace(f"{BEGIN}\n{old}\n{END}", f"{BEGIN}\n{new}\n{END}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

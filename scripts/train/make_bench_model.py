#!/usr/bin/env python
"""Make a model folder with random weights: the shape and the speed of a real model, and nothing to download.

Examples:
    python scripts/train/make_bench_model.py --size 135m --out .cache/models/llama-135m  # 0.3 GB
    python scripts/train/make_bench_model.py --size 0.5b --out .cache/models/llama-0.5b  # 1.0 GB
    python scripts/train/make_bench_model.py --size 8b --out /data/llama-8b              # 16 GB, in shards, for a GPU
    python scripts/train/make_bench_model.py --arch mixtral --dtype float32 --out .cache/models/tiny-mixtral

It needs as much memory as the model has bytes, and a shard.  What such a model generates is noise, but steady noise: a
seed gives the same weights, and every token id decodes to some text, so that streaming, stop strings and token counts
behave as they do with a trained model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
EOS = "<|endoftext|>"
TOKENIZERS = (ROOT / "weights/pylight-5m/tokenizer.json", ROOT / ".cache/train_demo/tokenizer.json")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

OTHER_FILES_BYTES = 50_000_000  # most of it a tokenizer with 150,000 ids

TINY_VOCAB = 512
TINY_CONTEXT = 512
# Training starts from about 0.02, where a few layers hardly change their input and greedy decoding repeats one token.
TINY_INITIALIZER_RANGE = 0.4


@dataclass(frozen=True, slots=True)
class Shape:
    """A configuration class of transformers, by name, and what to call it with."""

    config: str
    settings: dict[str, Any]

    def replace(self, **settings: Any) -> Shape:
        return Shape(self.config, {**self.settings, **settings})

    def build(self) -> PretrainedConfig:
        make: Callable[..., PretrainedConfig] = getattr(transformers, self.config)
        return make(**self.settings)


def _tiny(config: str, **settings: Any) -> Shape:
    """Two layers of 64, four heads, two of them shared where the architecture can: milliseconds per token."""
    common = {
        "vocab_size": TINY_VOCAB,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": TINY_CONTEXT,
        "initializer_range": TINY_INITIALIZER_RANGE,
        "tie_word_embeddings": False,
    }
    return Shape(config, common | settings)


TINY = {
    "gpt2": Shape(
        "GPT2Config",
        {
            "vocab_size": TINY_VOCAB,
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": TINY_CONTEXT,
            "initializer_range": TINY_INITIALIZER_RANGE,
            "tie_word_embeddings": False,
        },
    ),
    "llama": _tiny("LlamaConfig", num_key_value_heads=2),
    "qwen3": _tiny("Qwen3Config", num_key_value_heads=2, head_dim=16),
    "gemma3": _tiny(
        "Gemma3TextConfig",
        num_key_value_heads=2,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=16,  # short enough that a test's prompt outgrows it
        layer_types=["sliding_attention", "full_attention"],
    ),
    "phi3": _tiny("Phi3Config", num_key_value_heads=2, original_max_position_embeddings=TINY_CONTEXT),
    "gpt_neox": _tiny("GPTNeoXConfig"),
    "opt": Shape(
        "OPTConfig",
        {
            "vocab_size": TINY_VOCAB,
            "hidden_size": 64,
            "word_embed_proj_dim": 64,
            "ffn_dim": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": TINY_CONTEXT,
            "init_std": TINY_INITIALIZER_RANGE,
            "tie_word_embeddings": False,
        },
    ),
    "mixtral": _tiny("MixtralConfig", num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2),
}
ARCHITECTURES = tuple(TINY)
SIZES = ("tiny", "135m", "0.5b", "1b", "8b", "gpt2-124m")

# The shapes of HuggingFaceTB/SmolLM2-135M, Qwen/Qwen2.5-0.5B (as a Llama, which has no biases), meta-llama/Llama-3.2-1B
# and Llama-3.1-8B, and openai-community/gpt2, from their config.json.
REAL = {
    ("llama", "135m"): Shape(
        "LlamaConfig",
        {
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        },
    ),
    ("llama", "0.5b"): Shape(
        "LlamaConfig",
        {
            "vocab_size": 151_936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
        },
    ),
    ("llama", "1b"): Shape(
        "LlamaConfig",
        {
            "vocab_size": 128_256,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        },
    ),
    ("llama", "8b"): Shape(
        "LlamaConfig",
        {
            "vocab_size": 128_256,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        },
    ),
    ("gpt2", "gpt2-124m"): Shape("GPT2Config", {"vocab_size": 50_257, "n_positions": 1024}),
}


def shape_of(arch: str, size: str) -> Shape:
    """The shape of an architecture in a size; ``ValueError`` says which sizes there are."""
    if size == "tiny":
        return TINY[arch]
    if (arch, size) not in REAL:
        fitting = ["tiny", *(s for a, s in REAL if a == arch)]
        raise ValueError(f"{arch} has no size {size!r}: choose {' or '.join(fitting)}")
    return REAL[arch, size]


def parameter_count(shape: Shape) -> int:
    """How many parameters a model of that shape has; nothing of it is made."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape.build())
    return sum(parameter.numel() for parameter in model.parameters())


def require_room(folder: Path, size_bytes: int) -> None:
    """``ValueError`` when the disk of ``folder``, which need not be there yet, has not so much room."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < size_bytes:
        raise ValueError(
            f"{folder} would take {size_bytes / 1e9:.1f} GB and its disk has {free_bytes / 1e9:.1f} GB: "
            "choose a smaller --size or an --out on another disk"
        )


def train_tokenizer(texts: list[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE with at most ``vocab_size`` ids; id 0 is the end of text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[EOS], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def fill_vocabulary(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """Give every id below ``size`` that the tokenizer lacks a text of its own, such as `` x01a2f``.

    A model with random weights picks any id.  No merge leads to the added ones, so texts are encoded as before.
    """
    state = json.loads(tokenizer.to_str())
    vocab: dict[str, int] = state["model"]["vocab"]
    used = set(tokenizer.get_vocab(with_added_tokens=True).values())
    if max(used) >= size:
        raise ValueError(f"the tokenizer has {max(used) + 1} ids and the model only {size}: use a smaller tokenizer")
    vocab.update({f"Ġx{i:05x}": i for i in range(size) if i not in used})  # Ġ is a space in byte-level BPE
    return Tokenizer.from_str(json.dumps(state))


def make_model(
    folder: Path,
    shape: Shape,
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    shard_size: str = "2GB",
    step: Callable[[str], None] = lambda what: None,
) -> Path:
    """Write config, generation config, tokenizer and safetensors of a randomly initialized model; returns ``folder``.

    Weights beyond ``shard_size`` come in several files.  ``step`` is told what is about to be done.  Raises
    ``ValueError`` when the tokenizer has no end of text or more ids than the model, or the disk has no room.
    """
    eos = tokenizer.token_to_id(EOS)
    if eos is None:
        raise ValueError(f"the tokenizer has no {EOS} token: give one made by scripts/train/train_demo.py")
    named = shape.replace(bos_token_id=eos, eos_token_id=eos, pad_token_id=eos)
    config = named.build()
    weights_bytes = parameter_count(named) * dtype.itemsize
    require_room(folder, weights_bytes + OTHER_FILES_BYTES)
    step("a text for every token id")
    filled = fill_vocabulary(tokenizer, config.vocab_size)
    step(f"{weights_bytes / 1e9:.2f} GB of random weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    folder.mkdir(parents=True, exist_ok=True)
    step(f"writing to {folder}")
    model.save_pretrained(folder, max_shard_size=shard_size)
    PreTrainedTokenizerFast(
        tokenizer_object=filled,
        eos_token=EOS,
        pad_token=EOS,
        model_max_length=config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    return folder


def find_tokenizer(given: Path | None) -> Tokenizer:
    """The tokenizer file that was given, or the demo model's, finished or still in training."""
    candidates = (given,) if given else TOKENIZERS
    for path in candidates:
        if path.is_file():
            return Tokenizer.from_file(str(path))
    looked = ", ".join(str(path) for path in candidates)
    raise ValueError(f"no tokenizer: looked for {looked}; give one with --tokenizer FILE")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """What is being done, and since when, on stderr where that is a terminal; the shards have a bar of their own."""
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), "{task.description}", TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("")

        def step(what: str) -> None:
            bar.reset(task, description=what)
            if what.startswith("writing"):
                bar.stop()  # two bars would write over each other

        yield step


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=ARCHITECTURES, default="llama")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json; default: the demo model's")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    args = parser.parse_args(arguments)
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    try:
        shape = shape_of(args.arch, args.size)
        tokenizer = find_tokenizer(args.tokenizer)
        if args.size == "tiny":
            shape = shape.replace(vocab_size=max(TINY_VOCAB, tokenizer.get_vocab_size()))
        with progress() as step:
            make_model(args.out, shape, tokenizer, seed=args.seed, dtype=DTYPES[args.dtype], step=step)
    except ValueError as error:
        parser.error(str(error))
    size_bytes = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {args.arch} {args.size}, seed {args.seed}, {size_bytes / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()

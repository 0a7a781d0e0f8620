#!/usr/bin/env python
"""Write the demo model's card, README.md and loss.png, from its training.json and its manifest, then the manifest anew.

    python scripts/train/demo_card.py --sample     # let the trained model write samples into training.json, then render
    python scripts/train/demo_card.py              # render from training.json alone

What only the model itself can tell (its shape, samples, how often it ends what it began) is measured by ``--sample``
and kept in training.json, so that the card can be rendered again without torch. What ``pilotlight export`` made of the
model, with its figures, is in manifest.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilotlight.loading.files.manifest import ArtifactCheck, Manifest, write_manifest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.train.demo_data import read_source, stdlib_files, top_level_definitions

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "scripts/train/train_demo.py"
Report = dict[str, Any]  # training.json; scripts/train/train_demo.py writes it

SAMPLE_PROMPTS = (
    "def main(args):",
    "def is_prime(n):",
    "class Stack:\n    def __init__(self):",
    "import os\n\n\ndef find_files(root, suffix):",
    "class ParserTest(unittest.TestCase):\n    def test_empty(self):",
)
SAMPLE_TOKENS = 200
SAMPLE_SEED = 1
SAMPLING = {"temperature": 0.7, "top_p": 0.95, "repetition_penalty": 1.1}
GREEDY = {"repetition_penalty": 1.25}

# Heads of functions in the manner of the standard library; none is in it as it stands here.
FUNCTION_HEADS = (
    "def read_lines(path, encoding='utf-8'):",
    "def clamp(value, low, high):",
    "def _is_hidden(name):",
    "def merge(left, right):",
    "def get_default(self, key):",
    "def parse_header(line):",
    "def to_bytes(obj):",
    "def walk_tree(node, visitor):",
    "def close_all(files):",
    "def format_size(n):",
    "def _check_closed(stream):",
    "def count_words(text):",
    "def remove_prefix(name, prefix):",
    "def open_socket(host, port, timeout=None):",
    "def split_path(path):",
    "def normalize(items):",
    "def load_config(filename):",
    "def set_flag(obj, flag, value=True):",
    "def _quote(s):",
    "def test_round_trip(self):",
)

END_LIMIT_TOKENS = 300
END_FILES, END_DEFINITIONS = 30, 4  # of the held-out files, so many, and so many definitions of each

SHAPE = {  # what the card shows of config.json
    "hidden_size": "hidden size",
    "intermediate_size": "feed-forward size",
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention heads",
    "num_key_value_heads": "key and value heads",
    "head_dim": "head size",
    "vocab_size": "vocabulary",
    "max_position_embeddings": "context, tokens",
    "tie_word_embeddings": "input and output embeddings tied",
}
LINE_COLOR, FAINT_COLOR, SECOND_COLOR = "#1f5fa8", "#b9cfe8", "#c4551d"


def sample(folder: Path, *, sample_tokens: int = SAMPLE_TOKENS, end_limit_tokens: int = END_LIMIT_TOKENS) -> Report:
    """What the model in ``folder`` adds to its report: shape, samples, and the share of functions that it ends."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    eos: int = tokenizer.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=eos, pad_token_id=eos)  # nothing but what is said here

    def complete(prompts: list[str], limit_tokens: int, **how: Any) -> list[tuple[str, bool]]:
        """Each completion, and whether it ended by the end-of-text token."""
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=limit_tokens, **how)
        rows = [row.tolist() for row in output[:, inputs["input_ids"].shape[1] :]]
        return [(tokenizer.decode(row, skip_special_tokens=True), eos in row) for row in rows]

    samples = []
    for prompt in SAMPLE_PROMPTS:
        [(greedy, greedy_ended)] = complete([prompt], sample_tokens, do_sample=False, **GREEDY)
        torch.manual_seed(SAMPLE_SEED)
        [(drawn, drawn_ended)] = complete([prompt], sample_tokens, do_sample=True, top_k=0, **SAMPLING)
        ended = {"greedy": greedy_ended, "sampled": drawn_ended}
        samples.append({"prompt": prompt, "greedy": greedy, "sampled": drawn, "seed": SAMPLE_SEED, "ended": ended})
    heads = list(FUNCTION_HEADS)
    greedy_ends = [ended for _, ended in complete(heads, end_limit_tokens, do_sample=False, **GREEDY)]
    torch.manual_seed(SAMPLE_SEED)
    sampled_ends = [ended for _, ended in complete(heads, end_limit_tokens, do_sample=True, top_k=0, **SAMPLING)]
    return {
        "shape": {key: getattr(model.config, key) for key in SHAPE},
        "sampling": {"max_new_tokens": sample_tokens, **SAMPLING},
        "greedy": GREEDY,
        "samples": samples,
        "end_of_text": {
            "prompts": len(heads),
            "limit_tokens": end_limit_tokens,
            "ended": sum(greedy_ends),
            "ended_sampled": sum(sampled_ends),
            **end_probabilities(model, tokenizer),
        },
    }


def end_probabilities(model: Any, tokenizer: Any) -> Report:
    """The probability that the model gives the end of text where a held-out definition ends, and within it."""
    import torch

    _, held_out = stdlib_files()
    at_end: list[float] = []
    within: list[float] = []
    for path in held_out[:END_FILES]:
        for definition in top_level_definitions(read_source(path))[:END_DEFINITIONS]:
            ids = tokenizer(definition, return_tensors="pt").input_ids
            if ids.shape[1] <= model.config.max_position_embeddings:
                with torch.inference_mode():
                    *inner, last = model(input_ids=ids).logits[0].softmax(-1)[:, tokenizer.eos_token_id].tolist()
                at_end.append(last)
                within += inner
    return {
        "definitions": len(at_end),
        "probability_at_end": statistics.fmean(at_end),
        "probability_within": statistics.fmean(within),
    }


def draw_curve(report: Report, path: Path) -> None:
    """The loss of every step, and held-out bits per byte against xz, side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curve: list[dict[str, float]] = report["curve"]
    held_out = report["held_out"]
    millions = report["tokens_seen"] / len(curve) / 1e6  # tokens of one step
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), dpi=160, layout="constrained")

    x = [point["step"] * millions for point in curve]
    losses = [point["loss"] for point in curve]
    left.plot(x, losses, color=FAINT_COLOR, linewidth=0.8, label="one step")
    left.plot(x, running_median(losses, 25), color=LINE_COLOR, linewidth=1.6, label="median of 25")
    left.set(title="Training loss", ylabel="nats per token", xlabel="million tokens seen")

    measured = [p for p in curve if "held_out_sample_bits_per_byte" in p]
    right.plot(
        [p["step"] * millions for p in measured],
        [p["held_out_sample_bits_per_byte"] for p in measured],
        color=LINE_COLOR,
        marker="o",
        markersize=3,
        label="a sample of the files",
    )
    right.plot(x[-1:], [held_out["bits_per_byte"]], "D", color=SECOND_COLOR, label="all files, weights in bf16")
    right.axhline(
        held_out["xz_9_bits_per_byte"], color="#666666", linestyle="--", linewidth=1, label="all files, xz -9"
    )
    right.set(title="Held-out files", ylabel="bits per byte", xlabel="million tokens seen")
    right.set_ylim(bottom=0)

    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.legend(frameon=False, fontsize=8)
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, facecolor="white", metadata={"Software": None})  # no version: the same JSON, the same file
    plt.close(figure)


def running_median(values: list[float], window: int) -> list[float]:
    half = window // 2
    return [statistics.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def table(header: tuple[str, str], rows: list[tuple[str, object]]) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])


def fence(text: str) -> str:
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return f"{ticks}python\n{text.rstrip()}\n{ticks}"


def samples_text(report: Report) -> str:
    parts = []
    how = report["sampling"]
    for one in report["samples"]:
        for kind, name in (("greedy", "Greedy"), ("sampled", f"Sampled, seed {one['seed']}")):
            cut = "" if one["ended"][kind] else f", cut after {how['max_new_tokens']} tokens"
            parts.append(f"{name}{cut}:\n\n{fence(one['prompt'] + one[kind])}")
    return "\n\n".join(parts)


def artifacts_text(manifest: Manifest) -> str:
    """The section on what was exported; empty where nothing was."""
    parts = []
    for one in manifest.artifacts:
        check = one.check
        assert isinstance(check, ArtifactCheck), "the model writes text: this is a bug"
        size_bytes = sum(file.size_bytes for file in manifest.files if file.name.startswith(f"{one.name}/"))
        figures: list[tuple[str, object]] = [
            ("size", f"{size_bytes / 1e6:.1f} MB"),
            (f"bits per byte on {check.tokens:,} tokens of {check.text}", f"{check.artifact_bits_per_byte:.4f}"),
            ("the weights above on the same, in float32", f"{check.source_bits_per_byte:.4f}"),
            ("lost", f"{check.loss:.2%}"),
            (f"greedy output the same as theirs, of {check.greedy_tokens} tokens", f"{check.greedy_agreement:.1%}"),
        ]
        if check.stages_agreement is not None:
            figures.append(("its first stage the same as batching", f"{check.stages_agreement:.1%}"))
        parts.append(table((f"`{one.name}`", ""), figures))
    return ARTIFACTS.format(tables="\n\n".join(parts)) if parts else ""


ARTIFACTS = """
## For a faster start on a CPU
{tables}

`pilotlight export` made it from the weights, and on a machine without a GPU the predictor picks it. Its
`first_stage.blob` is for processors with the instructions of the one that it was compiled on, and for one version of
OpenVINO; any other is told so in one log line, and is ready a little later.
"""

CARD = """\
---
license: other
license_name: psf-2.0
license_link: https://docs.python.org/3/license.html
library_name: transformers
pipeline_tag: text-generation
tags: [python, code, llama]
---
# {name}

A Llama of {millions:.1f} million parameters that completes Python. It was trained from nothing on the standard library
of Python {python} in {minutes:.0f} minutes, to be small enough for a repository and real enough to show streaming,
batching and stop tokens at work. It is a demonstration, not an assistant.

## How good it is
{figures}

The files held out are whole files that training never saw, chosen by a hash of their path. `xz -9` compressed all of
them together. A model that spends fewer bits on a byte than a compressor has learned something that is not repetition.
The end of text is known where it comes ({definitions} definitions of those files), but left to itself the model often
does not get there. Without a repetition penalty greedy decoding soon repeats itself, as it does with most models of
this size: sample from it, or give one.

![Training loss, and bits per byte on held-out files]({picture})

## What it writes
Greedy with a repetition penalty of {greedy_penalty}; sampled with temperature {temperature}, top_p {top_p} and a
penalty of {penalty}.

{samples}

## What it is
{shape}

The tokenizer is byte-level BPE, trained on the same files: every byte string has an encoding. Id 0, `<|endoftext|>`,
ends a file; training also saw files cut into their top-level functions and classes, each ending with it.
{artifacts}
## Data and license
{train_files:,} files, {train_mb:.1f} MB, of the standard library of Python {python}, as installed, tests included;
{held_files:,} more, {held_mb:.2f} MB, were held out. They are under the Python Software Foundation License, version 2
(<https://docs.python.org/3/license.html>), and so are these weights. The model may repeat passages of that code.

## Make it again
```text
{command}
python scripts/train/demo_card.py --sample
python scripts/train/demo_data.py --held-out | xargs cat > held-out.txt
pilotlight export weights/{name} --precision bf16 --text held-out.txt
python scripts/train/demo_card.py
```
Training is seeded and goes on from its last checkpoint when it was stopped. It saw {tokens:.1f} million tokens, with
torch {torch}. Other versions or other processors round differently, and give other weights of the same quality.

## Limits
- It has seen library code and its tests and nothing else: no prose, no chat, no other language, no other package.
- What it writes looks like Python; it seldom does what its name says. Do not run it unread.
- {context} tokens of context, prompt and completion together.
"""


def card(report: Report, manifest: Manifest, name: str, picture: str) -> str:
    """The model card in Markdown; ``KeyError`` names what the report lacks."""
    held_out, train, ends, shape = report["held_out"], report["train"], report["end_of_text"], report["shape"]
    ended = f"{ends['ended_sampled']} of {ends['prompts']} sampled, {ends['ended']} of {ends['prompts']} greedily"
    figures: list[tuple[str, object]] = [
        ("this model, bits per byte", f"**{held_out['bits_per_byte']:.3f}**"),
        ("`xz -9`, bits per byte", f"{held_out['xz_9_bits_per_byte']:.3f}"),
        ("probability of end of text where a function or class ends", f"{ends['probability_at_end']:.2f}"),
        ("the same within a function or class", f"{ends['probability_within']:.6f}"),
        (f"functions that it ends by itself within {ends['limit_tokens']} tokens", ended),
    ]
    named = [(SHAPE[key], {True: "yes", False: "no"}.get(value, value)) for key, value in shape.items()]
    return CARD.format(
        name=name,
        picture=picture,
        millions=report["parameters"] / 1e6,
        python=report["python"],
        torch=report["torch"],
        minutes=report["wall_s"] / 60,
        figures=table(("on the held-out files", ""), figures),
        samples=samples_text(report),
        artifacts=artifacts_text(manifest),
        shape=table(("Llama", ""), [("parameters", f"{report['parameters']:,}"), *named, ("weights", "bf16")]),
        train_files=train["files"],
        train_mb=train["size_bytes"] / 1e6,
        held_files=held_out["files"],
        definitions=ends["definitions"],
        held_mb=held_out["size_bytes"] / 1e6,
        command=report["command"],
        tokens=report["tokens_seen"] / 1e6,
        context=shape["max_position_embeddings"],
        temperature=report["sampling"]["temperature"],
        top_p=report["sampling"]["top_p"],
        penalty=report["sampling"]["repetition_penalty"],
        greedy_penalty=report["greedy"]["repetition_penalty"],
    )


def update(path: Path, change: Callable[[], Report]) -> None:
    """Add to the JSON file; it is either the old one or the new one, never half of one."""
    report = json.loads(path.read_text()) | change()
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=ROOT / "weights" / "pylight-5m", help="the trained model"
    )
    parser.add_argument("--sample", action="store_true", help="first run the model and add to training.json")
    args = parser.parse_args(arguments)
    path: Path = args.folder / "training.json"
    if not path.is_file():
        parser.error(f"{path} is not there: train the model first, python {SOURCE} --out {args.folder}")
    if args.sample:
        update(path, lambda: sample(args.folder))
    report = json.loads(path.read_text())
    try:
        # Written twice, for an artifact of other weights is listed no more, and the card is among the files.
        manifest = write_manifest(args.folder, source=SOURCE)
        text = card(report, manifest, args.folder.resolve().name, "loss.png")
    except KeyError as error:
        parser.error(f"{path} lacks {error}: run python scripts/train/demo_card.py --sample {args.folder} first")
    draw_curve(report, args.folder / "loss.png")
    (args.folder / "README.md").write_text(text, encoding="utf-8")
    write_manifest(args.folder, source=SOURCE)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Train the demo classifier: a small DistilBERT that says which area of Python's standard library a function is from.

The data is every function and method of the standard library on this machine that belongs to one of twelve areas; whole
files are held out.  Seeded, on one thread.

    python scripts/train/train_classifier.py                        # writes weights/pylight-areas
    python scripts/train/train_classifier.py --epochs 1 --out .cache/areas
    python scripts/train/train_classifier.py --card weights/pylight-areas     # the card again, from training.json alone

Writes config, tokenizer, fp16 weights, ``training.json`` (settings, curve, held-out figures), the card made from it,
and the manifest.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pilotlight.loading.files.manifest import write_manifest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.train.classifier_card import card
from scripts.train.classifier_data import AREAS, Snippet, snippets

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "scripts/train/train_classifier.py"
VOCAB_SIZE = 4096
MAX_TOKENS = 128
BATCH_ROWS = 64
SHOW_STEPS = 50
HIDDEN_SHARE = 0.3  # of the tokens in training: otherwise it learns the functions by heart
SPECIAL = ("[PAD]", "[CLS]", "[SEP]")


def make_tokenizer(texts: list[str], vocab_size: int = VOCAB_SIZE) -> Any:
    """Byte-level BPE whose rows are ``[CLS] text [SEP]``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
        ),
    )
    ends = [(token, tokenizer.token_to_id(token)) for token in SPECIAL[1:]]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path, max_tokens: int = MAX_TOKENS) -> None:
    from transformers import PreTrainedTokenizerFast

    pad, cls, sep = SPECIAL
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, cls_token=cls, sep_token=sep, model_max_length=max_tokens
    ).save_pretrained(folder)


def naive_bayes(train: list[list[int]], areas: list[int], held_out: list[list[int]]) -> list[int]:
    """The areas of ``held_out`` by token counts alone: what a transformer has to beat."""
    counts = [Counter[int]() for _ in AREAS]
    for ids, area in zip(train, areas, strict=True):
        counts[area].update(ids)
    sizes = [sum(count.values()) + VOCAB_SIZE for count in counts]

    def score(ids: list[int], area: int) -> float:
        return sum(math.log((counts[area][token] + 1) / sizes[area]) for token in ids)

    return [max(range(len(AREAS)), key=lambda area: score(ids, area)) for ids in held_out]


def batches(rows: list[list[int]], rng: random.Random) -> list[list[int]]:
    """Indices of every row, in batches of about the same length, in random order."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]) // 8, rng.random()))
    cut = [order[at : at + BATCH_ROWS] for at in range(0, len(order), BATCH_ROWS)]
    rng.shuffle(cut)
    return cut


def padded(rows: list[list[int]]) -> tuple[Any, Any]:
    """(token ids, attention mask), both (rows, longest)."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def new_model(seed: int) -> Any:
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(seed)
    names = list(AREAS)
    config = DistilBertConfig(
        vocab_size=VOCAB_SIZE, max_position_embeddings=MAX_TOKENS, dim=128, n_layers=2, n_heads=4, hidden_dim=512,
        pad_token_id=0, dropout=0.2, seq_classif_dropout=0.2, problem_type="single_label_classification",
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
    )  # fmt: skip
    return DistilBertForSequenceClassification(config)


def train(args: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    learn, held_out = snippets()
    print(f"{len(learn)} functions to train on, {len(held_out)} held out", flush=True)
    tokenizer = make_tokenizer([one.text for one in learn])
    tokenizer.enable_truncation(MAX_TOKENS)
    rows = [one.ids for one in tokenizer.encode_batch([one.text for one in learn])]
    tests = [one.ids for one in tokenizer.encode_batch([one.text for one in held_out])]
    tokenizer.no_truncation()
    areas = [one.area for one in learn]
    model = new_model(args.seed)
    # Areas of few functions count as much as the others, but for a square root.
    share = Counter(areas)
    weights = torch.tensor([(len(areas) / share[i]) ** 0.5 for i in range(len(AREAS))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.1)
    rng = random.Random(args.seed)
    plan = [batch for _ in range(args.epochs) for batch in batches(rows, rng)]
    losses: list[float] = []
    curve: list[dict[str, float]] = []
    model.train()
    for step, batch in enumerate(plan):
        factor = min((step + 1) / 50, (len(plan) - step) / len(plan))
        for group in optimizer.param_groups:
            group["lr"] = args.rate * factor
        ids, mask = padded([rows[i] for i in batch])
        hidden = (torch.rand(ids.shape) < HIDDEN_SHARE) & (ids >= len(SPECIAL))
        logits = model(input_ids=ids.masked_fill(hidden, 0), attention_mask=mask).logits
        truth = torch.tensor([areas[i] for i in batch])
        loss = torch.nn.functional.cross_entropy(logits, truth, weights, label_smoothing=0.1)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % SHOW_STEPS == 0:
            curve.append({"step": step + 1, "loss": round(sum(losses[-SHOW_STEPS:]) / SHOW_STEPS, 3)})
            print(f"step {step + 1}/{len(plan)}  loss {curve[-1]['loss']:.3f}", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(args.out)
    save_tokenizer(tokenizer, args.out)
    (args.out / "training.json").write_text(json.dumps(report(args, model, learn, held_out, rows, tests, curve)) + "\n")
    finish(args.out)


def report(
    args: argparse.Namespace,
    model: Any,
    learn: list[Snippet],
    held_out: list[Snippet],
    rows: list[list[int]],
    tests: list[list[int]],
    curve: list[dict[str, float]],
) -> dict[str, Any]:
    """What the card is made of: settings, the curve, and what the rounded weights make of held-out functions."""
    truth, areas = [one.area for one in held_out], [one.area for one in learn]
    bayes = naive_bayes(rows, areas, tests)
    return {
        "format": 1,
        "command": f"python {SOURCE} --epochs {args.epochs} --rate {args.rate} --seed {args.seed}",
        "parameters": sum(one.numel() for one in model.parameters()),
        "tokens_seen": args.epochs * sum(map(len, rows)),
        "max_tokens": MAX_TOKENS,
        "train": {"functions": len(learn), "by_area": [areas.count(i) for i in range(len(AREAS))]},
        "held_out": {
            **measure(model.float().eval(), tests, truth),
            "functions": len(held_out),
            "naive_bayes": sum(a == b for a, b in zip(bayes, truth, strict=True)) / len(truth),
            "most_common": max(Counter(truth).values()) / len(truth),
        },
        "areas": list(AREAS),
        "torch": importlib.metadata.version("torch"),
        "curve": curve,
    }


def measure(model: Any, rows: list[list[int]], truth: list[int]) -> dict[str, Any]:
    """Accuracy as a classifier, by area too, and how often the nearest embedding is of the same area."""
    import torch

    found: list[int] = []
    vectors = []
    with torch.inference_mode():
        for at in range(0, len(rows), BATCH_ROWS):
            ids, mask = padded(rows[at : at + BATCH_ROWS])
            hidden = model.distilbert(input_ids=ids, attention_mask=mask).last_hidden_state
            found += model(input_ids=ids, attention_mask=mask).logits.argmax(-1).tolist()
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors.append(torch.nn.functional.normalize(mean, dim=-1))
        close = torch.cat(vectors) @ torch.cat(vectors).T
        nearest = close.fill_diagonal_(-1).argmax(-1).tolist()
    right = Counter(a for a, b in zip(truth, found, strict=True) if a == b)
    total = Counter(truth)
    return {
        "accuracy": sum(right.values()) / len(truth),
        "by_area": [right[i] / total[i] if total[i] else None for i in range(len(AREAS))],
        "functions_by_area": [total[i] for i in range(len(AREAS))],
        "nearest_is_same_area": sum(truth[i] == truth[j] for i, j in enumerate(nearest)) / len(truth),
    }


def finish(folder: Path) -> None:
    """Write the card and the manifest, from what lies in the folder."""
    report = json.loads((folder / "training.json").read_text())
    (folder / "README.md").write_text(card(report, folder.name))
    write_manifest(folder, source=SOURCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "pylight-areas", help="the folder to write")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=2e-3, help="the learning rate at its peak")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--card", type=Path, metavar="FOLDER", help="only write the card of this model again")
    args = parser.parse_args()
    finish(args.card) if args.card else train(args)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Train the demo model: a small Llama that completes Python, from the standard library on this machine.

The data is what scripts/train/demo_data.py finds.  Everything is seeded and the position in the data is a function of
the step, so a run that was stopped goes on where it was.

    python scripts/train/train_demo.py --steps 1300 850 1400          # train, or go on from the last checkpoint
    python scripts/train/train_demo.py --steps 1300 850 1400 --fresh  # forget the checkpoint

Several numbers of steps are several cycles of the learning rate: each warms up, stays, and decays to nothing, so that
there is a usable model at the end of every one, and the next goes on from it.

Writes config, tokenizer, bf16 weights and ``training.json`` (settings, raw curve, held-out figures) to ``--out``;
``scripts/train/demo_card.py`` renders the model card from that JSON alone.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # scripts import each other by their full names

from scripts.train.demo_data import read_source, stdlib_files, top_level_definitions, xz_bits_per_byte
from scripts.train.make_bench_model import EOS, train_tokenizer

ROOT = Path(__file__).resolve().parents[2]
VOCAB_SIZE = 4096
CONTEXT_TOKENS = 1024
TOKENS_PER_STEP = 8192
SNIPPET_SHARE = 1 / 3  # files that an epoch sees cut into their top-level definitions: teaches where a function ends
# Short windows first: attention costs less and early learning is local anyway.  (share of the cycle, window tokens)
FIRST_CYCLE_WINDOWS = ((0.5, 256), (0.85, 512), (1.0, CONTEXT_TOKENS))
LATER_CYCLE_WINDOWS = ((0.6, 512), (1.0, CONTEXT_TOKENS))


class Corpus:
    """Tokens of the training files, as whole files and as their definitions, served by step number."""

    def __init__(self, texts: list[str], tokenizer: Tokenizer, seed: int) -> None:
        eos = tokenizer.token_to_id(EOS)
        self._seed = seed

        def encode(batch: list[str]) -> list[list[int]]:
            return [[*encoding.ids, eos] for encoding in tokenizer.encode_batch(batch)]

        self._files = encode(texts)
        self._parts = [[t for ids in encode(top_level_definitions(text)) for t in ids] for text in texts]
        self._epoch = -1
        self._stream = torch.empty(0, dtype=torch.long)
        self._starts: list[int] = []

    def _stream_of(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            rng = random.Random(self._seed * 1000 + epoch)
            order = rng.sample(range(len(self._files)), len(self._files))
            tokens: list[int] = []
            for i in order:
                cut = rng.random() < SNIPPET_SHARE and self._parts[i]
                tokens += self._parts[i] if cut else self._files[i]
            self._stream, self._epoch = torch.tensor(tokens), epoch
        return self._stream

    def batches(self, plan: list[int], first_step: int) -> Iterator[torch.Tensor]:
        """(rows, window + 1) token ids for every step from ``first_step`` on; ``plan[step]`` is its window.

        Successive steps read on in the stream, and the rows of one step are spread over the whole of it, so that a
        step never sees one file only.
        """
        epoch, offset = 0, 0
        for step, window in enumerate(plan):
            rows = TOKENS_PER_STEP // window
            stream = self._stream_of(epoch)
            stride = (len(stream) - 1) // rows
            if step >= first_step:
                starts = [r * stride + offset for r in range(rows)]
                yield torch.stack([stream[s : s + window + 1] for s in starts])
            offset += window
            if offset + window > stride or (step + 1 < len(plan) and plan[step + 1] != window):
                # A change of window changes the stride: go on at the same share of the epoch.
                share = offset / stride
                if share >= 1 - window / stride:
                    epoch, offset = epoch + 1, 0
                else:
                    next_stride = (len(stream) - 1) // (TOKENS_PER_STEP // plan[step + 1])
                    offset = int(share * next_stride)


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates at their peak; both follow warm-up, plateau, linear decay."""

    muon: float = 1e-2
    adam: float = 5e-3
    warmup_steps: int = 40
    decay_share: float = 0.4

    def factors(self, cycles: list[int]) -> list[float]:
        """The share of the peak for every step of cycles that long."""
        return [self._factor(step, steps) for steps in cycles for step in range(steps)]

    def _factor(self, step: int, steps: int) -> float:
        left = (steps - step) / (self.decay_share * steps)
        return min(1.0, (step + 1) / self.warmup_steps, max(left, 0.0))


def new_model(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def bits_per_byte(model: LlamaForCausalLM, tokenizer: Tokenizer, texts: list[str]) -> float:
    """Cross-entropy in bits per byte over whole files, each token seeing at least half a context where there is one."""
    half = CONTEXT_TOKENS // 2
    total_nats, total_bytes = 0.0, 0
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([0, *tokenizer.encode(text).ids])
            total_bytes += len(text.encode())
            for start in range(0, len(ids) - 1, half):
                window = ids[max(0, start - half) : start + half + 1]
                fresh = min(half, len(ids) - 1 - start)
                logits = model(input_ids=window[None, :-1]).logits[0, -fresh:].float()
                loss = torch.nn.functional.cross_entropy(logits, window[-fresh:], reduction="sum")
                total_nats += loss.item()
    return total_nats / math.log(2) / total_bytes


def optimizers(model: LlamaForCausalLM, rates: Rates) -> list[torch.optim.Optimizer]:
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    muon = torch.optim.Muon(hidden, lr=rates.muon, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(others, lr=rates.adam, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return [muon, adam]


def loss_function(model: LlamaForCausalLM) -> Callable[[torch.Tensor], torch.Tensor]:
    """The mean cross-entropy over (rows, window + 1) token ids; compiled where there is a compiler."""

    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=batch[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())

    # Compiled anew for each window: kernels for sizes left open are half as fast at the longer ones.
    return torch.compile(loss_of, dynamic=False) if shutil.which("g++") else loss_of


def window_plan(cycles: list[int]) -> list[int]:
    """The window in tokens of every step."""
    plan: list[int] = []
    for number, steps in enumerate(cycles):
        windows = LATER_CYCLE_WINDOWS if number else FIRST_CYCLE_WINDOWS
        plan += [next(w for share, w in windows if step < share * steps or share == 1.0) for step in range(steps)]
    return plan


def show(step: int, steps: int, loss: float, tokens_per_s: float, started: float, first: int) -> None:
    left_s = (time.monotonic() - started) / (step + 1 - first) * (steps - step - 1)
    print(
        f"step {step + 1:5d}/{steps}  loss {loss:.3f}  {tokens_per_s:5.0f} tokens/s  {left_s / 60:5.1f} min left",
        flush=True,
    )


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # late in the training many numbers are that small, and slow
    rates = Rates(muon=args.muon_lr, adam=args.adam_lr)
    train_files, held_out_files = stdlib_files()
    texts = [read_source(p) for p in train_files]
    held_out = [read_source(p) for p in held_out_files]
    print(f"{len(texts)} files to train on, {len(held_out)} held out", flush=True)

    work: Path = args.work
    if args.fresh:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer_file = work / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer(texts, VOCAB_SIZE).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    corpus = Corpus(texts, tokenizer, args.seed)

    model = new_model(args.seed)
    optims = optimizers(model, rates)
    curve: list[dict[str, float]] = []
    first = 0
    spent_s = 0.0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optims, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        curve, first, spent_s = saved["curve"], saved["step"], saved["spent_s"]
        print(f"going on from step {first}", flush=True)

    def save(step: int) -> None:
        state = {
            "model": model.state_dict(),
            "optimizers": [o.state_dict() for o in optims],
            "curve": curve,
            "step": step,
            "spent_s": spent_s + time.monotonic() - started,
        }
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)

    started = time.monotonic()
    loss_of = loss_function(model)
    steps, factors = sum(args.steps), rates.factors(args.steps)
    for step, batch in enumerate(corpus.batches(window_plan(args.steps), first), start=first):
        step_started = time.monotonic()
        for optimizer in optims:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factors[step]
        loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optims:
            optimizer.step()
            optimizer.zero_grad()
        curve.append({"step": step + 1, "loss": loss.item()})
        if (step + 1) % 10 == 0:
            show(step, steps, loss.item(), TOKENS_PER_STEP / (time.monotonic() - step_started), started, first)
        if (step + 1) % args.eval_every == 0 or step + 1 == steps:
            score = bits_per_byte(model, tokenizer, held_out[:: max(1, len(held_out) // 12)])
            curve[-1]["held_out_sample_bits_per_byte"] = score
            print(f"held out (sample): {score:.3f} bits per byte", flush=True)
            save(step + 1)
    finish(args, model, tokenizer, held_out, curve, spent_s + time.monotonic() - started, texts)


def finish(
    args: argparse.Namespace,
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    held_out: list[str],
    curve: list[dict[str, float]],
    wall_s: float,
    texts: list[str],
) -> None:
    """Round to bf16, measure what will be shipped (not what was trained), and write the folder."""
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    model = model.to(torch.bfloat16)
    model.generation_config.do_sample = True
    model.generation_config.temperature = 0.7
    model.generation_config.top_p = 0.95
    model.save_pretrained(out)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(out)
    print("measuring the whole held-out set ...", flush=True)
    report = {
        "format": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "command": f"python scripts/train/train_demo.py --steps {' '.join(map(str, args.steps))} --seed {args.seed}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens_seen": sum(args.steps) * TOKENS_PER_STEP,
        "wall_s": round(wall_s, 1),
        "train": {"files": len(texts), "size_bytes": sum(len(t.encode()) for t in texts)},
        "held_out": {
            "files": len(held_out),
            "size_bytes": sum(len(t.encode()) for t in held_out),
            "bits_per_byte": round(bits_per_byte(model.float(), tokenizer, held_out), 4),
            "xz_9_bits_per_byte": round(xz_bits_per_byte(held_out), 4),
        },
        "curve": curve,
    }
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "curve"}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[1300, 850, 1400],
        metavar="N",
        help=f"of {TOKENS_PER_STEP} tokens each; several numbers are several cycles of the learning rate",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "pylight-5m")
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "train_demo", help="checkpoints")
    parser.add_argument("--fresh", action="store_true", help="start anew even where a checkpoint exists")
    parser.add_argument("--eval-every", type=int, default=100, help="steps between held-out samples and checkpoints")
    parser.add_argument("--muon-lr", type=float, default=Rates().muon)
    parser.add_argument("--adam-lr", type=float, default=Rates().adam)
    try:
        train(parser.parse_args())
    except KeyboardInterrupt:
        print("\nstopped; run the same command to go on from the last checkpoint")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()

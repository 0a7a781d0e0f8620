"""The samples of the self-check: random tokens, the logits of plain forward passes over them, and how to compare."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pilotlight.engines.memory.machine import free_memory_bytes

__all__ = ["Recorder", "Sample", "compare", "compare_generate", "in_float32", "make_samples", "plain_logits"]

# Logits that are compared per sample: those after the prompt, and those of the decoding steps after it.
STEPS = 3
SHORT_PROMPT_TOKENS = 5
LONG_PROMPT_TOKENS = 11
SEED = 20_240_229
# A prompt outgrows an attention window up to so long: a pass over more costs a CPU seconds.
LONGEST_WINDOW = {"cpu": 128}
LONGEST_WINDOW_OTHERS = 1024
WINDOWS = (
    "sliding_window",
    "sliding_window_size",
    "attention_window_size",
    "attention_chunk_size",
    "local_attention",
    "window_size",
    "index_topk",
)
# Relative differences of logits. In float32 the order of additions costs 1e-6 to 1e-4 (measured over 130 architectures
# with weights far larger than trained ones); what the paged attention leaves out costs 1e-2 and more.
FLOAT32_TOLERANCE = 1e-3
# Where only 16 bits can be compared, every operation rounds: SmolLM2 differs from itself by 7 to 14 epsilons.
EPSILONS = 32
# Logits of unrelated texts differ by 0.7 to 1.5; those of a prompt that is read in both directions, by 0.3 (CPM-Ant).
UNRELATED = 0.5
# Of the memory that is free, what the weights in float32 may take while they are compared.
MEMORY_SHARE = 0.5
# Larger logits stand for tokens that the model excludes.
EXCLUDED = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt, and ``STEPS`` tokens to go on with, whatever the logits say."""

    prompt: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def ids(self) -> list[int]:
        """The tokens whose last ``STEPS`` logits are compared: the last continued token has none."""
        return [*self.prompt, *self.continuation[:-1]]


class Recorder:
    """Keeps the logits of a sample's steps, and says which token comes next.

    Args:
        sample: what is computed.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._rows: list[torch.Tensor] = []

    def record(self, scores: torch.Tensor) -> int:
        """Keep the logits of a step, shape (vocab_size,), and return the token to go on with."""
        self._rows.append(scores.detach().float().clone())
        return self.sample.continuation[min(len(self._rows), STEPS) - 1]

    def logits(self) -> torch.Tensor:
        """Return the logits of all steps, shape (STEPS, vocab_size).

        Raises:
            RuntimeError: the back end did not compute all steps.
        """
        if len(self._rows) != STEPS:
            raise RuntimeError(f"{len(self._rows)} of {STEPS} steps were computed")
        return torch.stack(self._rows)


def make_samples(model: Any, context_tokens: int) -> tuple[Sample, Sample]:
    """Return a long sample of random tokens, and one that is its beginning; the same for the same model.

    The long one outgrows the model's attention window where that is small. Tokens with a meaning for the architecture
    (padding, images) do not occur.
    """
    config = model.config.get_text_config(decoder=True)
    longest = LONGEST_WINDOW.get(model.device.type, LONGEST_WINDOW_OTHERS)
    windows = [getattr(config, name, None) for name in WINDOWS]
    fitting = [size for size in windows if isinstance(size, int) and 0 < size <= longest]
    long = max([LONG_PROMPT_TOKENS, *(size + SHORT_PROMPT_TOKENS for size in fitting)])
    special = _special_ids(model.config.to_dict())
    chance = random.Random(SEED)  # noqa: S311 - nothing secret
    usable = [token for token in range(_vocab_size(model, config)) if token not in special] or [0]

    tokens = chance.choices(usable, k=max(1, min(long, context_tokens - STEPS)) + STEPS)
    short = min(SHORT_PROMPT_TOKENS, len(tokens) - STEPS)
    return _cut(tokens, len(tokens) - STEPS), _cut(tokens, short)


def _cut(tokens: list[int], prompt: int) -> Sample:
    return Sample(tuple(tokens[:prompt]), tuple(tokens[prompt : prompt + STEPS]))


@torch.inference_mode()
def plain_logits(model: Any, ids: Sequence[int], ends: Sequence[int], steps: int = STEPS) -> list[torch.Tensor]:
    """Return logits of one forward pass over ``ids``, without a cache.

    Args:
        model: a causal language model.
        ids: the tokens.
        ends: for each part of the result, after how many tokens it ends.
        steps: logits of a part.

    Returns:
        For each end the logits after the last ``steps`` tokens before it, float32, shape (steps, vocab_size).
    """
    tokens = torch.tensor([list(ids)], device=model.device)
    first = min(ends) - steps
    options: dict[str, Any] = {"logits_to_keep": len(ids) - first} if _keeps_logits(model) else {}
    logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False, **options).logits[0]
    skipped = len(ids) - len(logits)
    return [logits[end - steps - skipped : end - skipped].float() for end in ends]


def compare(reference: torch.Tensor, found: torch.Tensor, dtype: torch.dtype) -> str:
    """Return how the logits of a back end differ from those of plain forward passes; empty where they do not.

    Args:
        reference: of the plain passes, shape (steps, vocab_size).
        found: of the back end.
        dtype: in which both were computed.
    """
    if not bool((found.isnan() == reference.isnan()).all()):
        return "its logits are not numbers"
    differences = _differences(reference, found)
    if dtype is torch.float32:
        difference, allowed = max(differences), FLOAT32_TOLERANCE
    else:  # an expert that rounding has swapped changes single steps, what the attention leaves out changes all
        difference, allowed = sorted(differences)[len(differences) // 2], EPSILONS * torch.finfo(dtype).eps
    if difference <= allowed:
        return ""
    same = int((reference.argmax(-1) == found.argmax(-1)).sum())
    return (
        f"its logits differ from a plain forward pass by {difference:.2g} where {allowed:.2g} is rounding; "
        f"{same} of {len(reference)} likeliest tokens are the same"
    )


def compare_generate(prompt: torch.Tensor, reference: torch.Tensor, found: torch.Tensor, dtype: torch.dtype) -> str:
    """Return how the logits of ``generate`` differ from those of plain forward passes; empty where they do not.

    What follows the prompt may differ: a model may read its prompt in both directions and its output in one, or attend
    to a few chosen tokens that rounding changes. It may not be unrelated.

    Args:
        prompt: of a plain pass over the prompt alone, shape (1, vocab_size).
        reference: of a plain pass over the whole sample, shape (steps, vocab_size).
        found: of ``generate``, shape (steps, vocab_size).
        dtype: in which all were computed.
    """
    if first := compare(prompt, found[:1], dtype):
        return first
    later = min(_differences(reference[1:], found[1:]), default=0.0)
    return f"from its second token on its logits differ from a plain forward pass by {later:.2g}" * (later > UNRELATED)


@contextmanager
def in_float32(model: Any) -> Generator[torch.dtype]:
    """Compute in float32 in the block where that is possible; yield the type that it computes in.

    16 bits would hide what is looked for in their rounding. The weights are converted, and the same memory is put back
    afterwards. It is not possible for kernels that take 16 bits only, or where memory does not suffice.
    """
    tensors = [one for one in (*model.parameters(), *model.buffers()) if one.is_floating_point()]
    narrow = [(one, one.data) for one in tensors if one.dtype in (torch.float16, torch.bfloat16)]
    needed = sum(4 * data.numel() for _, data in narrow)
    if "flash" in str(model.config._attn_implementation) or needed > MEMORY_SHARE * _free_bytes(model.device):
        yield model.dtype
        return
    try:
        for one, data in narrow:
            one.data = data.float()
        yield torch.float32
    finally:
        for one, data in narrow:
            one.data = data


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_bytes()


def _differences(reference: torch.Tensor, found: torch.Tensor) -> list[float]:
    """Return for each step the size of the difference as a share of that of the reference around its mean."""
    usable = reference.isfinite() & found.isfinite() & (reference.abs() < EXCLUDED) & (found.abs() < EXCLUDED)
    shares = []
    for wanted, got, use in zip(reference, found, usable, strict=True):
        a, b = wanted[use], got[use]
        size = (a - a.mean()).norm()
        shares.append(float((a - b).norm() / size) if size > 0 else float((a - b).norm()))
    return shares


def _keeps_logits(model: Any) -> bool:
    return bool(getattr(model, "_supports_logits_to_keep", lambda: False)())


def _vocab_size(model: Any, config: Any) -> int:
    rows = getattr(getattr(model.get_input_embeddings(), "weight", None), "shape", (config.vocab_size,))[0]
    return min(int(config.vocab_size), int(rows))


def _special_ids(config: dict[str, Any]) -> set[int]:
    """Return every number that the configuration, nested ones included, calls the id or the index of a token."""
    found: set[int] = set()
    for name, value in config.items():
        if isinstance(value, dict):
            found |= _special_ids(value)
        elif str(name).endswith(("token_id", "token_index", "token_ids")):
            found |= {one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, int)}
    return found

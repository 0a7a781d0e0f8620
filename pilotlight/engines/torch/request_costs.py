"""Measures what a request of a model costs in memory, for models that are served one request at a time.

Their caches have any form: keys and values of several sizes, windows, states. So two short passes show how the cache
grows, whatever is in it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pilotlight.engines.memory.layout import LayerKind
from pilotlight.engines.memory.machine import free_memory_bytes, mapped_weights
from pilotlight.engines.memory.plan_request import RequestCosts, plan_request
from pilotlight.engines.memory.reservation import Reservation, log_plan, reserve
from pilotlight.engines.torch.load import Loaded

__all__ = ["measure_costs", "reserve_request"]

log = logging.getLogger(__name__)

SHORT, LONG = 8, 16  # tokens of the two passes
# What an output of a model may call its cache or its state.
CACHES = ("past_key_values", "cache_params", "state", "mems")
SAMPLING_BYTES = 48  # of a token of the vocabulary, as in ``cache_plan``
SCORE_BYTES = 4  # attention's weights are computed in float32
HIDDEN_COPIES = 8  # of a token's hidden state that a layer holds at once
# What a failure of the machine raises, in contrast to one of the model.
MACHINE_ERRORS = (MemoryError, torch.OutOfMemoryError)
DEPTH = 4  # of objects in objects that are searched for tensors


@dataclass(frozen=True, slots=True)
class _Part:
    """A layer's cache, or all of it: its size and the window that it keeps."""

    size_bytes: int
    window: int | None


def reserve_request(loaded: Loaded, stated_bytes: int | None = None) -> Reservation:
    """Plan the memory of one request, log the plan, and tell this machine's other workers.

    Args:
        loaded: the model.
        stated_bytes: the most that the cache may take, where it is set by hand.

    Raises:
        ConfigError: memory is too short.
    """
    context = loaded.context_tokens
    device = loaded.model.device
    if device.type == "cuda":
        costs = measure_costs(loaded)
        free_bytes = torch.cuda.mem_get_info(device)[0]
        plan = plan_request(costs, context_tokens=context, free_bytes=free_bytes, stated_bytes=stated_bytes)
        log_plan(plan)
        return Reservation(plan, None)
    mapped = mapped_weights()
    costs = measure_costs(loaded, sum(mapped.values()))
    return reserve(
        lambda free: plan_request(costs, context_tokens=context, free_bytes=free, stated_bytes=stated_bytes),
        mapped=mapped,
        free_bytes=free_memory_bytes,
    )


@torch.inference_mode()
def measure_costs(loaded: Loaded, weights_bytes: int = 0) -> RequestCosts:
    """Return what a request of this model takes.

    Args:
        loaded: the model.
        weights_bytes: of weights that are mapped from their files.
    """
    model = loaded.model
    config = model.config.get_text_config(decoder=True)
    total = sum(one.numel() * one.element_size() for one in model.parameters())
    try:
        kinds, state_bytes, without_cache = _grown(model, loaded.context_tokens)
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - what is not known is counted as large as attention without sharing
        log.info("the cache of %s is estimated, since it cannot be measured: %s", type(model).__name__, error)
        kinds, state_bytes, without_cache = _estimated(model, config), 0, False
    return RequestCosts(
        kinds=kinds,
        state_bytes=state_bytes,
        fixed_bytes=loaded.vocab_size * SAMPLING_BYTES,
        token_bytes=_token_bytes(model, config, loaded.vocab_size),
        pair_bytes=_pair_bytes(model, config) if kinds or without_cache else 0,
        weights_bytes=weights_bytes,
        loaded_bytes=max(0, total - weights_bytes),
    )


def _grown(model: Any, context_tokens: int) -> tuple[tuple[LayerKind, ...], int, bool]:
    """Return (layers that cache tokens, bytes of what does not grow, whether there is no cache at all)."""
    short, long = min(SHORT, context_tokens), min(LONG, context_tokens)
    before, after = _cached(model, short), _cached(model, long)
    found: Counter[tuple[int, int | None]] = Counter()
    state_bytes = 0
    for first, second in zip(before, after, strict=True):
        token_bytes = max(0, second.size_bytes - first.size_bytes) // max(1, long - short)
        state_bytes += max(0, second.size_bytes - token_bytes * long)
        if token_bytes:
            found[token_bytes, second.window] += 1
    kinds = tuple(LayerKind(count, size, window) for (size, window), count in found.items())
    return kinds, state_bytes, not after


def _estimated(model: Any, config: Any) -> tuple[LayerKind, ...]:
    """Return layers with a key and a value as wide as the hidden state."""
    return (LayerKind(config.num_hidden_layers, 2 * config.hidden_size * model.dtype.itemsize),)


def _cached(model: Any, tokens: int) -> list[_Part]:
    """Return the parts of the cache after a pass over so many tokens; none for a model without one."""
    ids = torch.zeros((1, tokens), dtype=torch.long, device=model.device)
    output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True)
    cache = next((found for name in CACHES if (found := getattr(output, name, None)) is not None), None)
    if cache is None:
        return []
    layers = getattr(cache, "layers", None)
    if not isinstance(layers, list):
        return [_Part(_size_bytes(cache), None)]
    windows = [getattr(layer, "sliding_window", None) for layer in layers]
    return [
        _Part(_size_bytes(layer), window if isinstance(window, int) else None)
        for layer, window in zip(layers, windows, strict=True)
    ]


def _size_bytes(held: object) -> int:
    """Return the bytes of all tensors in an object."""
    return sum({one.data_ptr(): one.numel() * one.element_size() for one in _tensors(held, DEPTH)}.values())


def _tensors(held: object, depth: int) -> Iterator[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        yield held
    elif depth:
        inside = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ()
        for one in (*inside, *getattr(held, "__dict__", {}).values()):
            yield from _tensors(one, depth - 1)


def _token_bytes(model: Any, config: Any, vocab_size: int) -> int:
    """Return the memory of computing for each token of a prompt, which is read at once."""
    item = model.dtype.itemsize
    hidden = getattr(config, "hidden_size", 0) or 0
    widths = getattr(config, "intermediate_size", None) or 4 * hidden
    widest = max(widths) if isinstance(widths, list | tuple) else widths
    keeps = getattr(model, "_supports_logits_to_keep", None)
    logits = 0 if callable(keeps) and keeps() else vocab_size * (item + SCORE_BYTES)
    return int((HIDDEN_COPIES * hidden + 3 * widest) * item + logits)


def _pair_bytes(model: Any, config: Any) -> int:
    """Return the memory of attention for each pair of tokens: weights of every head and their softmax, or a mask."""
    implementation = str(model.config._attn_implementation or "eager")
    if "flash" in implementation:
        return 0
    heads = getattr(config, "num_attention_heads", None) or 0
    heads = max(heads) if isinstance(heads, list | tuple) else heads
    # torch's fused attention takes keys and values of one size only, which those of a latent attention do not have.
    unfused = implementation == "eager" or getattr(config, "v_head_dim", None) is not None
    return 2 * SCORE_BYTES * heads if unfused else 1

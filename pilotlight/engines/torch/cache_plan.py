"""Plans the paged cache of the torch engine, in the sizes that transformers computes with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from pilotlight.engines.memory.claims import Claims
from pilotlight.engines.memory.layout import CacheLayout, LayerKind
from pilotlight.engines.memory.machine import free_memory_bytes, mapped_weights
from pilotlight.engines.memory.plan import CPU_SHARE, GPU_SHARE, CachePlan, MemoryNeeds, plan_cache
from pilotlight.engines.memory.reservation import Reservation, log_plan, reserve
from pilotlight.engines.torch.lean_transformers import (
    SLIDING_ATTENTION,
    ContinuousBatchingConfig,
    PagedAttentionMemoryHandler,
    find_head_dim,
    find_num_key_value_heads,
    group_layers_by_attn_type,
)
from pilotlight.engines.torch.load import Loaded
from pilotlight.errors import ConfigError

__all__ = ["CPU_PAGE_TOKENS", "TorchCachePlan", "planned_cache"]

# Tokens of one forward pass. Other requests wait for a piece of a long prompt of so many tokens, not for all of it.
# The attention mask has a row for each of them, as long as the cache, and is filled as the engine starts: fewer tokens
# where it would be too large, and where memory is short.
BATCH_TOKENS = (1024, 512, 256)
MASK_SHARE = 0.05  # of free memory
# Tokens per cache page where no kernel asks for a certain size: a short request wastes little.
CPU_PAGE_TOKENS = 32
# transformers' own check comes a moment after the plan: what the process has taken since must not fail it.
SLACK = 1.1
# Bytes that ``sampling.choose`` takes for a request and a token of the vocabulary: scores, ranks and six sums of them.
SAMPLING_BYTES = 48
ALIGN_BYTES = 128  # of transformers' sectors


@dataclass(frozen=True, slots=True)
class TorchCachePlan:
    """A plan and the configuration that makes transformers follow it.

    Attributes:
        reservation: of the machine's memory.
        layout: of the cache.
        config: for transformers.
    """

    reservation: Reservation
    layout: CacheLayout
    config: ContinuousBatchingConfig


@contextmanager
def planned_cache(
    loaded: Loaded,
    slots: int,
    stated_bytes: int | None = None,
    free_bytes: Callable[[], int] = free_memory_bytes,
) -> Iterator[TorchCachePlan]:
    """Plan the cache of a loaded model; the block inside makes the cache.

    On a GPU no other worker plans before the block has ended: a cache takes all of its memory there at once.

    Args:
        loaded: the model.
        slots: requests that advance together, at most.
        stated_bytes: of the cache, where it is set by hand.
        free_bytes: what the machine has, where the model is not on a GPU.

    Raises:
        ConfigError: memory is too short.
        ValueError: transformers has no cache for this model's layers.
    """
    device = loaded.model.device

    def makers() -> list[_Maker]:
        return [_Maker(loaded, max(tokens, slots), slots, stated_bytes) for tokens in BATCH_TOKENS]

    if device.type == "cuda":
        with torch.cuda.device(device), Claims().planning():
            torch.cuda.empty_cache()
            maker, plan = _best(makers(), torch.cuda.mem_get_info(device)[0])
            log_plan(plan)
            yield TorchCachePlan(Reservation(plan, None), maker.layout, maker.config(plan))
        return
    mapped = mapped_weights()
    best: list[_Maker] = []

    def plan_for(free: int) -> CachePlan:
        maker, plan = _best(makers(), free, sum(mapped.values()))
        best.append(maker)
        return plan

    reservation = reserve(plan_for, mapped=mapped, free_bytes=free_bytes)
    try:
        yield TorchCachePlan(reservation, best[0].layout, best[0].config(reservation.plan))
    except BaseException:
        reservation.release()
        raise


class _Maker:
    """Plans for one size of batches, with what transformers says that each part of it costs."""

    def __init__(self, loaded: Loaded, batch_tokens: int, slots: int, stated_bytes: int | None) -> None:
        model = loaded.model
        text = model.config.get_text_config()
        groups = group_layers_by_attn_type(text)
        cuda = model.device.type == "cuda"
        # The sampler keeps Python state per request, which a CUDA graph cannot replay: no graphs, no double buffering.
        self._config = ContinuousBatchingConfig(
            max_requests_per_batch=slots,
            max_batch_tokens=batch_tokens,
            use_cuda_graph=False,
            use_async_batching=False,
            auto_switch_to_flash=False,  # it would fetch a kernel from the hub
            safety_margin=0.0,  # requests are admitted only with all the room that they can need
            max_memory_percent=1.0,
        )
        if not cuda:
            self._config.page_size = CPU_PAGE_TOKENS
        token_bytes = 2 * find_num_key_value_heads(text) * find_head_dim(text) * model.dtype.itemsize
        self.layout = CacheLayout(
            tuple(
                LayerKind(len(layers), token_bytes, text.sliding_window if kind == SLIDING_ATTENTION else None)
                for kind, layers in groups.items()
            ),
            self._config.page_size,
            ALIGN_BYTES,
        )
        # What num_blocks counts: a page of every layer.
        self._block_bytes = text.num_hidden_layers * token_bytes * self._config.page_size
        unit_tokens = self.layout.unit_bytes // (token_bytes * min(map(len, groups.values())))
        slices = getattr(model, "_supports_logits_to_keep", None)
        self._handler = PagedAttentionMemoryHandler(
            config=text,
            cb_config=self._config,
            dtype=model.dtype,
            bytes_per_sector=self.layout.unit_bytes,
            tokens_per_sector=unit_tokens,
            bytes_per_block=self._block_bytes,
            attn_types=list(groups),
            model_supports_logits_to_keep=bool(callable(slices) and slices()),
        )
        self._share = GPU_SHARE if cuda else CPU_SHARE
        self._stated_bytes = stated_bytes
        self._needs = MemoryNeeds(
            layout=self.layout,
            context_tokens=loaded.context_tokens,
            slots=slots,
            loaded_bytes=sum(one.numel() * one.element_size() for one in model.parameters()),
            fixed_bytes=self._fixed_bytes(text, model.dtype.itemsize),
            unit_overhead_bytes=self._unit_overhead_bytes(text, unit_tokens),
        )

    def _fixed_bytes(self, text: Any, item_bytes: int) -> int:
        tokens, slots = self._config.max_batch_tokens, self._config.max_requests_per_batch
        widths = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
        widest = max(widths) if isinstance(widths, list | tuple) else widths  # of Gemma 3n, one for each layer
        feed_forward = 3 * tokens * widest * item_bytes
        return int(
            self._handler.fixed_overhead_bytes
            + tokens * self._handler.bytes_per_batch_token
            + self._handler.attention_mask_bytes(tokens, 0)
            + feed_forward
            + slots * text.vocab_size * SAMPLING_BYTES
            + self.layout.unit_bytes  # by so much ``config`` may round up
        )

    def _unit_overhead_bytes(self, text: Any, unit_tokens: int) -> int:
        tokens, mask = self._config.max_batch_tokens, self._handler.attention_mask_bytes
        # Attention that is not fused writes the weights of every head, and their softmax, in float32.
        eager = "eager" in (text._attn_implementation or "")
        weights = 2 * 4 * text.num_attention_heads * tokens * unit_tokens if eager else 0
        beside = self._handler.bytes_per_cache_sector - self.layout.unit_bytes
        return int(beside + mask(tokens, 1) - mask(tokens, 0) + weights)

    def plan(self, free_bytes: int, weights_bytes: int) -> CachePlan:
        return plan_cache(
            replace(
                self._needs,
                weights_bytes=weights_bytes,
                loaded_bytes=max(0, self._needs.loaded_bytes - weights_bytes),
            ),
            free_bytes=free_bytes,
            share=self._share,
            stated_bytes=self._stated_bytes,
            ceiling_bytes=self._handler.available_memory,
        )

    def mask_bytes(self, plan: CachePlan) -> int:
        return int(self._handler.attention_mask_bytes(self._config.max_batch_tokens, plan.units))

    def config(self, plan: CachePlan) -> ContinuousBatchingConfig:
        self._config.num_blocks = math.ceil(plan.cache_bytes / self._block_bytes)
        self._config.max_requests_per_batch = plan.slots
        self._config.max_memory_percent = SLACK
        return self._config


def _best(makers: list[_Maker], free_bytes: int, weights_bytes: int = 0) -> tuple[_Maker, CachePlan]:
    """Return the plan with the largest batches that serves the model's context and has a small mask, else the last.

    Raises:
        ConfigError: none of them fits; the one for the smallest batches says so.
    """
    *larger, smallest = makers
    for maker in larger:
        with suppress(ConfigError):
            plan = maker.plan(free_bytes, weights_bytes)
            if not plan.shortened and maker.mask_bytes(plan) <= MASK_SHARE * free_bytes:
                return maker, plan
    return smallest, smallest.plan(free_bytes, weights_bytes)

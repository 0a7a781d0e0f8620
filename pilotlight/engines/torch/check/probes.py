"""Computes the samples of the self-check the way that each back end computes requests."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from pilotlight.engines.torch.cache_plan import CPU_PAGE_TOKENS
from pilotlight.engines.torch.check.samples import STEPS, Recorder, Sample
from pilotlight.engines.torch.continuous_hooks import Router, processor_list
from pilotlight.engines.torch.lean_transformers import ContinuousBatchingConfig, GenerationConfig
from pilotlight.engines.torch.serial import run_generate

__all__ = ["batched_logits", "own_attention", "serial_logits"]

PAGE_TOKENS = 256  # transformers' own, where we do not set the size of a page
# A prompt and its continuation take pages of every kind of attention; some more let the allocators round up.
SPARE_PAGES = 8


@contextmanager
def own_attention(model: Any) -> Generator[None]:
    """Give the model back its attention after the block: continuous batching replaces what it cannot use."""
    before = model.config._attn_implementation
    try:
        yield
    finally:
        if model.config._attn_implementation != before:
            model.set_attn_implementation(before)


@torch.inference_mode()
def batched_logits(model: Any, samples: Sequence[Sample]) -> list[torch.Tensor]:
    """Compute the samples together by continuous batching.

    The cache is a small one, made for this.

    Returns:
        For each sample its logits, shape (STEPS, vocab_size).

    Raises:
        Exception: whatever the model or the paged cache raises.
    """
    recorders = {f"sample-{i}": Recorder(sample) for i, sample in enumerate(samples)}
    longest = max(len(sample.prompt) for sample in samples) + STEPS
    on_cpu_pages = model.device.type != "cuda"
    config = ContinuousBatchingConfig(
        max_requests_per_batch=len(samples),
        max_batch_tokens=2 * longest,
        use_cuda_graph=False,
        use_async_batching=False,
        auto_switch_to_flash=False,
        num_blocks=len(samples) * (longest // (CPU_PAGE_TOKENS if on_cpu_pages else PAGE_TOKENS) + 1) + SPARE_PAGES,
        **({"page_size": CPU_PAGE_TOKENS} if on_cpu_pages else {}),
    )
    with own_attention(model):
        manager = model.init_continuous_batching(GenerationConfig(do_sample=False, eos_token_id=-1), config)
        manager.logit_processor = processor_list(recorders.__getitem__, _record)
        failures: list[str] = []
        manager.output_router = Router(lambda output: failures.append(output.error) if output.error else None)
        manager.warmup()
        processor = manager.batch_processor
        for request_id, recorder in recorders.items():
            manager.add_request(list(recorder.sample.prompt), request_id=request_id, max_new_tokens=STEPS)
        while _step(processor, model):
            pass
    if failures:
        raise RuntimeError(failures[0])
    return [recorder.logits() for recorder in recorders.values()]


@torch.inference_mode()
def serial_logits(model: Any, samples: Sequence[Sample]) -> list[torch.Tensor]:
    """Compute the samples one after the other by ``generate``; see ``batched_logits``."""
    recorders = [Recorder(sample) for sample in samples]
    for recorder in recorders:
        run_generate(model, recorder.sample.prompt, partial(_record, recorders=[recorder]), max_tokens=STEPS)
    return [recorder.logits() for recorder in recorders]


def _step(processor: Any, model: Any) -> bool:
    if not processor.prepare_next_batch():
        return False
    processor._generation_step(model)
    processor.update_batch()
    return True


def _record(scores: torch.Tensor, recorders: Sequence[Recorder]) -> torch.Tensor:
    """Give each row's logits to its recorder, and make the arg-max of the row the token that the recorder says."""
    forced = torch.full_like(scores, -torch.inf)
    for row, recorder in enumerate(recorders):
        forced[row, recorder.record(scores[row])] = 0.0
    return forced

"""Opens a continuous batching pipeline of OpenVINO GenAI with a cache of known size, and reads log probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilotlight.engines.openvino.runtime import Runtime
from pilotlight.engines.openvino.sampling_config import generation_config, rules_of
from pilotlight.engines.text.types import Sampling
from pilotlight.errors import WeightsError

__all__ = ["BLOCK_TOKENS", "add_request", "log_probabilities", "open_pipeline"]

# Tokens of one step; a longer prompt is read in pieces. A step holds the interpreter lock, and everything else in the
# process waits for it: so this is the pipeline's own default, a quarter of what torch takes.
MAX_BATCH_TOKENS = 256
BLOCK_TOKENS = 32  # fixed by the runtime on a CPU


def open_pipeline(runtime: Runtime, artifact: Path, *, precision: str, blocks: int, slots: int) -> Any:
    """Load and compile an artifact.

    Args:
        runtime: the modules.
        artifact: the folder with ``openvino_model.xml``; nothing else in it is read.
        precision: of the artifact.
        blocks: of the cache, of ``BLOCK_TOKENS`` each; allocated at the first step.
        slots: requests that advance together, at most.

    Raises:
        WeightsError: the runtime cannot load it.
    """
    scheduler = runtime.genai.SchedulerConfig()
    scheduler.num_kv_blocks = blocks
    scheduler.max_num_seqs = slots
    scheduler.max_num_batched_tokens = max(MAX_BATCH_TOKENS, slots)
    scheduler.dynamic_split_fuse = True
    # A prefix from a quantized cache differs in its last bits from one that is computed, which sometimes changes the
    # text of a seed.
    scheduler.enable_prefix_caching = False
    try:
        return runtime.genai.ContinuousBatchingPipeline(str(artifact), scheduler, "CPU", runtime.settings(precision))
    except RuntimeError as error:
        raise WeightsError(
            f"{artifact}: OpenVINO cannot load it ({error}): export the model again, or set PILOTLIGHT_ENGINE=torch"
        ) from error


def add_request(runtime: Runtime, pipeline: Any, number: int, ids: Sequence[int], config: Any) -> Any:
    """Queue the tokens and return the pipeline's handle."""
    tokens = runtime.openvino.Tensor(runtime.numpy.array([ids], dtype="int64"))
    return pipeline.add_request(number, tokens, config)


def log_probabilities(
    runtime: Runtime, artifact: Path, windows: Sequence[Sequence[int]], *, precision: str, vocab_size: int
) -> list[list[float]]:
    """Return natural logarithms for ``window[1:]`` of each window, computed as the artifact is served.

    Raises:
        WeightsError: the runtime cannot load it.
    """
    blocks = max(len(window) for window in windows) // BLOCK_TOKENS + 2
    pipeline = open_pipeline(runtime, artifact, precision=precision, blocks=blocks, slots=1)
    rules = rules_of(Sampling(temperature=0), max_tokens=1, eos_ids=(), vocab_size=vocab_size)
    config = generation_config(runtime.genai, rules, max_tokens=1, eos_ids=())
    config.echo = True
    config.logprobs = 1
    found = []
    for number, window in enumerate(windows):
        handle = add_request(runtime, pipeline, number, window, config)
        while pipeline.has_non_finished_requests():
            pipeline.step()
        (output,) = handle.read_all()
        # One number for each token of the prompt, the first of which has no context, then that of the output.
        found.append(list(output.generated_log_probs[1 : len(window)]))
    return found

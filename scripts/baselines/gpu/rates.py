"""The figures of scripts/measure/bench_gpu.py: functions of what can be pickled, each run in its own process.

Nothing heavy is imported before one of them runs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilotlight.bench.cold.observe import observe
from pilotlight.bench.harness.targets import BenchTarget, StartOptions
from pilotlight.runtime import Project

PROMPT = "def main(args):"
CHUNK_BYTES = 64 * 2**20
TIMEOUT_S = 1200.0


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def plain_read(folder: Path) -> float:
    """GB/s of reading the weights into memory that is there already; from the page cache, where they fit into it."""
    read_all(folder)
    began = time.perf_counter()
    return read_all(folder) / 1e9 / (time.perf_counter() - began)


def read_all(folder: Path) -> int:
    """Reads the weights; how many bytes that is."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    size_bytes = 0
    for path in weights(folder):
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                size_bytes += read
    return size_bytes


def copy_limit(device: str) -> float:
    """GB/s of copies from pinned memory to the device, as large as they get."""
    import torch

    source = torch.empty(4 * CHUNK_BYTES, dtype=torch.uint8, pin_memory=device == "cuda")
    source.fill_(1)
    target = torch.empty_like(source, device=device)
    target.copy_(source)
    repeats = 16
    synchronize(device)
    began = time.perf_counter()
    for _ in range(repeats):
        target.copy_(source, non_blocking=True)
    synchronize(device)
    return repeats * source.numel() / 1e9 / (time.perf_counter() - began)


def load_rate(folder: Path, device: str) -> float:
    """GB/s from the files to a model on the device; imports and the device's own start are not in it."""
    import torch

    from pilotlight.engines.torch.load import load

    torch.zeros(1, device=device)
    synchronize(device)
    began = time.perf_counter()
    loaded = load(folder, device=device, dtype="bfloat16")
    for parameter in loaded.model.parameters():  # weights that are only mapped have not been loaded
        parameter.view(-1)[:: 4096 // parameter.element_size()].sum()
    synchronize(device)
    return sum(path.stat().st_size for path in weights(folder)) / 1e9 / (time.perf_counter() - began)


def engine_rate(folder: Path, device: str, streams: int, tokens: int) -> float:
    """Tokens/s of our engine, all streams at once."""
    from pilotlight.engines.text.types import GenerationRequest, Sampling
    from pilotlight.engines.torch.engine import TorchEngine

    engine = TorchEngine(folder, device=device, dtype="bfloat16", slots=streams, queue_size=streams)
    request = GenerationRequest(PROMPT, Sampling(temperature=0, max_tokens=tokens, min_tokens=tokens))

    def crowd() -> None:
        for generation in [engine.submit(request) for _ in range(streams)]:
            generation.text()

    try:
        return tokens_per_s(crowd, streams * tokens)
    finally:
        engine.close()


def generate_rate(folder: Path, device: str, streams: int, tokens: int) -> float:
    """Tokens/s of `generate` with a row for each stream: what a plain predictor would give if it could batch."""
    import torch

    model, ids = transformers_model(folder, device)
    rows = torch.tensor([ids] * streams, device=device)
    asked = {"attention_mask": torch.ones_like(rows), "do_sample": False, "pad_token_id": 0}
    lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens}
    return tokens_per_s(lambda: model.generate(rows, **asked, **lengths), streams * tokens)


def continuous_rate(folder: Path, device: str, streams: int, tokens: int) -> float:
    """Tokens/s of transformers' own continuous batching, with CUDA graphs where there is CUDA."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    model, ids = transformers_model(folder, device)
    greedy = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=tokens)
    # On a processor it would fill most of the free memory with zeros.
    own = {"use_cuda_graph": True} if device == "cuda" else {"max_memory_percent": 0.02}
    config = ContinuousBatchingConfig(**own)
    with model.continuous_batching_context_manager(greedy, continuous_batching_config=config, timeout=30) as manager:

        def crowd() -> None:
            left = set(manager.add_requests([ids] * streams, max_new_tokens=tokens))
            while left:
                output = manager.get_result(timeout=TIMEOUT_S)
                if output is None or output.error is not None:
                    raise RuntimeError(f"continuous batching gave nothing: {output and output.error}")
                left.discard(output.request_id)

        return tokens_per_s(crowd, streams * tokens)


def first_token(project: Path, model: Path, device: str) -> float:
    """Seconds from exec to the first token of a real Cog server, with a hot page cache."""
    env = {"PILOTLIGHT_MODEL": str(model), "PILOTLIGHT_ENGINE": "torch", "PILOTLIGHT_DEVICE": device}
    target = BenchTarget("gpu", Project.load(project), {**env, "PILOTLIGHT_DTYPE": "bfloat16"})
    options = StartOptions(Path(sys.executable), {}, TIMEOUT_S, TIMEOUT_S).of(target)
    inputs = {"prompt": PROMPT, "max_tokens": 8, "min_tokens": 8}
    found = asyncio.run(observe(target.project, inputs, options))
    assert found.first_output_s is not None, "a prediction of eight tokens without output: this is a bug"
    return found.first_output_s


def tokens_per_s(crowd: Callable[[], object], tokens: int) -> float:
    """The second time: the first one compiles, captures graphs and fills caches."""
    crowd()
    began = time.perf_counter()
    crowd()
    return tokens / (time.perf_counter() - began)


def transformers_model(folder: Path, device: str) -> tuple[Any, list[int]]:
    """The model as transformers loads it, and the prompt's ids."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()
    return model, AutoTokenizer.from_pretrained(folder)(PROMPT)["input_ids"]


def synchronize(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))

"""The engine for CPUs: OpenVINO GenAI over an artifact that ``pilotlight export`` made, without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pilotlight.engines.backend import BackendEngine
from pilotlight.engines.base import EngineInfo
from pilotlight.engines.model_files import read_facts
from pilotlight.engines.openvino_batching import OpenVINOBackend
from pilotlight.engines.openvino_runtime import runtime
from pilotlight.engines.tokenizer_codec import TokenizerCodec
from pilotlight.loading.artifacts import Artifact
from pilotlight.stamps import stage

__all__ = ["OpenVINOEngine"]


class OpenVINOEngine(BackendEngine):
    """Continuous batching on the CPU.

    Args:
        model: the model folder, for its tokenizer and configuration.
        artifact: what to run, from ``find_artifacts``.
        slots: requests that advance together, at most.
        queue_size: further requests that may wait.

    Raises:
        ConfigError: the runtime is not installed.
        WeightsError: the model or the artifact cannot be loaded.
    """

    def __init__(self, model: Path, artifact: Artifact, *, slots: int = 16, queue_size: int = 64) -> None:
        modules = runtime()
        with stage("weights"):
            codec = TokenizerCodec(model)
            facts = read_facts(model, codec.token_id)
            # A token that the model has no score for would be written to beyond its scores.
            facts = replace(facts, eos_ids=tuple(token for token in facts.eos_ids if token < facts.vocab_size))
        backend = OpenVINOBackend(modules, artifact.folder, precision=artifact.precision, facts=facts, slots=slots)
        info = EngineInfo(
            engine="openvino",
            model=str(model),
            device="cpu",
            dtype=artifact.precision,
            context_tokens=backend.context_tokens,
            slots=slots,
            queue_size=queue_size,
            cache_bytes=backend.cache_bytes,
        )
        super().__init__(backend, codec, facts.eos_ids, info)

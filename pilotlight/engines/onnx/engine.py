"""The onnx engine: onnxruntime over an artifact of ``pilotlight export``, without torch; it has the shortest start."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pilotlight.config.predictor import DEFAULT_TEXT, ENGINE_QUEUE_SIZE
from pilotlight.engines.onnx.cache_plan import plan_onnx_cache
from pilotlight.engines.onnx.continuous import OnnxBackend
from pilotlight.engines.onnx.model import OnnxModel
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.model_config import read_facts
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import EngineInfo
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.files.loadable import read_json
from pilotlight.tracing import stage

__all__ = ["OnnxEngine"]

log = logging.getLogger(__name__)


class OnnxEngine(BackendEngine):
    """Continuous batching on the CPU.

    Args:
        model: the model folder, for its tokenizer and configuration.
        artifact: what to run, from ``find_artifacts``.
        slots: requests that advance together, at most.
        queue_size: further requests that may wait.
        cache_bytes: of keys and values, where it is set by hand.
        deterministic: compute every request by itself, so that its text does not depend on which run beside it.

    Raises:
        ConfigError: the runtime is not installed.
        WeightsError: the model or the artifact cannot be loaded.
    """

    def __init__(
        self,
        model: Path,
        artifact: Artifact,
        *,
        slots: int = DEFAULT_TEXT.slots,
        queue_size: int = ENGINE_QUEUE_SIZE,
        cache_bytes: int | None = None,
        deterministic: bool = False,
    ) -> None:
        with stage("weights"):
            codec = TokenizerCodec(model)
            facts = read_facts(model, codec)
        with stage("compile"):
            loaded = OnnxModel(artifact.folder)
        # A token that the model has no score for can be neither chosen nor banned.
        facts = replace(facts, eos_ids=tuple(token for token in facts.eos_ids if token < loaded.vocab_size))
        context_tokens = min(facts.context_tokens, _short_context(model))
        if deterministic:
            log.info("deterministic: a step computes one request after the other, not all of them together")
        planned = plan_onnx_cache(loaded, context_tokens=context_tokens, slots=slots, stated_bytes=cache_bytes)
        try:
            backend = OnnxBackend(loaded, planned, one_by_one=deterministic)
        except BaseException:
            planned.reservation.release()
            raise
        info = EngineInfo(
            engine="onnx",
            model=str(model),
            device="cpu",
            dtype=artifact.precision,
            context_tokens=backend.context_tokens,
            slots=backend.slots,
            queue_size=queue_size,
            cache_bytes=backend.cache_bytes,
            model_context_tokens=context_tokens if planned.reservation.plan.shortened else 0,
        )
        super().__init__(backend, codec, facts.eos_ids, info)


def _short_context(model: Path) -> int:
    """Return the context that the model was trained with, where it scales its positions beyond; else no limit.

    The exported graph scales the positions of every row once a single one is longer than that: one request would
    change the text of another.
    """
    config = read_json(model / "config.json")
    found = config.get("original_max_position_embeddings")
    return found if isinstance(found, int) and found > 0 else 10**9

"""The openvino engine for CPUs: OpenVINO GenAI over an artifact of ``pilotlight export``, without torch."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from pathlib import Path

from pilotlight.config.predictor import DEFAULT_TEXT, ENGINE_QUEUE_SIZE
from pilotlight.engines.openvino.cache_plan import OpenVINOCachePlan, plan_openvino_cache
from pilotlight.engines.openvino.runtime import Runtime, runtime
from pilotlight.engines.openvino.sampling_config import needs_fallback
from pilotlight.engines.openvino.serial import OpenVINOSerialBackend
from pilotlight.engines.openvino.stateful import StageUnfitError, StatefulModel, import_stateful, open_stateful
from pilotlight.engines.text.engine import BackendEngine, TextBackend
from pilotlight.engines.text.fallback import FallbackBackend
from pilotlight.engines.text.model_config import ModelFacts, read_facts
from pilotlight.engines.text.staged import StagedBackend
from pilotlight.engines.text.tokens.tokenizer import TokenizerCodec
from pilotlight.engines.text.types import EngineInfo
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.tracing import stage

__all__ = ["OpenVINOEngine", "Stages"]

log = logging.getLogger(__name__)


class Stages(Enum):
    """Which stages an engine has.

    ``BOTH`` is ``BATCHING`` alone where the artifact has no first stage for this machine and this version of the
    runtime; the log says so. ``FIRST`` alone is for comparing the two.
    """

    BOTH = auto()
    BATCHING = auto()
    FIRST = auto()


class OpenVINOEngine(BackendEngine):
    """Continuous batching on the CPU, behind a first stage that answers while the batching one compiles.

    Args:
        model: the model folder, for its tokenizer and configuration.
        artifact: what to run, from ``find_artifacts``.
        slots: requests that advance together, at most.
        queue_size: further requests that may wait.
        stages: which to start.
        cache_bytes: of keys and values, where it is set by hand.
        deterministic: compute in float32 and without a first stage, so that a request's greedy text does not depend on
            which requests run beside it.

    Attributes:
        stages: the back end that goes from the first stage to the second; ``None`` where there is one stage only.

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
        stages: Stages = Stages.BOTH,
        cache_bytes: int | None = None,
        deterministic: bool = False,
    ) -> None:
        modules = runtime(deterministic=deterministic)
        if deterministic:
            stages = Stages.BATCHING
            log.info("deterministic: float32 arithmetic and cache, no quantized activations, no first stage")
        # Opening the compiled model releases the interpreter lock, so the tokenizer is read meanwhile.
        with ThreadPoolExecutor(1, "pilotlight-open") as pool:
            opening = pool.submit(_open_first, modules, artifact) if stages is not Stages.BATCHING else None
            with stage("weights"):
                codec = TokenizerCodec(model)
                facts = read_facts(model, codec)
                # Banning a token that the model has no score for would write beyond the scores.
                facts = replace(facts, eos_ids=tuple(token for token in facts.eos_ids if token < facts.vocab_size))
            opened = _opened(opening, stages)
        plan = plan_openvino_cache(
            artifact.folder,
            cache=modules.settings(artifact.precision)["KV_CACHE_PRECISION"],
            facts=facts,
            slots=slots,
            stated_bytes=cache_bytes,
        )
        self._reservation = plan.reservation
        try:
            backend = _start(modules, artifact, facts, plan, opened, stages)
        except BaseException:
            plan.reservation.release()
            raise
        info = EngineInfo(
            engine="openvino",
            model=str(model),
            device="cpu",
            dtype=artifact.precision,
            context_tokens=plan.context_tokens,
            slots=backend.slots,
            queue_size=queue_size,
            model_context_tokens=facts.context_tokens if plan.reservation.plan.shortened else 0,
        )
        self.stages = backend if isinstance(backend, StagedBackend) else None
        self._starting_note = (
            f"{plan.serial_bytes // 10**6} MB of it until requests are batched; one at a time until then"
        )
        super().__init__(backend, codec, facts.eos_ids, info)

    def close(self) -> None:
        super().close()
        self._reservation.release()

    @property
    def info(self) -> EngineInfo:
        """Describe the engine as it is now: the first stage's memory is counted while that stage exists."""
        starting = self.stages is not None and self.stages.starting
        return replace(self._info, cache_bytes=self._backend.cache_bytes, note=self._starting_note if starting else "")


def _start(
    modules: Runtime,
    artifact: Artifact,
    facts: ModelFacts,
    plan: OpenVINOCachePlan,
    opened: StatefulModel | None,
    stages: Stages,
) -> TextBackend:
    """Start the back end for ``stages``; without an ``opened`` first stage, the batching one alone."""
    serial = partial(
        OpenVINOSerialBackend, modules, facts=facts, context_tokens=plan.context_tokens, cache_bytes=plan.serial_bytes
    )

    def batching(before: OpenVINOSerialBackend | None = None) -> TextBackend:
        from pilotlight.engines.openvino.continuous import (
            OpenVINOBackend,
        )  # its imports wait until the first stage is ready

        backend = OpenVINOBackend(modules, artifact.folder, precision=artifact.precision, facts=facts, plan=plan)
        return FallbackBackend(
            backend, needs_fallback, lambda: serial(partial(_open_fallback, modules, artifact, before))
        )

    if opened is None:
        return batching()
    first = serial(lambda: opened)
    if stages is Stages.FIRST:
        return first
    return StagedBackend(
        first,
        partial(batching, first),
        slots=plan.slots,
        context_tokens=plan.context_tokens,
        cache_bytes=plan.cache_bytes,
    )


def _open_first(modules: Runtime, artifact: Artifact) -> StatefulModel:
    """Open the compiled model and compute one token with it.

    Raises:
        StageUnfitError: it cannot be used here.
    """
    with stage("compile"):
        opened = import_stateful(modules, artifact.folder, artifact.precision)
    with stage("device"):
        try:
            opened.scores([0])
        except RuntimeError as error:
            raise StageUnfitError(f"it opens, but does not compute: {error}") from error
    return opened


def _opened(opening: Future[StatefulModel] | None, stages: Stages) -> StatefulModel | None:
    """Return what was opened; ``None`` where the engine starts without a first stage."""
    try:
        return opening.result() if opening is not None else None
    except StageUnfitError as error:
        if stages is Stages.FIRST:
            raise
        log.info(
            "ready only when requests can be batched, because of %s: export the model again on this kind of machine",
            error,
        )
        return None


def _open_fallback(modules: Runtime, artifact: Artifact, before: OpenVINOSerialBackend | None) -> StatefulModel:
    """Open the model for requests that are not batched, after ``before``, the first stage, has freed its memory.

    Raises:
        StageUnfitError: it can be neither opened nor compiled.
    """
    if before is not None:
        before.join()
    started = time.monotonic()
    opened = open_stateful(modules, artifact.folder, artifact.precision)
    log.info(
        "requests with presence_penalty or frequency_penalty are served one at a time, beside the batch; "
        "opening the model for them took %.2f s",
        time.monotonic() - started,
    )
    return opened

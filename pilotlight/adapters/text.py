"""The text predictor behind ``predict.py``: opens the engine that the environment names, warms it up, and streams."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from pilotlight.adapters.coglet import CancelSignal
from pilotlight.adapters.text_inputs import TextInputs
from pilotlight.config.predictor import TextSettings
from pilotlight.config.variables import unknown_variables
from pilotlight.engines.select import open_engine
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.model_config import read_repetition_penalty
from pilotlight.engines.text.protocol import Engine
from pilotlight.engines.text.types import FinishReason, GenerationRequest, Sampling
from pilotlight.errors import EngineError
from pilotlight.loading.locate import check_loadable, default_model, find_model
from pilotlight.tracing import stage

__all__ = ["MetricScope", "TextPredictor"]

log = logging.getLogger(__name__)

WARM_UP_PROMPT = "def main(args):"


class MetricScope(Protocol):
    """Takes a prediction's metrics; coglet's ``current_scope()`` is one."""

    def record_metric(self, key: str, value: Any, mode: str = "replace") -> None: ...


class TextPredictor:
    """Streams completions from an engine.

    Args:
        engine: warmed up by the constructor, with one prediction.
        repetition_penalty: of predictions that state none.
    """

    def __init__(self, engine: Engine, *, repetition_penalty: float = 1.0) -> None:
        self.engine = engine
        self.repetition_penalty = repetition_penalty
        started = time.monotonic()
        warm = GenerationRequest(WARM_UP_PROMPT, Sampling(max_tokens=4))
        with stage("warmup"):
            engine.submit(warm).text()
        info = engine.info
        log.info(
            "%s on %s: %s, %s, %d at once, context of %d tokens, cache of %d MB%s; warm-up took %.2f s",
            info.model,
            info.engine,
            info.device,
            info.dtype,
            info.slots,
            info.context_tokens,
            info.cache_bytes // 10**6,
            f" ({info.note})" if info.note else "",
            time.monotonic() - started,
        )

    @classmethod
    def from_environment(cls, root: Path, environ: Mapping[str, str] = os.environ) -> TextPredictor:
        """Return the predictor that the environment asks for, as ``TextSettings.from_env`` reads it.

        Args:
            root: the project, whose ``weights/`` holds models.
            environ: the variables.

        Raises:
            ConfigError: a variable has a value that is not allowed.
            WeightsError: there is no such model, or it is damaged.
        """
        settings = TextSettings.from_env(environ)
        for message in unknown_variables(environ):
            log.warning("%s", message)
        return cls.from_settings(settings, root, environ)

    @classmethod
    def from_settings(
        cls, settings: TextSettings, root: Path, environ: Mapping[str, str] = os.environ
    ) -> TextPredictor:
        """Return the predictor that ``settings`` describe.

        Args:
            settings: the model, its engine and how many predictions it takes.
            root: the project, whose ``weights/`` holds models.
            environ: where caches of models are looked up.

        Raises:
            ConfigError: the settings ask for what is not there.
            WeightsError: there is no such model, or it is damaged.
        """
        name, remark = (settings.model, "") if settings.model else default_model(root / "weights")
        if remark:
            log.info("%s", remark)
        folder = find_model(name, weights_dir=root / "weights", environ=environ)
        check_loadable(folder)
        queue_size = settings.queue_size or settings.slots
        engine = open_engine(folder, settings.engine, slots=settings.slots, queue_size=queue_size)
        return cls(engine, repetition_penalty=read_repetition_penalty(folder))

    def stream(
        self,
        inputs: TextInputs,
        *,
        scope: MetricScope,
        signal: CancelSignal | None = None,
        canceled: Callable[[], BaseException],
    ) -> Iterator[str]:
        """Start a prediction and return its chunks.

        Errors in the inputs are raised here, before the first chunk is asked for.

        Args:
            inputs: as the caller gave them.
            scope: gets the metrics: token counts, times, finish reason, the seed used.
            signal: cancels the prediction when set.
            canceled: makes the exception that tells the runtime that the prediction was cancelled.

        Raises:
            InputError, EngineError: as ``Engine.submit``.
        """
        request = inputs.request(self.engine.codec, repetition_penalty=self.repetition_penalty)
        generation = self.engine.submit(request)
        if signal is not None:
            signal.call_on_set(generation.cancel)
        return self._chunks(generation, scope, canceled)

    def healthy(self) -> bool:
        """Whether the engine can still answer."""
        return self.engine.healthy()

    def close(self) -> None:
        self.engine.close()

    def _chunks(
        self, generation: Generation, scope: MetricScope, canceled: Callable[[], BaseException]
    ) -> Iterator[str]:
        finish: FinishReason | None = None
        try:
            for chunk in generation:
                finish = chunk.finish
                if chunk.text:
                    yield chunk.text
        finally:
            _record(scope, generation, finish)
        if finish is FinishReason.CANCELED:
            raise canceled()
        if finish is None:
            raise EngineError("the generation ended without a reason: this is a bug")


def _record(scope: MetricScope, generation: Generation, finish: FinishReason | None) -> None:
    usage = generation.usage
    metrics = {
        "input_token_count": usage.input_tokens,
        "output_token_count": usage.output_tokens,
        "time_to_first_token_s": round(usage.time_to_first_token_s, 4),
        "tokens_per_second": round(usage.tokens_per_second, 2),
        "finish_reason": str(finish or FinishReason.CANCELED),
        "seed": generation.request.sampling.seed,
    }
    for key, value in metrics.items():
        scope.record_metric(key, value)

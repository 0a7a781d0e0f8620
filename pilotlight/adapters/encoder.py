"""The classifier and the embedder behind the examples' ``predict.py``: opens the encoder that the environment names."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pilotlight.adapters.encoder_inputs import read_texts
from pilotlight.adapters.text import MetricScope
from pilotlight.config.encoder import EncoderSettings
from pilotlight.config.variables import unknown_variables
from pilotlight.engines.encoders.batch_planner import BatchLimits
from pilotlight.engines.encoders.scores import scores, unit
from pilotlight.engines.encoders.sentence_transformers import body_folder
from pilotlight.engines.encoders.types import Encoded, EncoderEngine, Task, TextRequest
from pilotlight.engines.select_encoder import open_encoder
from pilotlight.errors import InputError
from pilotlight.loading.files.loadable import check_sizes
from pilotlight.loading.locate import check_loadable, find_model
from pilotlight.tracing import stage

__all__ = ["ClassifyPredictor", "EmbedPredictor", "Embedding", "Labeled"]

log = logging.getLogger(__name__)

WARM_UP_TEXT = "def main(args):"


@dataclass(frozen=True, slots=True)
class Labeled:
    """A text's labels with their scores, the highest first."""

    labels: tuple[tuple[str, float], ...]
    tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text's vector."""

    vector: tuple[float, ...]
    tokens: int
    truncated: bool


class _EncoderPredictor:
    """The part that both predictors share.

    Args:
        engine: warmed up by the constructor, with one text.
    """

    task: Task

    def __init__(self, engine: EncoderEngine) -> None:
        if engine.info.task is not self.task:
            raise ValueError(f"{engine.info} does not {self.task}: this is a bug")
        self.engine = engine
        started = time.monotonic()
        with stage("warmup"):
            engine.submit([TextRequest(WARM_UP_TEXT)])[0].result()
        info = engine.info
        log.info(
            "%s on %s: %s, %s, texts of up to %d tokens%s%s; a batch takes %.2f ms and %.1f us for each token; "
            "up to %d texts in a batch%s, %d at once; warm-up took %.2f s",
            info.model,
            info.engine,
            info.device,
            info.dtype,
            info.max_tokens,
            f", {len(info.labels)} labels" if info.labels else "",
            f", prompts {', '.join(info.rules.prompts)}" if info.rules.prompts else "",
            info.cost.call_s * 1e3,
            info.cost.token_s * 1e6,
            info.limits.max_rows,
            " of the same length" if info.limits.equal_lengths else "",
            info.queue_size,
            time.monotonic() - started,
        )

    @classmethod
    def from_environment(cls, root: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the predictor that the environment asks for, as ``EncoderSettings.from_env`` reads it.

        Args:
            root: the project; ``weights/`` in it, or in a folder above it, holds models.
            environ: the variables.

        Raises:
            ConfigError: a variable has a value that is not allowed.
            WeightsError: there is no such model, it is damaged, or it is not for this task.
        """
        settings = EncoderSettings.from_env(environ)
        for message in unknown_variables(environ):
            log.warning("%s", message)
        return cls.from_settings(settings, root, environ)

    @classmethod
    def from_settings(cls, settings: EncoderSettings, root: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the predictor that ``settings`` describe.

        Args:
            settings: the model, its engine and how texts are batched.
            root: the project; ``weights/`` in it, or in a folder above it, holds models.
            environ: where caches of models are looked up.

        Raises:
            ConfigError: the settings ask for what is not there.
            WeightsError: there is no such model, it is damaged, or it is not for this task.
        """
        folder = find_model(settings.model, weights_dir=_weights_dir(root), environ=environ)
        body = body_folder(folder)
        if body != folder:  # the manifest lies beside the folders of modules
            check_sizes(folder)
        check_loadable(body)
        engine = open_encoder(
            folder,
            cls.task,
            settings.engine,
            pooling=settings.pooling,
            queue_size=settings.queue_size,
            limits=BatchLimits(max_rows=settings.max_rows, max_wait_s=settings.max_wait_s),
        )
        return cls(engine)

    async def encode(self, requests: Sequence[TextRequest], scope: MetricScope | None) -> list[Encoded]:
        """Return the model's numbers for each text. Cancelling this takes the texts that wait out of the queue.

        Args:
            requests: the texts.
            scope: gets the metrics: the number of texts, of tokens read, and of texts that were cut off.
        """
        # Tokenizing many texts takes a while; it must not hold up the event loop.
        submitting = asyncio.ensure_future(asyncio.to_thread(self.engine.submit, requests))
        try:
            futures = await asyncio.shield(submitting)
        except asyncio.CancelledError:
            submitting.add_done_callback(_cancel_all)  # that thread cannot be stopped, and will queue them
            raise
        try:
            found: list[Encoded] = await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            for future in futures:  # one has failed, or the caller has gone: the rest is not needed
                future.cancel()
        if scope is not None:
            scope.record_metric("text_count", len(found))
            scope.record_metric("input_token_count", sum(one.tokens for one in found))
            scope.record_metric("truncated_count", sum(one.cut_tokens > 0 for one in found))
        return found

    def healthy(self) -> bool:
        """Whether the engine can still answer."""
        return self.engine.healthy()

    def close(self) -> None:
        self.engine.close()


class ClassifyPredictor(_EncoderPredictor):
    """Labels texts.

    Args:
        engine: a classifier.
    """

    task = Task.CLASSIFY

    async def classify(
        self,
        text: str,
        texts: str,
        *,
        top_k: int,
        truncate: bool = True,
        text_pair: str = "",
        scope: MetricScope | None = None,
    ) -> list[Labeled]:
        """Return the ``top_k`` likeliest labels of each text or pair of texts.

        Args:
            text: a single text.
            texts: several instead, as a JSON list of texts, or of pairs such as ``["query", "document"]``.
            top_k: labels of each.
            truncate: cut off what does not fit the model.
            text_pair: the second text of a pair with ``text``, for a model that compares two (a cross-encoder).
            scope: gets the metrics.

        Raises:
            InputError, EngineError: as ``read_texts`` and ``EncoderEngine.submit``.
        """
        if top_k < 1:
            raise InputError("top_k", f"is {top_k}; expected at least 1")
        info = self.engine.info
        found = []
        requests = read_texts(text, texts, truncate=truncate, text_pair=text_pair, pairs=True)
        for one in await self.encode(requests, scope):
            ranked = sorted(
                zip(info.labels, scores(one.values, info.activation), strict=True), key=lambda pair: -pair[1]
            )
            found.append(Labeled(tuple(ranked[:top_k]), one.tokens, one.cut_tokens > 0))
        return found


class EmbedPredictor(_EncoderPredictor):
    """Turns texts into vectors.

    Args:
        engine: an embedder.
    """

    task = Task.EMBED

    async def embed(
        self,
        text: str,
        texts: str,
        *,
        normalize: bool = True,
        truncate: bool = True,
        prompt_name: str = "",
        scope: MetricScope | None = None,
    ) -> list[Embedding]:
        """Return the vector of each text, of length 1 where ``normalize`` is set.

        Args:
            text: a single text.
            texts: several instead, as a JSON list.
            normalize: give vectors of length 1.
            truncate: cut off what does not fit the model.
            prompt_name: which of the model's prompts precedes each text; empty for its default.
            scope: gets the metrics.

        Raises:
            InputError, EngineError: as ``read_texts`` and ``EncoderEngine.submit``.
        """
        return [
            Embedding(unit(one.values) if normalize else one.values, one.tokens, one.cut_tokens > 0)
            for one in await self.encode(read_texts(text, texts, truncate=truncate, prompt_name=prompt_name), scope)
        ]


def _cancel_all(submitting: asyncio.Future[list[Future[Encoded]]]) -> None:
    if submitting.exception() is None:
        for future in submitting.result():
            future.cancel()


def _weights_dir(root: Path) -> Path:
    """Return the nearest ``weights/``: the example projects are in a folder of the project that has the weights."""
    return next(
        (folder / "weights" for folder in (root, *root.parents) if (folder / "weights").is_dir()), root / "weights"
    )

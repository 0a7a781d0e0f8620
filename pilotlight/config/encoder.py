"""What the predictors that classify or embed texts are told.

Apart from ``predictor``, because a class takes the better part of a millisecond of a cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotlight.config.predictor import EngineOptions
from pilotlight.config.variables import BATCH, BATCH_WAIT_MS, ENCODER_MODEL, MODEL, POOLING, QUEUE


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """A predictor that classifies or embeds texts.

    Attributes:
        model: a folder or GGUF file, the name of one in ``weights/``, or a hub id.
        engine: which engine it gets.
        pooling: ``auto``, ``mean``, ``cls``, ``last``, ``max``, ``weighted`` or ``sqrt``: how an embedder makes one
            vector of a text's tokens.
        max_rows: texts computed together at most.
        max_wait_s: how long a text may wait for others to share its batch.
        queue_size: texts inside at most, running ones included.
    """

    model: str = ENCODER_MODEL
    engine: EngineOptions = field(default_factory=EngineOptions)
    pooling: str = POOLING.default
    max_rows: int = BATCH.default
    max_wait_s: float = BATCH_WAIT_MS.default / 1e3
    queue_size: int = 1024

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> EncoderSettings:
        """Read the variables of the table.

        Raises:
            ConfigError: a value is not allowed.
        """
        return cls(
            model=MODEL.read(environ) or ENCODER_MODEL,
            engine=EngineOptions.from_env(environ),
            pooling=POOLING.read(environ),
            max_rows=BATCH.read(environ),
            max_wait_s=BATCH_WAIT_MS.read(environ) / 1e3,
            queue_size=QUEUE.read(environ) or DEFAULT_ENCODER.queue_size,
        )


DEFAULT_ENCODER = EncoderSettings()

"""What the text predictor of ``predict.py`` is told, and which engine any predictor gets.

Imported at every cold start: the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotlight.config.variables import (
    CACHE_GB,
    COG_MAX_CONCURRENCY,
    DETERMINISTIC,
    DEVICE,
    DTYPE,
    ENGINE,
    MODEL,
    QUEUE,
    SLOTS,
    STAGED,
    cache_folder,
)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Which engine a model gets; ``auto`` leaves the choice to ``engines.select``.

    Attributes:
        engine: one of ``ENGINES``.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        dtype: a precision, as torch calls it or as an artifact does.
        staged: ``1`` where an engine that can do so answers, one request at a time, before all of it is loaded; ``0``:
            it waits for all; ``first``: it loads no more.
        cache: the folder for what is found out once and used again; ``None`` keeps nothing.
        cache_gb: memory for keys and values, where it is set by hand.
        deterministic: whether a request's greedy text must not depend on which requests run beside it.
    """

    engine: str = ENGINE.default
    device: str = DEVICE.default
    dtype: str = DTYPE.default
    staged: str = STAGED.default
    cache: Path | None = None
    cache_gb: float | None = CACHE_GB.default
    deterministic: bool = DETERMINISTIC.default

    @property
    def cache_bytes(self) -> int | None:
        return None if self.cache_gb is None else int(self.cache_gb * 10**9)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> EngineOptions:
        """Read ``PILOTLIGHT_ENGINE``, ``_DEVICE``, ``_DTYPE``, ``_STAGED``, ``_CACHE``, ``_CACHE_GB`` and
        ``_DETERMINISTIC``.

        Raises:
            ConfigError: a value is not allowed.
        """
        return cls(
            ENGINE.read(environ),
            DEVICE.read(environ),
            DTYPE.read(environ),
            staged=STAGED.read(environ),
            cache=cache_folder(environ),
            cache_gb=CACHE_GB.read(environ),
            deterministic=DETERMINISTIC.read(environ),
        )


@dataclass(frozen=True, slots=True)
class TextSettings:
    """A text predictor.

    Attributes:
        model: a folder or GGUF file, the name of one in ``weights/``, or a hub id; ``None`` for ``default_model``.
        engine: which engine it gets.
        slots: predictions that advance together.
        queue_size: further predictions that may wait; ``None`` for as many as slots.
    """

    model: str | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)
    slots: int = COG_MAX_CONCURRENCY.default
    queue_size: int | None = QUEUE.default

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> TextSettings:
        """Read the variables of the table; without ``PILOTLIGHT_SLOTS``, slots are as many as Cog sends.

        Raises:
            ConfigError: a value is not allowed.
        """
        return cls(
            model=MODEL.read(environ),
            engine=EngineOptions.from_env(environ),
            slots=SLOTS.read(environ) or COG_MAX_CONCURRENCY.read(environ),
            queue_size=QUEUE.read(environ),
        )


DEFAULT_TEXT = TextSettings()
# Requests that may wait at a text engine that is opened without a predictor, by a script or a check.
ENGINE_QUEUE_SIZE = 64

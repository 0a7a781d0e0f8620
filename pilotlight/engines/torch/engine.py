"""The engine for every causal language model that transformers loads, on every device that torch runs on."""

from __future__ import annotations

import logging
from pathlib import Path

from pilotlight.config.predictor import DEFAULT_TEXT, ENGINE_QUEUE_SIZE
from pilotlight.engines.text.engine import BackendEngine
from pilotlight.engines.text.types import EngineInfo
from pilotlight.engines.torch.check.choice import open_backend
from pilotlight.engines.torch.load import load
from pilotlight.engines.torch.threads import single_threaded
from pilotlight.errors import ConfigError

__all__ = ["TorchEngine"]

log = logging.getLogger(__name__)


class TorchEngine(BackendEngine):
    """transformers, with continuous batching where it computes what the model does.

    Args:
        folder: a model folder.
        device: ``auto`` (cuda, then mps, then cpu) or a torch device.
        dtype: ``auto`` (16 bits where the device is fast at it), ``float32``, ``float16`` or ``bfloat16``.
        slots: requests that advance together, at most.
        queue_size: further requests that may wait.
        serial: one request at a time, even where the model could be batched.
        cache: the folder that keeps the results of self-checks between starts; ``None`` keeps none.
        cache_bytes: of keys and values, where it is set by hand.
        deterministic: compute in float32, so that a request's greedy text does not depend on which run beside it.

    Raises:
        ConfigError, WeightsError: as ``load`` and ``open_backend``.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        slots: int = DEFAULT_TEXT.slots,
        queue_size: int = ENGINE_QUEUE_SIZE,
        serial: bool = False,
        cache: Path | None = None,
        cache_bytes: int | None = None,
        deterministic: bool = False,
    ) -> None:
        if deterministic:
            dtype = _single(dtype)
            log.info("deterministic: float32 arithmetic and cache")
        with single_threaded() as threads:
            loaded = load(Path(folder), device=device, dtype=dtype)
            backend, note = open_backend(
                loaded,
                Path(folder),
                slots=slots,
                threads=threads,
                serial=serial,
                cache=cache,
                cache_bytes=cache_bytes,
            )
        info = EngineInfo(
            engine="torch",
            model=str(folder),
            device=str(loaded.model.device),
            dtype=str(loaded.model.dtype).removeprefix("torch."),
            context_tokens=backend.context_tokens,
            slots=backend.slots,
            queue_size=queue_size,
            cache_bytes=backend.cache_bytes,
            note=note,
            model_context_tokens=loaded.context_tokens if backend.context_tokens < loaded.context_tokens else 0,
        )
        super().__init__(backend, loaded.codec, loaded.eos_ids, info)


def _single(dtype: str) -> str:
    """Return the precision of a deterministic engine.

    Raises:
        ConfigError: another one was asked for.
    """
    if dtype not in ("auto", "float32"):
        raise ConfigError(
            f"PILOTLIGHT_DETERMINISTIC=1 computes in float32, but PILOTLIGHT_DTYPE is {dtype}: leave one of them out"
        )
    return "float32"

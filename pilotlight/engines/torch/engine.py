"""The engine for every causal language model that transformers loads, on every device that torch runs on."""

from __future__ import annotations

import logging
from pathlib import Path

from pilotlight.config.predictor import DEFAULT_TEXT, ENGINE_QUEUE_SIZE
from pilotlight.engines.text.engine import BackendEngine, TextBackend
from pilotlight.engines.text.types import EngineInfo
from pilotlight.engines.torch.continuous import TorchBackend, UnsupportedModelError
from pilotlight.engines.torch.load import load
from pilotlight.engines.torch.serial import TorchSerialBackend
from pilotlight.engines.torch.threads import single_threaded

__all__ = ["TorchEngine"]

log = logging.getLogger(__name__)


class TorchEngine(BackendEngine):
    """transformers, with continuous batching where the model allows it.

    Args:
        folder: a model folder.
        device: ``auto`` (cuda, then mps, then cpu) or a torch device.
        dtype: ``auto`` (16 bits where the device is fast at it), ``float32``, ``float16`` or ``bfloat16``.
        slots: requests that advance together, at most.
        queue_size: further requests that may wait.
        serial: one request at a time, even where the model could be batched.

    Raises:
        ConfigError, WeightsError: as ``load``.
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
    ) -> None:
        note = "one at a time, as asked" if serial else ""
        backend: TextBackend | None = None
        with single_threaded() as threads:
            loaded = load(Path(folder), device=device, dtype=dtype)
            if not serial:
                try:
                    backend = TorchBackend(loaded, slots, threads)
                except UnsupportedModelError as error:
                    note = f"one at a time: continuous batching does not support this model ({error})"
                    log.warning("%s: %s", folder, note)
        backend = backend or TorchSerialBackend(loaded)
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
        )
        super().__init__(backend, loaded.codec, loaded.eos_ids, info)

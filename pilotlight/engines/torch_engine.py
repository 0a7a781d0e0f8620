"""The engine that takes any causal language model transformers loads, on any device torch runs on."""

from __future__ import annotations

import atexit
import logging
import threading
from pathlib import Path
from typing import Protocol

from pilotlight.engines.admission import Admission
from pilotlight.engines.base import EngineInfo, FinishReason, GenerationRequest, TokenCodec
from pilotlight.engines.generation import Generation
from pilotlight.engines.torch_continuous import ContinuousBackend, UnsupportedModelError
from pilotlight.engines.torch_load import load
from pilotlight.engines.torch_serial import SerialBackend
from pilotlight.errors import EngineStoppedError

__all__ = ["TorchEngine"]

log = logging.getLogger(__name__)


class Backend(Protocol):
    """Advances generations until they end."""

    slots: int
    context_tokens: int
    cache_bytes: int

    def add(self, generation: Generation) -> None: ...

    def cancel(self, generation: Generation) -> None: ...

    def alive(self) -> bool: ...

    def close(self) -> None: ...


class TorchEngine:
    """transformers, with continuous batching where the model allows it.

    Args:
        folder: a model folder.
        device: ``auto`` (cuda, then mps, then cpu) or a torch device.
        dtype: ``auto`` (16 bits where the device is fast at it), ``float32``, ``float16`` or ``bfloat16``.
        slots: requests that advance together, at most.
        queue_size: further requests that may wait.
        serial: one request at a time even where the model could be batched.

    Raises:
        ConfigError, WeightsError: as ``torch_load.load``.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        slots: int = 16,
        queue_size: int = 64,
        serial: bool = False,
    ) -> None:
        loaded = load(Path(folder), device=device, dtype=dtype)
        note = "one at a time, as asked" if serial else ""
        backend: Backend | None = None
        if not serial:
            try:
                backend = ContinuousBackend(loaded, slots)
            except UnsupportedModelError as error:
                note = f"one at a time: continuous batching cannot take this model ({error})"
                log.warning("%s: %s", folder, note)
        self._backend = backend or SerialBackend(loaded)
        self._loaded = loaded
        self._admission = Admission(loaded.codec, self._backend.context_tokens, self._backend.slots + queue_size)
        self._live: set[Generation] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._info = EngineInfo(
            engine="torch",
            model=str(folder),
            device=str(loaded.model.device),
            dtype=str(loaded.model.dtype).removeprefix("torch."),
            context_tokens=self._backend.context_tokens,
            slots=self._backend.slots,
            queue_size=queue_size,
            cache_bytes=self._backend.cache_bytes,
            note=note,
        )
        atexit.register(self.close)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def codec(self) -> TokenCodec:
        return self._loaded.codec

    def submit(self, request: GenerationRequest) -> Generation:
        prompt_ids = self._admission.encode(request)
        self._admission.enter(stopped=not self.healthy())
        generation = Generation(
            request,
            prompt_ids,
            self.codec,
            max_tokens=min(request.sampling.max_tokens, self._info.context_tokens - len(prompt_ids)),
            eos_ids=self._loaded.eos_ids,
            on_end=self._ended,
        )
        with self._lock:
            self._live.add(generation)
        try:
            self._backend.add(generation)
        except EngineStoppedError as error:
            generation.fail(error)
            raise
        return generation

    def healthy(self) -> bool:
        return not self._closed.is_set() and self._backend.alive()

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            with self._lock:
                live = list(self._live)
            for generation in live:
                generation.stop()
            self._backend.close()
            atexit.unregister(self.close)

    def _ended(self, generation: Generation, reason: FinishReason | None) -> None:
        with self._lock:
            self._live.discard(generation)
        self._admission.leave()
        if reason is FinishReason.CANCELED:
            self._backend.cancel(generation)

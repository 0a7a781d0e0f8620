"""The protocol of all text engines."""

from __future__ import annotations

from typing import Protocol

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import EngineInfo, GenerationRequest, TokenCodec

__all__ = ["Engine"]


class Engine(Protocol):
    """Turns prompts into text, many at a time. Thread-safe."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def codec(self) -> TokenCodec: ...

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request. Other requests do not notice one that is refused.

        Raises:
            InputError: the prompt is empty or does not fit, or the engine cannot do what was asked for.
            EngineBusyError: the queue is full.
            EngineStoppedError: the engine is closed or dead.
        """

    def healthy(self) -> bool:
        """Whether it can still answer; ``False`` once its thread has died or it was closed."""

    def close(self) -> None:
        """Fail every request that has not ended and release the model. Safe to call twice."""

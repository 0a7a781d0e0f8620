"""The one protocol of all engines."""

from __future__ import annotations

from typing import Protocol

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.types import EngineInfo, GenerationRequest, TokenCodec

__all__ = ["Engine"]


class Engine(Protocol):
    """Turns prompts into text, many at a time.  Thread-safe.

    ``submit`` raises on entry whatever can be known on entry, and leaves the other requests alone:
    InputError (an empty prompt, one that cannot fit), EngineBusyError (a full queue), EngineStoppedError.
    """

    @property
    def info(self) -> EngineInfo: ...

    @property
    def codec(self) -> TokenCodec: ...

    def submit(self, request: GenerationRequest) -> Generation: ...

    def healthy(self) -> bool:
        """Whether it can still answer; ``False`` once its thread has died or it was closed."""

    def close(self) -> None:
        """Cancel what runs and let go of the model.  Safe to call twice."""

"""Engines: what turns a model folder into text.

The engines themselves are imported from their own modules (``pilotlight.engines.torch.engine``), so that whoever needs
the protocol only does not load torch.
"""

from pilotlight.engines.text.fake import FakeEngine
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.protocol import Engine
from pilotlight.engines.text.types import (
    Chunk,
    EngineInfo,
    FinishReason,
    GenerationRequest,
    Sampling,
    TokenCodec,
    Usage,
)

__all__ = [
    "Chunk",
    "Engine",
    "EngineInfo",
    "FakeEngine",
    "FinishReason",
    "Generation",
    "GenerationRequest",
    "Sampling",
    "TokenCodec",
    "Usage",
]

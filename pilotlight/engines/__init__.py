"""Engines: what turns a model folder into text.

The engines themselves are imported from their own modules (``pilotlight.engines.torch_engine``), so that whoever needs
the protocol only does not load torch.
"""

from pilotlight.engines.base import (
    Chunk,
    EngineInfo,
    FinishReason,
    GenerationRequest,
    Sampling,
    TokenCodec,
    Usage,
)
from pilotlight.engines.fake import FakeEngine
from pilotlight.engines.generation import Generation
from pilotlight.engines.protocol import Engine

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

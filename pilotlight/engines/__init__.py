"""Engines: they turn prompts into text with the model in a folder, and texts into numbers.

``text`` and ``encoders`` hold the contracts, the batching and the fakes; each back end has a folder of its own
(``torch``, ``openvino``, ``onnx``). Import an engine from its module (``pilotlight.engines.torch.engine``), or let
``select`` choose: this package imports no back end.
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

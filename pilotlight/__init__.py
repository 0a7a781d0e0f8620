"""pilotlight: a Hugging Face model on serverless GPUs with Cog, started fast, run fast, and measured.

Importing this package loads no torch, no transformers and no web framework, reads no environment and configures no
logging.
"""

from pilotlight.errors import (
    ConfigError,
    EngineBusyError,
    EngineError,
    EngineStoppedError,
    FetchError,
    InputError,
    PilotlightError,
    PredictionCanceledError,
    PredictionFailedError,
    SetupFailedError,
    StoreError,
    UnsafeWeightsError,
    UsageError,
    WeightsError,
    WorkerBusyError,
    WorkerCrashedError,
    WorkerError,
    WorkerMemoryError,
    WorkerTimeoutError,
)

__all__ = [
    "ConfigError",
    "EngineBusyError",
    "EngineError",
    "EngineStoppedError",
    "FetchError",
    "InputError",
    "PilotlightError",
    "PredictionCanceledError",
    "PredictionFailedError",
    "SetupFailedError",
    "StoreError",
    "UnsafeWeightsError",
    "UsageError",
    "WeightsError",
    "WorkerBusyError",
    "WorkerCrashedError",
    "WorkerError",
    "WorkerMemoryError",
    "WorkerTimeoutError",
    "__version__",
]

__version__ = "0.1.0"

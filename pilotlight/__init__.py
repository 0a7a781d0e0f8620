"""pilotlight: a Hugging Face model on serverless GPUs with Cog, started fast, run fast, and measured.

Importing this package loads no torch, no transformers and no web framework, reads no environment and configures no
logging.
"""

from pilotlight.errors import (
    ConfigError,
    DeadlineError,
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
    TargetAuthError,
    TargetBusyError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
    UnsafeWeightsError,
    UsageError,
    WebhookError,
    WeightsError,
    WorkerBusyError,
    WorkerCrashedError,
    WorkerError,
    WorkerMemoryError,
    WorkerTimeoutError,
)

# As in the module typing, which every start would have to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pilotlight.client import AsyncClient, Client

__all__ = [
    "AsyncClient",
    "Client",
    "ConfigError",
    "DeadlineError",
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
    "TargetAuthError",
    "TargetBusyError",
    "TargetError",
    "TargetMissingError",
    "TargetUnavailableError",
    "UnsafeWeightsError",
    "UsageError",
    "WebhookError",
    "WeightsError",
    "WorkerBusyError",
    "WorkerCrashedError",
    "WorkerError",
    "WorkerMemoryError",
    "WorkerTimeoutError",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The clients bring their HTTP library: they are imported when they are asked for."""
    if name in ("AsyncClient", "Client"):
        from pilotlight import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

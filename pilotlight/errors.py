"""Every error that pilotlight raises on purpose.

    PilotlightError
    ├── UsageError                what the caller gave cannot work; the message says what to change
    │   ├── ConfigError           cog.yaml, infera.yaml or an environment variable
    │   ├── InputError            one input of a prediction: which, what was given, what is allowed
    │   └── UnsafeWeightsError    a model that could only be loaded by running code from it (pickle)
    ├── WeightsError              a model folder is missing, incomplete or damaged
    │   └── FetchError            it could not be downloaded; the part that arrived is kept
    ├── EngineError               the engine failed; other requests may go on
    │   ├── EngineBusyError       its queue is full: try again later
    │   └── EngineStoppedError    it is closed or dead, and takes no more requests
    ├── StoreError                the gateway's database cannot be read or written
    ├── TargetError               a place that predictions are sent to: Replicate, RunPod, a gateway, a Cog server
    │   ├── TargetAuthError       it does not accept the token, or the account may not do this
    │   ├── TargetMissingError    it does not know the model, version, endpoint or prediction
    │   ├── TargetBusyError       it takes no more for now; carries when to try again
    │   ├── TargetUnavailableError    it cannot be reached, or has broken
    │   └── DeadlineError         the time given to a prediction is over; it has been cancelled
    ├── WebhookError              a webhook is not from whom it says: do not act on it
    └── WorkerError               a Cog server process
        ├── SetupFailedError      setup() raised; carries its logs
        ├── WorkerCrashedError    the process died or its Python half did
        ├── WorkerBusyError       every slot is taken
        ├── WorkerTimeoutError    it did not become ready, answer or stop in time
        ├── WorkerMemoryError     it took more memory than there is, or than it was allowed
        ├── PredictionFailedError    predict() raised; carries the finished prediction's logs
        └── PredictionCanceledError  somebody cancelled it

A ``UsageError`` ends the command line with status 2, any other with status 1, and neither with a traceback.
"""

from __future__ import annotations


class PilotlightError(Exception):
    """The root: catch it to catch everything this package raises on purpose."""


class UsageError(PilotlightError):
    """What the caller gave cannot work."""


class ConfigError(UsageError):
    """A configuration file or an environment variable is wrong."""


class InputError(UsageError):
    """One input of a prediction is wrong.

    Args:
        name: the input as the caller knows it, such as ``prompt``.
        problem: what was given, what is allowed and what to change; the message is ``name: problem``.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class UnsafeWeightsError(UsageError):
    """The model could only be loaded by running code that comes with it."""


class WeightsError(PilotlightError):
    """A model folder is missing, incomplete or damaged."""


class FetchError(WeightsError):
    """A download failed; what arrived is kept, so that the same command goes on from there."""


class EngineError(PilotlightError):
    """The engine failed while it worked on a request."""


class EngineBusyError(EngineError):
    """The engine's queue is full."""


class EngineStoppedError(EngineError):
    """The engine is closed or has died."""


class StoreError(PilotlightError):
    """The gateway's database cannot be read or written."""


class TargetError(PilotlightError):
    """A place that predictions are sent to did something that none of the errors below says better."""


class TargetAuthError(TargetError):
    """The target does not accept the token, or the account may not do this."""


class TargetMissingError(TargetError):
    """The target does not know what was asked for."""


class TargetBusyError(TargetError):
    """The target takes no more for now.

    Args:
        message: what it said.
        retry_after_s: when it asked to be tried again; ``None`` where it did not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TargetUnavailableError(TargetError):
    """The target cannot be reached, or has broken.

    Args:
        message: what happened.
        sent: whether the request may have reached it, so that sending it again might run it twice.
        retry_after_s: when it asked to be tried again; ``None`` where it did not say.
    """

    def __init__(self, message: str, *, sent: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.retry_after_s = retry_after_s


class DeadlineError(TargetError):
    """The time given to a prediction is over, and the target has been told to cancel it.

    Args:
        message: which time, and how much it was.
        phase: ``total``, ``wait`` (for the prediction to begin) or ``predict``.
    """

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message)
        self.phase = phase


class WebhookError(PilotlightError):
    """A webhook is not signed by the key, or is not of now."""


class WorkerError(PilotlightError):
    """Something about a Cog server process.

    Args:
        message: what happened and what to do.
        logs: what the process printed about it; may be empty.
    """

    def __init__(self, message: str, *, logs: str = "") -> None:
        super().__init__(message)
        self.logs = logs


class SetupFailedError(WorkerError):
    """``setup()`` raised, or the predictor could not even be imported."""


class WorkerCrashedError(WorkerError):
    """The process is gone, or its Python half is."""


class WorkerBusyError(WorkerError):
    """Every slot of the worker is taken."""


class WorkerTimeoutError(WorkerError):
    """The worker did not become ready, answer or stop in time."""


class WorkerMemoryError(WorkerError):
    """The worker took more memory than there is, or than it was allowed."""


class PredictionFailedError(WorkerError):
    """``predict()`` raised."""


class PredictionCanceledError(WorkerError):
    """The prediction was cancelled."""

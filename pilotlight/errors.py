"""Every error that pilotlight raises on purpose.

    PilotlightError
    ├── UsageError                what the caller gave cannot work; the message says what to change
    ├── UsageError                invalid arguments or configuration; the message says what to change
    │   ├── InputError            one input of a prediction: which, what was given, what is allowed
    │   └── UnsafeWeightsError    a model that could only be loaded by running code from it (pickle)
    ├── WeightsError              a model folder is missing, incomplete or damaged
    │   └── FetchError            it could not be downloaded; the part that arrived is kept
    ├── EngineError               the engine failed; other requests may continue
    │   ├── EngineBusyError       its queue is full: try again later
    │   └── EngineStoppedError    it is closed or has crashed, and accepts no more requests
    ├── StoreError                the gateway's database cannot be read or written
    ├── TargetError               a target of predictions failed: Replicate, RunPod, a gateway, a Cog server
    │   ├── TargetAuthError       it does not accept the token, or the account lacks the permission
    │   ├── TargetMissingError    it has no such model, version, endpoint or prediction
    │   ├── TargetBusyError       it accepts no more requests for now; carries when to try again
    │   ├── TargetUnavailableError    it cannot be reached, or its connection broke
    │   └── DeadlineError         the time limit of a prediction has passed; it has been cancelled
    ├── WebhookError              a webhook's signature or timestamp is invalid: do not act on it
    └── WorkerError               a Cog server process
        ├── SetupFailedError      setup() raised; carries its logs
        ├── WorkerCrashedError    the process or its Python subprocess has ended
        ├── WorkerBusyError       every slot is taken
        ├── WorkerTimeoutError    it did not become ready, answer or stop in time
        ├── WorkerMemoryError     it exceeded the available memory or its memory limit
        ├── PredictionFailedError    predict() raised; carries the finished prediction's logs
        └── PredictionCanceledError  the prediction was cancelled

A ``UsageError`` ends the command line with status 2, any other with status 1; neither prints a traceback.
"""

from __future__ import annotations


class PilotlightError(Exception):
    """The base class of every error that this package raises on purpose."""


class UsageError(PilotlightError):
    """What the caller gave is invalid."""


class ConfigError(UsageError):
    """A configuration file or an environment variable is invalid."""


class InputError(UsageError):
    """One input of a prediction is invalid.

    Args:
        name: the input as the caller knows it, such as ``prompt``.
        problem: what was given, what is allowed and what to change; the message is ``name: problem``.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class UnsafeWeightsError(UsageError):
    """The model could only be loaded by running code that comes with it (pickle)."""


class WeightsError(PilotlightError):
    """A model folder is missing, incomplete or damaged."""


class FetchError(WeightsError):
    """A download failed; the received part is kept, so that the same command resumes it."""


class EngineError(PilotlightError):
    """The engine failed while processing a request."""


class EngineBusyError(EngineError):
    """The engine's queue is full."""


class EngineStoppedError(EngineError):
    """The engine is closed or has crashed."""


class StoreError(PilotlightError):
    """The gateway's database cannot be read or written."""


class TargetError(PilotlightError):
    """A target of predictions failed, for a reason that no subclass describes."""


class TargetAuthError(TargetError):
    """The target does not accept the token, or the account lacks the permission."""


class TargetMissingError(TargetError):
    """The target has no such model, version, endpoint or prediction."""


class TargetBusyError(TargetError):
    """The target accepts no more requests for now.

    Args:
        message: the target's message.
        retry_after_s: seconds after which the target asks to be tried again; ``None`` if it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TargetUnavailableError(TargetError):
    """The target cannot be reached, or its connection broke.

    Args:
        message: what happened.
        sent: whether the request may have reached the target, so that sending it again might run it twice.
        retry_after_s: seconds after which the target asks to be tried again; ``None`` if it does not say.
    """

    def __init__(self, message: str, *, sent: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.retry_after_s = retry_after_s


class DeadlineError(TargetError):
    """A time limit of a prediction has passed, and the target has been asked to cancel it.

    Args:
        message: which limit, and how long it was.
        phase: ``total``, ``wait`` (for the prediction to begin) or ``predict``.
    """

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message)
        self.phase = phase


class WebhookError(PilotlightError):
    """A webhook's signature does not match the secret, or its timestamp is not recent."""


class WorkerError(PilotlightError):
    """A Cog server process failed.

    Args:
        message: what happened and what to do.
        logs: what the process printed about it; may be empty.
    """

    def __init__(self, message: str, *, logs: str = "") -> None:
        super().__init__(message)
        self.logs = logs


class SetupFailedError(WorkerError):
    """``setup()`` raised, or the predictor could not be imported."""


class WorkerCrashedError(WorkerError):
    """The worker's process, or its Python subprocess, has ended."""


class WorkerBusyError(WorkerError):
    """Every slot of the worker is taken."""


class WorkerTimeoutError(WorkerError):
    """The worker did not become ready, answer or stop in time."""


class WorkerMemoryError(WorkerError):
    """The worker exceeded the available memory or its memory limit."""


class PredictionFailedError(WorkerError):
    """``predict()`` raised."""


class PredictionCanceledError(WorkerError):
    """The prediction was cancelled."""

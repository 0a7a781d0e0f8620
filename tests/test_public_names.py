"""The names that callers may rely on."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import pilotlight

PACKAGES = ["pilotlight", *(f"pilotlight.{m.name}" for m in pkgutil.iter_modules(pilotlight.__path__) if m.ispkg)]


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, each by the alphabet: the order that ruff keeps ``__all__`` in."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_names_of_the_package() -> None:
    assert pilotlight.__all__ == [
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


@pytest.mark.parametrize("name", PACKAGES)
def test_package_lists_its_public_names(name: str) -> None:
    package = importlib.import_module(name)
    names: list[str] = package.__all__
    assert names == sorted(set(names), key=order)
    assert [n for n in names if not hasattr(package, n)] == []
    assert package.__doc__, f"{name} says nothing about itself"

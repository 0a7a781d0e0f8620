"""The predictor as a Ray Serve application."""

from typing import Any

__all__ = ["application"]


def __getattr__(name: str) -> Any:
    """Import ``application`` on first use: it imports Ray, which the other modules of this folder must not."""
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pilotlight.adapters.ray.application import application

    return application

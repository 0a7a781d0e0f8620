"""Every setting, once: the ``PILOTLIGHT_*`` variables, and the objects that programs read them into.

``variables`` is the table of the environment; ``predictor`` and ``encoder`` have what predictors are told, ``serving``
what servers are. A program reads its settings where it begins (``GatewaySettings.from_env(os.environ)``) and passes the
object on.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in the module typing
if TYPE_CHECKING:
    from pilotlight.config.encoder import EncoderSettings
    from pilotlight.config.predictor import EngineOptions, TextSettings
    from pilotlight.config.reference import settings_reference
    from pilotlight.config.serving import GatewaySettings, ServeSettings, WorkerSettings
    from pilotlight.config.variables import VARIABLES, Variable, unknown_variables

__all__ = [
    "VARIABLES",
    "EncoderSettings",
    "EngineOptions",
    "GatewaySettings",
    "ServeSettings",
    "TextSettings",
    "Variable",
    "WorkerSettings",
    "settings_reference",
    "unknown_variables",
]

_MODULES = {
    "EncoderSettings": "encoder",
    "EngineOptions": "predictor",
    "GatewaySettings": "serving",
    "ServeSettings": "serving",
    "TextSettings": "predictor",
    "WorkerSettings": "serving",
    "settings_reference": "reference",
}


def __getattr__(name: str) -> object:
    """Import the module of a name when it is asked for: a predictor's start needs few of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'variables')}"), name)

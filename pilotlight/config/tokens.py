"""The tokens in the environment: what callers of a gateway must send, and what this program sends to one.

They have a variable each. ``PILOTLIGHT_TOKEN``, the one variable for both of earlier versions, still works where the
right one is not set. Predictors get none of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.config.variables import API_TOKEN, GATEWAY_TOKEN, TOKEN, Variable

_ALL = (GATEWAY_TOKEN.name, API_TOKEN.name, TOKEN.name)


def gateway_token(environ: Mapping[str, str]) -> str | None:
    """Return the token that callers of a gateway may send, besides those in its home."""
    return GATEWAY_TOKEN.read(environ) or TOKEN.read(environ)


def api_token(environ: Mapping[str, str]) -> str | None:
    """Return the token that the client sends to a gateway."""
    return API_TOKEN.read(environ) or TOKEN.read(environ)


def renamed(environ: Mapping[str, str], new: Variable[str | None]) -> str | None:
    """Return a note for users whose token comes from ``PILOTLIGHT_TOKEN`` in place of ``new``; else ``None``."""
    if not environ.get(TOKEN.name) or environ.get(new.name):
        return None
    return f"{TOKEN.name} is the old name of two settings: set {new.name} here. {new.about}"


def predictor_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a predictor's process: all but the tokens, which are none of its business."""
    return {name: value for name, value in environ.items() if name not in _ALL}

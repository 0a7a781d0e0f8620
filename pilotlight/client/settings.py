"""The keyword settings that the four client classes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from pilotlight.client.connection import Connection, Timeouts
from pilotlight.client.http import Retry
from pilotlight.client.targets.names import Target

# Keeps predictions with the same key at one target: an input's name, or a function of the inputs that returns the key.
Sticky = str | Callable[[Mapping[str, Any]], object]
# Targets that receive copies of predictions: one that receives all, or shares (0 to 1) by target.
Shadow = str | Mapping[str, float]


class ClientSettings(TypedDict, total=False):
    """Keyword arguments of ``AsyncClient`` besides its target; described there."""

    token: str | None
    url: str | None
    timeouts: Timeouts | None
    retry: Retry | None
    hardware: str | None
    schema: Mapping[str, Any] | None
    check: bool
    strict_inputs: bool


class TargetSettings(ClientSettings, total=False):
    """Settings of one client in a split; ``target`` is its target string if the split's key is only a label."""

    target: str | Target | Connection


class SplitSettings(ClientSettings, total=False):
    """Keyword arguments of ``AsyncSplitClient`` besides its weights; described there."""

    sticky: Sticky | None
    shadow: Shadow | None
    fallback: str | Sequence[str]
    repeatable: bool
    seed: str
    earlier: Sequence[Mapping[str, float]]
    each: Mapping[str, TargetSettings] | None

"""The keyword settings that the four client classes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from pilotlight.client.connection import Connection, Timeouts
from pilotlight.client.http import Retry
from pilotlight.client.targets.names import Target

# What keeps predictions at one target: an input's name, or what makes a text of the inputs.
Sticky = str | Callable[[Mapping[str, Any]], object]
# Targets that see copies: one that sees all, or each with the share that it sees.
Shadow = str | Mapping[str, float]


class ClientSettings(TypedDict, total=False):
    """What ``AsyncClient`` takes beside its target, and describes."""

    token: str | None
    url: str | None
    timeouts: Timeouts | None
    retry: Retry | None
    hardware: str | None
    schema: Mapping[str, Any] | None
    check: bool


class TargetSettings(ClientSettings, total=False):
    """Of one client in a split: ``target`` is where to, if what the split calls it is only a name."""

    target: str | Target | Connection


class SplitSettings(ClientSettings, total=False):
    """What ``AsyncSplitClient`` takes beside its weights, and describes."""

    sticky: Sticky | None
    shadow: Shadow | None
    fallback: str | Sequence[str]
    repeatable: bool
    seed: str
    each: Mapping[str, TargetSettings] | None

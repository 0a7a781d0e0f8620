"""Chooses the target of a request, and the targets that receive copies of it. Pure: the random key is an argument.

The split is weighted rendezvous hashing: a key goes to the target with the largest ``-weight / ln(u)``, where ``u`` is
a hash of the key and the target. A key therefore keeps its target while weights do not change. When the weight of one
target grows, keys move to that target only: a canary that grows from 5 to 10 % keeps its first 5 %.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pilotlight.errors import ConfigError

_STEPS = 2**53


@dataclass(frozen=True, slots=True)
class Traffic:
    """Weights, shadows and fallbacks of a split.

    Attributes:
        weights: weights by target, in any unit; a target with 0 gets nothing. Two targets make an A/B test, one with a
            small weight is a canary.
        shadows: by target, the share (0 to 1) of requests that it receives a copy of. Its responses are not used.
        fallback: targets to try, in this order, when the chosen one cannot be reached.

    Raises:
        ConfigError: no target has a weight above 0, or a number is out of range.
    """

    weights: Mapping[str, float]
    shadows: Mapping[str, float] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for target, weight in self.weights.items():
            if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
                raise ConfigError(f"the weight of {target} is {weight!r}; expected a number of at least 0")
        if not any(self.weights.values()):
            raise ConfigError("no target has a weight above 0: give at least one target a positive weight")
        for target, share in self.shadows.items():
            if not (isinstance(share, int | float) and 0 <= share <= 1):
                raise ConfigError(f"the shadow {target} has {share!r}; expected a share from 0 to 1")
            if self.weights.get(target):
                raise ConfigError(f"{target} is a target and a shadow of itself; choose one")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        object.__setattr__(self, "shadows", MappingProxyType(dict(self.shadows)))
        object.__setattr__(self, "fallback", tuple(dict.fromkeys(self.fallback)))

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of requests that each target gets."""
        total = math.fsum(self.weights.values())
        return {target: weight / total for target, weight in self.weights.items()}


@dataclass(frozen=True, slots=True)
class Route:
    """Targets of one request: ``target``, else the first of ``fallback`` that answers; ``shadows`` receive a copy."""

    target: str
    fallback: tuple[str, ...]
    shadows: tuple[str, ...]


def choose(traffic: Traffic, key: str, *, seed: str = "") -> Route:
    """Return the route of the request with this key.

    Args:
        traffic: the split.
        key: requests with the same key get the same target: a user's id makes the split sticky, a random text does not.
        seed: the name of the experiment; another seed divides the same keys anew.
    """
    target = max(
        (name for name, weight in traffic.weights.items() if weight),
        key=lambda name: (-traffic.weights[name] / math.log(_unit(seed, "split", name, key)), name),
    )
    fallback = tuple(name for name in traffic.fallback if name != target)
    shadows = tuple(name for name, share in traffic.shadows.items() if _unit(seed, "shadow", name, key) <= share)
    return Route(target, fallback, shadows)


def _unit(*parts: str) -> float:
    """Return a number above 0 and below 1 that depends only on these texts."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") % _STEPS + 1) / (_STEPS + 2)  # both exact as floats: never 0.0 or 1.0

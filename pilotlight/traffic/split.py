"""Chooses the target of a request, and the targets that receive copies of it. Pure: the random key is an argument.

A hash of the key is a position between 0 and 1, and every target owns ranges of positions that add up to its share. A
key therefore keeps its target while weights do not change. When they change, targets that lose a share give up the ends
of their ranges to those that gain one, and no other key moves: no split can move fewer. Which ranges a target owns
depends on all weights before, so ``Traffic.earlier`` has them; without it, only two targets are sure to move the least.
"""

from __future__ import annotations

import functools
import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pilotlight.errors import ConfigError

# Positions: as many as floats have digits for, so that a share of any weight is exact.
_POSITIONS = 2**53


@dataclass(frozen=True, slots=True)
class Traffic:
    """Weights, shadows and fallbacks of a split.

    Attributes:
        weights: weights by target, in any unit; a target with 0 gets nothing. Two targets make an A/B test, one with a
            small weight is a canary.
        shadows: by target, the share (0 to 1) of requests that it receives a copy of. Its responses are not used.
        fallback: targets to try, in this order, when the chosen one cannot be reached.
        earlier: the weights that were in use before, oldest first. With them, a change moves as few keys as it can.

    Raises:
        ConfigError: no target has a weight above 0, or a number is out of range.
    """

    weights: Mapping[str, float]
    shadows: Mapping[str, float] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    earlier: tuple[Mapping[str, float], ...] = ()
    _ranges: _Ranges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        changes = [*map(_checked, self.earlier), _checked(self.weights)]
        for target, share in self.shadows.items():
            if not (isinstance(share, int | float) and 0 <= share <= 1):
                raise ConfigError(f"the shadow {target} has {share!r}; expected a share from 0 to 1")
            if self.weights.get(target):
                raise ConfigError(f"{target} is a target and a shadow of itself; choose one")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        object.__setattr__(self, "shadows", MappingProxyType(dict(self.shadows)))
        object.__setattr__(self, "fallback", tuple(dict.fromkeys(self.fallback)))
        object.__setattr__(self, "earlier", tuple(MappingProxyType(dict(one)) for one in self.earlier))
        object.__setattr__(self, "_ranges", functools.reduce(_changed, changes, _NOTHING))

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of requests that each target gets."""
        total = math.fsum(self.weights.values())
        return {target: weight / total for target, weight in self.weights.items()}

    def ranges(self) -> list[tuple[int, int, str]]:
        """Return all ranges of positions as first, end and owner; positions are integers from 0 to below 2**53."""
        return self._ranges.each()

    def owner(self, position: int) -> str:
        """Return the target that owns a position."""
        return self._ranges.owners[bisect_right(self._ranges.ends, position)]


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
    target = traffic.owner(_position(seed, "split", key))
    fallback = tuple(name for name in traffic.fallback if name != target)
    shadows = tuple(
        name for name, share in traffic.shadows.items() if _position(seed, "shadow", name, key) < share * _POSITIONS
    )
    return Route(target, fallback, shadows)


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Owners of ranges of positions: ``owners[i]`` has those below ``ends[i]`` that ``owners[i - 1]`` has not."""

    ends: tuple[int, ...]
    owners: tuple[str, ...]

    def sizes(self) -> dict[str, int]:
        """Return how many positions each owner has."""
        found: dict[str, int] = {}
        for begin, end, owner in self.each():
            found[owner] = found.get(owner, 0) + end - begin
        return found

    def each(self) -> list[tuple[int, int, str]]:
        """Return the ranges as first, end and owner."""
        return list(zip((0, *self.ends), self.ends, self.owners, strict=False))


_NOTHING = _Ranges((), ())


@functools.lru_cache(maxsize=1024)
def _changed(before: _Ranges, weights: tuple[tuple[str, float], ...]) -> _Ranges:
    """Return the ranges after a change of weights: positions change their owner only as far as shares differ."""
    wanted = _sizes_of(weights)
    if before == _NOTHING:
        return _joined((size, owner) for owner, size in wanted.items())
    sizes = before.sizes()
    keeps = {owner: min(size, wanted.get(owner, 0)) for owner, size in sizes.items()}
    gains = [(owner, size - sizes.get(owner, 0)) for owner, size in wanted.items() if size > sizes.get(owner, 0)]
    parts: list[tuple[int, str]] = []
    for begin, end, owner in before.each():
        kept = min(end - begin, keeps[owner])
        keeps[owner] -= kept
        parts.append((kept, owner))
        given_up = end - begin - kept
        while given_up:
            gainer, gain = gains.pop(0)
            taken = min(given_up, gain)
            parts.append((taken, gainer))
            given_up -= taken
            if gain > taken:
                gains.insert(0, (gainer, gain - taken))
    return _joined(parts)


def _joined(parts: Iterable[tuple[int, str]]) -> _Ranges:
    """Return ranges of these sizes and owners, one after another; neighbours of one owner become one range."""
    ends: list[int] = []
    owners: list[str] = []
    end = 0
    for size, owner in parts:
        if not size:
            continue
        end += size
        if owners and owners[-1] == owner:
            ends[-1] = end
        else:
            ends.append(end)
            owners.append(owner)
    return _Ranges(tuple(ends), tuple(owners))


def _sizes_of(weights: tuple[tuple[str, float], ...]) -> dict[str, int]:
    """Return how many positions each target has, in proportion to its weight; rounding goes to the heaviest."""
    largest = max(weight for _, weight in weights)
    total = math.fsum(weight / largest for _, weight in weights)
    sizes = {name: int(weight / largest / total * _POSITIONS) for name, weight in weights}
    heaviest = max(sizes, key=sizes.__getitem__)
    sizes[heaviest] += _POSITIONS - sum(sizes.values())
    return sizes


def _checked(weights: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Return the weights above 0 by name, in the order of the names."""
    for target, weight in weights.items():
        if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
            raise ConfigError(f"the weight of {target} is {weight!r}; expected a number of at least 0")
    if not any(weights.values()):
        raise ConfigError("no target has a weight above 0: give at least one target a positive weight")
    return tuple(sorted((target, float(weight)) for target, weight in weights.items() if weight))


def _position(*parts: str) -> int:
    """Return a position that depends only on these texts."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _POSITIONS

"""Admits requests to a cache: each with the room that its prompt and its longest output can take. Pure.

A request enters when the cache has that room beside what the running ones may still take, so none of them ever has to
give room up, and a text never depends on how full the cache is. Requests enter in their order: a large one at the head
is not overtaken for ever by small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pilotlight.engines.memory.layout import CacheLayout

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True)
class Admission:
    """The room of one cache.

    Attributes:
        layout: of the cache.
        units: of the cache.
        slots: requests inside, at most.
    """

    layout: CacheLayout
    units: int
    slots: int

    def entry(self, inside: Iterable[int]) -> Callable[[int], bool]:
        """Return a function that admits one request after the other, by its tokens, while there is room.

        Args:
            inside: the tokens, prompt and longest output, of each request that is in the cache.
        """
        held = [self.layout.units(tokens) for tokens in inside]
        free_units, free_slots = self.units - sum(held), self.slots - len(held)

        def admit(tokens: int) -> bool:
            nonlocal free_units, free_slots
            units = self.layout.units(tokens)
            if free_slots < 1 or units > free_units:
                return False
            free_units, free_slots = free_units - units, free_slots - 1
            return True

        return admit

"""What a model caches of a text, and how many units of a paged cache that takes. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["CacheLayout", "LayerKind"]


@dataclass(frozen=True, slots=True)
class LayerKind:
    """Layers that cache the same tokens.

    Attributes:
        layers: how many.
        token_bytes: keys and values of one token in one layer.
        window: the last tokens that are kept; ``None`` for all of them.
    """

    layers: int
    token_bytes: int
    window: int | None = None


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """A cache that is handed out in units of one size, each to the layers of one kind.

    A page holds ``page_tokens`` of one layer, a block a page for each layer of a kind, and a unit whole blocks of any
    kind. With one kind of layers a unit is a block.

    Attributes:
        kinds: of the model's layers.
        page_tokens: tokens of a page.
        align_bytes: a unit is a multiple of it.
    """

    kinds: tuple[LayerKind, ...]
    page_tokens: int
    align_bytes: int = 1

    @property
    def unit_bytes(self) -> int:
        return math.lcm(self.align_bytes, *(self._block_bytes(kind) for kind in self.kinds))

    def units(self, tokens: int) -> int:
        """Return the units that one text of ``tokens`` takes at most."""
        total = 0
        for kind in self.kinds:
            kept = tokens if kind.window is None else min(tokens, kind.window)
            blocks = math.ceil(kept / self.page_tokens)
            total += math.ceil(blocks / (self.unit_bytes // self._block_bytes(kind)))
        return total

    def tokens(self, units: int, most: int) -> int:
        """Return the tokens of the longest text that ``units`` hold, ``most`` at most."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.units(middle) <= units:
                low = middle
            else:
                high = middle - 1
        return low

    def _block_bytes(self, kind: LayerKind) -> int:
        return kind.layers * kind.token_bytes * self.page_tokens

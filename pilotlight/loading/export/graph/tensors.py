"""The tensors of a model folder as numpy arrays over mapped files, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from pilotlight.errors import WeightsError
from pilotlight.loading.export.graph.shape import UnsupportedModelError
from pilotlight.loading.files.header import LENGTH_BYTES
from pilotlight.loading.files.loadable import check_loadable

__all__ = ["BF16", "Array", "Tensors", "open_tensors"]

Array = numpy.ndarray[Any, numpy.dtype[Any]]
BF16 = "BF16"
# numpy has no bfloat16: its bits are held as integers.
DTYPES = {"F32": "<f4", "F16": "<f2", BF16: "<u2", "F64": "<f8"}
BF16_BITS = 16  # the lower half of a float32, which bfloat16 lacks


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as its file holds it; ``bits`` of a ``BF16`` tensor are uint16."""

    kind: str
    bits: Array


class Tensors:
    """The tensors of a model, by name.

    Attributes:
        unread: names that nothing has asked for yet.
    """

    def __init__(self, stored: dict[str, Stored]) -> None:
        self._stored = stored
        self.unread = set(stored)

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def stored(self, name: str, shape: tuple[int, ...]) -> Stored:
        """Return a tensor as it is stored.

        Raises:
            WeightsError: it is missing, or has another shape.
        """
        found = self._stored.get(name)
        if found is None:
            raise WeightsError(f"the weights lack {name}")
        if found.bits.shape != shape:
            raise WeightsError(f"{name} has the shape {found.bits.shape} and config.json describes {shape}")
        self.unread.discard(name)
        return found

    def single(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return a tensor as float32; arguments and errors as of ``stored``."""
        return as_single(self.stored(name, shape))


def as_single(stored: Stored) -> Array:
    """Return the values as float32, in memory."""
    if stored.kind == BF16:
        return (stored.bits.astype("<u4") << BF16_BITS).view("<f4")
    return numpy.ascontiguousarray(stored.bits, "<f4")


def open_tensors(model: Path) -> Tensors:
    """Map the safetensors files of ``model``.

    Raises:
        WeightsError: the folder is incomplete or damaged.
        UnsupportedModelError: a tensor is neither of float32, float16, bfloat16 nor float64.
    """
    stored: dict[str, Stored] = {}
    for path in check_loadable(model):
        stored.update(_of_file(path))
    return Tensors(stored)


def _of_file(path: Path) -> Iterator[tuple[str, Stored]]:
    data = numpy.memmap(path, mode="r", dtype="u1")
    length = int.from_bytes(data[:LENGTH_BYTES].tobytes(), "little")
    start = LENGTH_BYTES + length
    entries = json.loads(data[LENGTH_BYTES:start].tobytes())
    entries.pop("__metadata__", None)
    for name, entry in entries.items():
        kind = entry["dtype"]
        if kind not in DTYPES:
            raise UnsupportedModelError(f"{name} is stored as {kind}")
        begin, end = entry["data_offsets"]
        # An odd header would make the view misaligned; a copy is aligned.
        bits = data[start + begin : start + end].view(DTYPES[kind]).reshape(entry["shape"])
        yield name, Stored(kind, bits)

"""The layers of sentence-transformers over a pooled vector, in numpy: they are small, and every engine shares them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilotlight.engines.encoders.sentence_transformers import Dense, Normalize
from pilotlight.errors import WeightsError
from pilotlight.loading.files.header import LENGTH_BYTES, read_header

__all__ = ["Layers"]


class Layers:
    """Dense and Normalize modules, in their order.

    Args:
        layers: of the model; may be empty.

    Raises:
        WeightsError: a layer's file is damaged.
    """

    def __init__(self, layers: tuple[Dense | Normalize, ...]) -> None:
        self._steps = [_unit if isinstance(layer, Normalize) else _Linear(layer) for layer in layers]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def __call__(self, vectors: Any) -> Any:
        """Return the vectors after the layers, shape (rows, size)."""
        for step in self._steps:
            vectors = step(vectors)
        return vectors


class _Linear:
    def __init__(self, layer: Dense) -> None:
        tensors = _read_tensors(layer.folder / "model.safetensors")
        try:
            self._weight = tensors.pop("linear.weight")
        except KeyError:
            raise WeightsError(f"{layer.folder}/model.safetensors has no linear.weight") from None
        self._bias = tensors.pop("linear.bias", 0.0)
        self._residual = tensors.pop("residual.weight", None) if layer.residual else None
        self._adds = layer.residual
        if tensors:
            raise WeightsError(f"{layer.folder}/model.safetensors has {', '.join(tensors)}, which Dense does not have")
        self._activate = _activation(layer.activation)
        self._folder = layer.folder

    def __call__(self, vectors: Any) -> Any:
        if vectors.shape[1] != self._weight.shape[1]:
            raise WeightsError(
                f"{self._folder} takes vectors of {self._weight.shape[1]} numbers, and is given {vectors.shape[1]}"
            )
        out = self._activate(vectors @ self._weight.T + self._bias)
        if self._adds:
            out = out + (vectors if self._residual is None else vectors @ self._residual.T)
        return out


def _unit(vectors: Any) -> Any:
    lengths = (vectors**2).sum(1, keepdims=True) ** 0.5
    return vectors / (lengths + (lengths == 0))


def _activation(name: str) -> Callable[[Any], Any]:
    import numpy

    erf = numpy.vectorize(math.erf, otypes=[numpy.float32])
    functions: dict[str, Callable[[Any], Any]] = {
        "Identity": lambda x: x,
        "Tanh": numpy.tanh,
        "ReLU": lambda x: numpy.maximum(x, 0),
        "GELU": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
        "Sigmoid": lambda x: 0.5 * (1 + numpy.tanh(x / 2)),
        "SiLU": lambda x: x * 0.5 * (1 + numpy.tanh(x / 2)),
    }
    return functions[name]


def _read_tensors(path: Path) -> dict[str, Any]:
    """Return the tensors of a small safetensors file as fp32 arrays, by name."""
    import numpy

    raw = path.read_bytes()
    read_header(path, size_bytes=len(raw))  # checks it
    begin = LENGTH_BYTES + int.from_bytes(raw[:LENGTH_BYTES], "little")
    tensors = {}
    for name, entry in json.loads(raw[LENGTH_BYTES:begin]).items():
        if name == "__metadata__":
            continue
        start, end = (begin + offset for offset in entry["data_offsets"])
        dtype, part = entry["dtype"], raw[start:end]
        if dtype == "BF16":  # the upper half of an fp32 number
            array = (numpy.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4")
        elif dtype in ("F32", "F16"):
            array = numpy.frombuffer(part, "<f4" if dtype == "F32" else "<f2").astype("<f4")
        else:
            raise WeightsError(f"{path} has {name} in {dtype}; expected F32, F16 or BF16")
        tensors[name] = array.reshape(entry["shape"])
    return tensors

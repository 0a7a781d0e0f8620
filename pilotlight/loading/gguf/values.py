"""The values of a tensor of a GGUF file, dequantised and in the order that transformers expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.architectures import Change
from pilotlight.loading.gguf.header import TensorEntry

CHUNK_VALUES = 1 << 23  # 32 MB of float32: the memory beside the tensor itself stays small
BFLOAT16_ROUNDING = np.uint32(0x7FFF)
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}  # as safetensors calls them
TYPES = (
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ4_NL", "IQ4_XS"),
)


def check_type(entry: TensorEntry) -> None:
    """Raise WeightsError where the tensor's quantisation is not one that can be read exactly."""
    if entry.type not in TYPES:
        raise WeightsError(
            f"{entry.file} has tensor {entry.name!r} as {entry.type}, which pilotlight cannot dequantise. It can: "
            f"{', '.join(TYPES)}"
        )


def read_tensor(entry: TensorEntry, *, dtype: str, change: Change = "", heads: int = 0) -> NDArray[Any]:
    """Return the tensor in ``dtype`` (bfloat16 as its 16 bits in ``uint16``); ``heads`` is how many are interleaved.

    Raises:
        WeightsError: a value is not finite in ``dtype``.
    """
    rows = entry.shape[0] if len(entry.shape) > 1 else 1
    width = entry.shape[-1] if len(entry.shape) > 1 else entry.shape[0]
    out = np.empty((rows, width), np.uint16 if dtype == "bfloat16" else dtype)
    row = 0
    for chunk in _dequantised(entry, rows, width):
        values = chunk - np.float32(1) if change == "one_added" else chunk
        out[row : row + len(chunk)] = _cast(values, dtype, entry)
        row += len(chunk)
    result = out.reshape(entry.shape)
    if change in ("interleaved_q", "interleaved_k"):
        return _uninterleave(result, heads)
    return np.ascontiguousarray(result.T) if change == "transposed" else result


def _dequantised(entry: TensorEntry, rows: int, width: int) -> Iterator[NDArray[np.float32]]:
    """Yield the rows in float32, some at a time."""
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    stored = np.memmap(entry.file, np.uint8, "r", entry.offset, (rows, entry.size_bytes // rows))
    step = max(1, CHUNK_VALUES // width)
    for row in range(0, rows, step):
        yield dequantize(stored[row : row + step], GGMLQuantizationType[entry.type])


def _cast(values: NDArray[np.float32], dtype: str, entry: TensorEntry) -> NDArray[Any]:
    """Round to nearest, ties to even."""
    if not np.isfinite(values).all():
        raise WeightsError(f"{entry.file} has values in tensor {entry.name!r} that are not finite")
    if dtype == "bfloat16":
        bits = values.view(np.uint32)
        return ((bits + BFLOAT16_ROUNDING + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    with np.errstate(over="ignore"):
        cast = values.astype(dtype, copy=False)
    if dtype == "float16" and not np.isfinite(cast).all():
        raise WeightsError(
            f"{entry.file} has values in tensor {entry.name!r} beyond the range of float16: convert it with --dtype "
            "bfloat16 or float32"
        )
    return cast


def _uninterleave(values: NDArray[Any], heads: int) -> NDArray[Any]:
    """Undo llama.cpp's order of rotary dimensions: pairs (0, 1), (2, 3), … become the halves that transformers uses."""
    half = values.shape[0] // heads // 2
    return values.reshape(heads, half, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)

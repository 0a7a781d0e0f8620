"""Weights in fewer bits: where they lie on the grid of a block format, kept exactly, else rounded.

A packed weight is ``(code - zero) * scale``, with one scale and one zero for each group of a row. Groups are the 32
values of GGUF's blocks, or a whole row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from pilotlight.loading.export.graph.tensors import Array

__all__ = ["Packed", "find_blocks", "pack_bytes", "pack_nibbles"]

BLOCK = 32  # values of a block of GGUF's Q4_0, Q4_1 and Q8_0
TOP4, TOP8 = 15, 255
# Parts of a group's range that are cut off at its ends: the outermost values lose, all others win.
RANGES = ((0, 0), (0.04, 0.04), (0.08, 0.08), (0.12, 0.12), (0, 0.06), (0.06, 0), (0.03, 0.1), (0.1, 0.03))
# Added to the importance of every column, where 1 is the average: one that the calibration did not use may be used.
MIN_IMPORTANCE = 1e-3
CHUNK = 1 << 19  # values that are rounded at once, so that all steps find them in the processor's cache
TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix of (rows, columns) in codes.

    Attributes:
        bits: of a code: 4 or 8, unsigned.
        codes: (rows, groups, group) of uint8, one code each.
        scales: (rows, groups, 1) of float32.
        zeros: (rows, groups, 1) of float32; whole numbers or not.
        exact: whether the codes give the very values that were packed.
    """

    bits: int
    codes: Array
    scales: Array
    zeros: Array
    exact: bool


def find_blocks(weights: Array) -> Packed | None:
    """Return the blocks of GGUF that ``weights`` were dequantised from: Q4_0, Q4_1 or Q8_0; ``None`` if they were not.

    Each format's own quantizer uses both ends of its range, so scale and offset follow from a block's extremes; every
    value is then compared.

    Args:
        weights: (rows, columns) of float32.
    """
    rows, columns = weights.shape
    if columns % BLOCK:
        return None
    blocks = weights.reshape(rows, columns // BLOCK, BLOCK)
    for find in (_find_q4_1, _find_q4_0, _find_q8_0):
        if (found := find(blocks)) is not None:
            return found
    return None


def pack_bytes(weights: Array) -> Packed:
    """Round each row to 8 bits between its least and its greatest value, with a whole zero, so that 0 is kept."""
    low = numpy.minimum(weights.min(-1, keepdims=True), 0)
    high = numpy.maximum(weights.max(-1, keepdims=True), 0)
    scales = ((high - low) / numpy.float32(TOP8)).astype("f4")
    scales[scales == 0] = 1
    zeros = numpy.rint(-low / scales).clip(0, TOP8).astype("f4")
    codes = numpy.rint(weights / scales + zeros).clip(0, TOP8).astype("u1")
    return Packed(8, codes[:, None], scales[:, None], zeros[:, None], exact=False)


def pack_nibbles(weights: Array, importance: Array | None = None, group: int = BLOCK) -> Packed:
    """Round each group of a row to the 16 levels that lose least.

    Args:
        weights: (rows, columns) of float32.
        importance: (columns,), the mean square of what each column is multiplied with; ``None`` where it is not known.
        group: values that share a scale; a row that it does not divide is one group.
    """
    rows, columns = weights.shape
    size = group if columns % group == 0 else columns
    groups = weights.reshape(rows, columns // size, size)
    weight = numpy.ones(columns, "f4") if importance is None else importance.astype("f4")
    weight = (weight / max(float(weight.mean()), TINY) + MIN_IMPORTANCE).reshape(1, columns // size, size)
    step = max(1, CHUNK // columns)
    parts = [_nearest_levels(groups[at : at + step], weight) for at in range(0, rows, step)]
    codes, scales, least = (numpy.concatenate(part) for part in zip(*parts, strict=True))
    return Packed(4, codes, scales, -least / scales, exact=False)


def _nearest_levels(groups: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return (codes, scales, least values) with the smallest weighted error of several ranges.

    Each range is a part of that from the least to the greatest value; its scale and least value are then fitted to the
    codes by least squares.
    """
    total = weight.sum(-1, keepdims=True)
    mean = (weight * groups).sum(-1, keepdims=True) / total
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    best: list[Array] = []
    for cut_low, cut_high in RANGES:
        least = low + numpy.float32(cut_low) * (high - low)
        scales = (high - low) * numpy.float32((1 - cut_low - cut_high) / TOP4)
        codes = _levels(groups, least, scales)
        centre = (weight * codes).sum(-1, keepdims=True) / total
        spread = (weight * (codes - centre) ** 2).sum(-1, keepdims=True)
        fitted = (weight * (codes - centre) * (groups - mean)).sum(-1, keepdims=True) / numpy.maximum(spread, TINY)
        scales = numpy.where(fitted > 0, fitted, 1).astype("f4")  # 1: all values of the group are the same
        least = mean - scales * centre
        codes = _levels(groups, least, scales)
        lost = (weight * (codes * scales + least - groups) ** 2).sum(-1, keepdims=True)
        found = [lost, codes.astype("u1"), scales, least]
        if best:
            better = lost < best[0]
            found = [numpy.where(better, new, old) for new, old in zip(found, best, strict=True)]
        best = found
    _, codes, scales, least = best
    return codes, scales, least


def _levels(groups: Array, least: Array, scales: Array) -> Array:
    return numpy.rint((groups - least) / numpy.where(scales == 0, 1, scales)).clip(0, TOP4)


def _find_q4_1(blocks: Array) -> Packed | None:
    """Values are ``scale * code + least``, both float16."""
    low, high = blocks.min(-1, keepdims=True), blocks.max(-1, keepdims=True)
    scales = _half((high - low) / numpy.float32(TOP4))
    if not _equal(_half(low), low):
        return None
    divisors = numpy.where(scales == 0, 1, scales)
    codes = numpy.rint((blocks - low) / divisors).clip(0, TOP4)
    if not _equal(codes * scales + low, blocks):
        return None
    # A block of one value has no scale: it becomes (0 - -1) * value.
    scales = numpy.where(scales == 0, numpy.where(low == 0, 1, low), scales)
    return Packed(4, codes.astype("u1"), scales, -low / scales, exact=True)


def _find_q4_0(blocks: Array) -> Packed | None:
    """Values are ``scale * (code - 8)``; the one of greatest size has the code 0."""
    return _find_symmetric(blocks, 4, -8.0, 8.0, 0, TOP4)


def _find_q8_0(blocks: Array) -> Packed | None:
    """Values are ``scale * code`` with codes from -127; the one of greatest size has the code 127 or -127."""
    return _find_symmetric(blocks, 8, 127.0, 128.0, 1, TOP8)


def _find_symmetric(blocks: Array, bits: int, extreme: float, zero: float, least: int, top: int) -> Packed | None:
    at = numpy.abs(blocks).argmax(-1, keepdims=True)
    scales = _half(numpy.take_along_axis(blocks, at, -1) / numpy.float32(extreme))
    divisors = numpy.where(scales == 0, 1, scales)
    codes = (numpy.rint(blocks / divisors) + numpy.float32(zero)).clip(least, top)
    if not _equal((codes - numpy.float32(zero)) * scales, blocks):
        return None
    return Packed(bits, codes.astype("u1"), divisors, numpy.full_like(scales, zero), exact=True)


def _half(values: Array) -> Array:
    """Return the nearest float16 values, as float32."""
    with numpy.errstate(over="ignore"):
        return values.astype("f2").astype("f4")


def _equal(found: Array, expected: Array) -> bool:
    return bool(numpy.array_equal(found, expected))

"""Weights as constants of an OpenVINO model, in the forms that its CPU plugin keeps packed while it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import openvino
from openvino import opset13 as ops

from pilotlight.loading.export.graph.packing import Packed, find_blocks, pack_bytes, pack_nibbles
from pilotlight.loading.export.graph.tensors import BF16, BF16_BITS, Array, Stored, as_single

__all__ = ["constant", "matrix"]

Node = Any  # openvino's nodes have no types of their own
HALF_OF_BF16 = 0x7FFF  # what is added to a float32 so that cutting its lower half rounds to nearest, ties to even


def constant(values: Array) -> Node:
    """Return a small constant: a bias, a norm, numbers of the graph."""
    return ops.constant(numpy.asarray(values, order="C"))  # ascontiguousarray would give a scalar a dimension


def matrix(
    stored: Stored,
    precision: str,
    *,
    is_table: bool = False,
    importance: Callable[[], Array | None] = lambda: None,
) -> Node:
    """Return a node that gives a weight matrix as float32, held in ``precision``.

    Args:
        stored: of two dimensions.
        precision: one of ``artifacts.PRECISIONS``. ``int8`` rounds each row; ``int4`` keeps what was dequantised from
            GGUF's blocks as it is, and rounds anything else to blocks of its own.
        is_table: whether it is an embedding or a head, which ``int4`` rounds to 8 bits.
        importance: gives the importance of the columns, as ``pack_nibbles`` takes it; called where it is needed.
    """
    if precision == "fp32":
        return constant(as_single(stored))
    if precision in ("bf16", "fp16"):
        return _as_float(_halves(stored, precision))
    weights = as_single(stored)
    if precision == "int8":
        return _unpacked(pack_bytes(weights), weights.shape)
    packed = find_blocks(weights) or (pack_bytes(weights) if is_table else pack_nibbles(weights, importance()))
    return _unpacked(packed, weights.shape)


def _halves(stored: Stored, precision: str) -> Node:
    """Return a constant of 16 bits; one that is stored in them is not converted."""
    if precision == "fp16":
        return constant(stored.bits if stored.kind == "F16" else as_single(stored).astype("f2"))
    if stored.kind == BF16:
        bits = stored.bits
    else:
        words = as_single(stored).view("u4")
        bits = ((words + HALF_OF_BF16 + ((words >> BF16_BITS) & 1)) >> BF16_BITS).astype("u2")
    return _held(bits, openvino.Type.bf16, list(bits.shape))


def _held(bits: Array, kind: Any, shape: list[int]) -> Node:
    """Return a constant of a type that numpy lacks; a copy, since OpenVINO would not keep the array alive."""
    tensor = openvino.Tensor(numpy.ascontiguousarray(bits), openvino.Shape(shape), kind)
    return openvino.op.Constant(tensor, shared_memory=False)


def _as_float(node: Node) -> Node:
    converted = ops.convert(node, "f32")
    converted.get_rt_info()["decompression"] = True
    return converted


def _unpacked(packed: Packed, shape: tuple[int, ...]) -> Node:
    """Return ``(codes - zeros) * scales`` in the shape of the matrix."""
    rows, groups, size = packed.codes.shape
    inner = [rows, groups, size] if groups > 1 else [rows, size]
    codes, kind = packed.codes, openvino.Type.u8
    if packed.bits == 4:
        flat = codes.reshape(-1, 2)
        codes, kind = flat[:, 0] | (flat[:, 1] << 4), openvino.Type.u4
    small = [*inner[:-1], 1]
    shifted = ops.subtract(ops.convert(_held(codes, kind, inner), "f32"), _zeros(packed, small))
    scaled = ops.multiply(shifted, constant(packed.scales.reshape(small)))
    return ops.reshape(scaled, constant(numpy.array(shape, "<i8")), False) if groups > 1 else scaled


def _zeros(packed: Packed, shape: list[int]) -> Node:
    """Return the zeros as float32; whole ones are held as bytes."""
    zeros = packed.zeros.reshape(shape)
    whole = zeros.astype("u1")
    if numpy.array_equal(whole, zeros):
        return ops.convert(constant(whole), "f32")
    return constant(zeros)

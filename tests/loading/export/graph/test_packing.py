"""Weights in fewer bits: blocks of GGUF are found again and kept exactly, anything else is rounded within a step."""

from __future__ import annotations

import numpy
import pytest
from gguf import GGMLQuantizationType, dequantize, quantize

from pilotlight.loading.export.graph.packing import CHUNK, Packed, find_blocks, pack_bytes, pack_nibbles


def random(rows: int = 24, columns: int = 96) -> numpy.ndarray:
    return numpy.random.default_rng(5).normal(0, 0.1, (rows, columns)).astype("f4")


def unpacked(packed: Packed) -> numpy.ndarray:
    values = (packed.codes.astype("f4") - packed.zeros) * packed.scales
    return values.reshape(len(values), -1)


@pytest.mark.parametrize(("kind", "bits"), [("Q4_1", 4), ("Q4_0", 4), ("Q8_0", 8)])
def test_blocks_of_gguf_are_found_again(kind: str, bits: int) -> None:
    weights = random()
    weights[0, :32] = 0  # blocks with one value have no scale
    weights[1, 32:64] = 0.25
    weights[2, :32] = -3.0
    stored = quantize(weights, GGMLQuantizationType[kind])
    values = dequantize(stored, GGMLQuantizationType[kind])
    packed = find_blocks(values)
    assert packed is not None
    assert (packed.bits, packed.exact) == (bits, True)
    numpy.testing.assert_allclose(unpacked(packed), values, rtol=3e-7, atol=5e-8)  # of values up to 3


def test_other_weights_lie_on_no_grid() -> None:
    assert find_blocks(random()) is None
    assert find_blocks(random(columns=40)) is None
    nearly = dequantize(quantize(random(), GGMLQuantizationType.Q4_1), GGMLQuantizationType.Q4_1).copy()
    nearly[3, 5] = numpy.nextafter(nearly[3, 5], numpy.float32(1))
    assert find_blocks(nearly) is None


@pytest.mark.parametrize("columns", [96, 40])
def test_8_bits_are_within_a_step_and_keep_zero(columns: int) -> None:
    weights = random(columns=columns)
    weights[:, 3] = 0
    weights[0] = 0
    packed = pack_bytes(weights)
    assert (packed.bits, packed.exact) == (8, False)
    found = unpacked(packed)
    assert (
        numpy.abs(found - weights) <= 1.01 * packed.scales.reshape(len(weights), 1)
    ).all()  # the zero is rounded too
    assert not found[:, 3].any()
    assert not found[0].any()


@pytest.mark.parametrize("columns", [96, 40])
def test_4_bits_lose_less_than_rounding_between_the_extremes(columns: int) -> None:
    weights = random(columns=columns)
    weights[0] = 0
    weights[1] = 0.25
    packed = pack_nibbles(weights)
    assert (packed.bits, packed.exact, packed.codes.shape[2]) == (4, False, 32 if columns == 96 else 40)
    assert packed.codes.max() <= 15
    found = unpacked(packed)
    numpy.testing.assert_allclose(found[:2], weights[:2], atol=1e-7)
    groups = weights.reshape(len(weights), -1, packed.codes.shape[2])
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    step = numpy.where(high > low, (high - low) / 15, 1)
    plain = (numpy.rint((groups - low) / step) * step + low).reshape(weights.shape)
    assert ((found - weights) ** 2).sum() < 0.95 * ((plain - weights) ** 2).sum()


def test_4_bits_are_most_exact_where_it_matters() -> None:
    weights = random(rows=200)
    importance = numpy.ones(96, "f4")
    importance[::8] = 100
    even, weighted = (unpacked(pack_nibbles(weights, one)) for one in (None, importance))

    def lost(found: numpy.ndarray) -> float:
        return float((importance * (found - weights) ** 2).sum())

    assert lost(weighted) < 0.8 * lost(even)
    unused = pack_nibbles(weights, numpy.zeros(96, "f4"))
    assert numpy.isfinite(unpacked(unused)).all()


def test_matrices_larger_than_a_chunk_are_rounded_as_small_ones_are() -> None:
    weights = random(rows=CHUNK // 96 + 10)
    whole, part = pack_nibbles(weights), pack_nibbles(weights[-20:])
    numpy.testing.assert_array_equal(whole.codes[-20:], part.codes)
    numpy.testing.assert_array_equal(whole.zeros[-20:], part.zeros)

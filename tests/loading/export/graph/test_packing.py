"""Weights in fewer bits: blocks of GGUF are found again and kept exactly, anything else is rounded within a step."""

from __future__ import annotations

import numpy
import pytest
from gguf import GGMLQuantizationType, dequantize, quantize

from pilotlight.loading.export.graph.packing import Packed, find_blocks, pack_bytes, pack_nibbles


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
def test_rounding_is_within_half_a_step_and_keeps_zero(columns: int) -> None:
    weights = random(columns=columns)
    weights[:, 3] = 0
    weights[0] = 0
    for packed, steps in ((pack_bytes(weights), 255), (pack_nibbles(weights), 15)):
        assert not packed.exact
        assert packed.codes.max() <= steps
        found = unpacked(packed)
        per_group = numpy.repeat(packed.scales.reshape(len(weights), -1), packed.codes.shape[2], 1)
        assert (numpy.abs(found - weights) <= 1.01 * per_group).all()  # the zero is rounded too
        assert not found[:, 3].any()
        assert not found[0].any()

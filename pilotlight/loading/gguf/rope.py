"""The rotary positions of a model, as transformers states them (``rope_parameters`` of ``config.json``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.gguf.metadata import Metadata, shortest

DEFAULT_THETA = 10_000.0
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
TOLERANCE = 1e-4  # of the factors in a file beside those that Llama 3's formula gives


def rope_parameters(
    metadata: Metadata, head: int, read: Mapping[str, Callable[[], Sequence[float]]], *, partial: bool
) -> dict[str, Any]:
    """Return ``rope_parameters``.

    Args:
        metadata: of the file.
        head: the length of a head.
        read: returns the tensor of a name, of those that hold factors of frequencies.
        partial: whether the architecture can rotate only a part of a head.

    Raises:
        WeightsError: the positions are of a kind that is not supported.
    """
    theta = shortest(metadata.number("rope.freq_base", DEFAULT_THETA))
    rotated = metadata.integer("rope.dimension_count", head)
    if rotated != head and not partial:
        raise WeightsError(f"{metadata.where} rotates {rotated} of {head} dimensions of a head: not supported")
    return {
        **_kind(metadata, theta, rotated, read),
        "rope_theta": theta,
        **({"partial_rotary_factor": rotated / head} if partial else {}),
    }


def _kind(
    metadata: Metadata, theta: float, rotated: int, read: Mapping[str, Callable[[], Sequence[float]]]
) -> dict[str, Any]:
    kind = metadata.entries.get(f"{metadata.architecture}.rope.scaling.type", "none")
    if "rope_factors_long.weight" in read:
        return _longrope(metadata, read)
    if "rope_freqs.weight" in read:
        return _llama3(metadata, theta, rotated, list(read["rope_freqs.weight"]()))
    if kind == "none" and metadata.number("rope.scale_linear", 1.0) != 1:  # files of 2023
        return {"rope_type": "linear", "factor": metadata.number("rope.scale_linear")}
    if kind == "none":
        return {"rope_type": "default"}
    if kind == "linear":
        return {"rope_type": "linear", "factor": shortest(metadata.number("rope.scaling.factor"))}
    if kind == "yarn":
        return _yarn(metadata)
    raise WeightsError(f"{metadata.where} scales its positions by {kind!r}: supported are none, linear, yarn, longrope")


def _yarn(metadata: Metadata) -> dict[str, Any]:
    for key in ("rope.scaling.attn_factor", "rope.scaling.yarn_log_multiplier"):
        if metadata.has(key) and metadata.number(key) != (1.0 if key.endswith("attn_factor") else 0.0):
            raise WeightsError(f"{metadata.where} has {metadata.architecture}.{key}, which is not supported")
    betas = {
        name: shortest(metadata.number(f"rope.scaling.yarn_{name}"))
        for name in ("beta_fast", "beta_slow")
        if metadata.has(f"rope.scaling.yarn_{name}")
    }
    return {
        "rope_type": "yarn",
        "factor": shortest(metadata.number("rope.scaling.factor")),
        "original_max_position_embeddings": metadata.integer("rope.scaling.original_context_length"),
        **betas,
    }


def _longrope(metadata: Metadata, read: Mapping[str, Callable[[], Sequence[float]]]) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "long_factor": [shortest(value) for value in read["rope_factors_long.weight"]()],
        "short_factor": [shortest(value) for value in read["rope_factors_short.weight"]()],
        "original_max_position_embeddings": metadata.integer("rope.scaling.original_context_length"),
        "attention_factor": shortest(metadata.number("rope.scaling.attn_factor")),
    }


def _llama3(metadata: Metadata, theta: float, rotated: int, factors: list[float]) -> dict[str, Any]:
    """Recover the parameters of Llama 3's scaling, of which a file holds the result only."""
    factor = shortest(max(factors))
    if factor == 1 and min(factors) == 1:
        return {"rope_type": "default"}
    expected = [_llama3_factor(theta ** (2 * i / rotated), factor) for i in range(rotated // 2)]
    if len(factors) != len(expected) or any(
        not math.isclose(one, other, rel_tol=TOLERANCE) for one, other in zip(factors, expected, strict=True)
    ):
        raise WeightsError(
            f"{metadata.where} scales its positions by factors (tensor rope_freqs.weight) that are not those of Llama "
            "3, and pilotlight knows no others"
        )
    return {"rope_type": "llama3", "factor": factor, **LLAMA3}


def _llama3_factor(period: float, factor: float) -> float:
    """Return by how much the wavelength 2 pi ``period`` is stretched."""
    low, high, original = LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"], 8192
    turns = original / (2 * math.pi * period)
    if turns > high:
        return 1.0
    if turns < low:
        return factor
    smooth = (turns - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)

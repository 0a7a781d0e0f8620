"""Pooling, by numpy and torch alike, against sums written out; padded on either side."""

from __future__ import annotations

import numpy
import pytest
import torch

from pilotlight.engines.encoders.padding import pad
from pilotlight.engines.encoders.pooling import pool
from pilotlight.engines.encoders.sentence_transformers import Pooling
from pilotlight.engines.encoders.types import Row
from pilotlight.errors import WeightsError

ROWS = [Row([5, 6, 7], prompt_tokens=1), Row([5]), Row([1, 2, 3, 4])]


def expected(tokens: numpy.ndarray, way: Pooling, prompt: int) -> numpy.ndarray:
    """Of one text without padding."""
    counted = tokens[prompt:]
    weights = numpy.arange(prompt + 1, len(tokens) + 1)
    return {
        Pooling.CLS: counted[0],
        Pooling.LAST: counted[-1],
        Pooling.MAX: counted.max(0),
        Pooling.MEAN: counted.mean(0),
        Pooling.SQRT: counted.sum(0) / len(counted) ** 0.5,
        Pooling.WEIGHTED: (counted * weights[:, None]).sum(0) / weights.sum(),
    }[way]


@pytest.mark.parametrize("arrays", [numpy, torch])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("ways", [[way] for way in Pooling] + [[Pooling.CLS, Pooling.MAX, Pooling.MEAN]])
def test_each_way_alone_and_several_joined(arrays, left: bool, ways: list[Pooling]) -> None:
    random = numpy.random.default_rng(0)
    texts = [random.normal(size=(len(row), 6)).astype("float32") for row in ROWS]
    padded = pad(ROWS, 0, left=left)
    hidden = numpy.full((3, 4, 6), numpy.nan, dtype="float32")  # the worst that a model can have at its padding
    for i, mask in enumerate(padded.mask):
        hidden[i, numpy.array(mask) == 1] = texts[i]
    make = numpy.array if arrays is numpy else torch.tensor
    found = pool(arrays, make(hidden), make(padded.mask), make(padded.pooled), padded, ways)
    wanted = [
        numpy.concatenate([expected(text, way, min(row.prompt_tokens, len(row) - 1)) for way in ways])
        for text, row in zip(texts, ROWS, strict=True)
    ]
    assert numpy.allclose(numpy.array(found.tolist()), numpy.stack(wanted), atol=1e-5)


def test_a_model_with_fewer_vectors_than_tokens_is_refused() -> None:
    padded = pad(ROWS, 0)
    hidden = numpy.zeros((3, 2, 6))
    with pytest.raises(WeightsError, match="it gives 2 vectors for 4 tokens"):
        pool(numpy, hidden, numpy.array(padded.mask), numpy.array(padded.pooled), padded, [Pooling.MEAN])

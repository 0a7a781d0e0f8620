"""Makes one vector of the vectors of a text's tokens, with the arrays of torch or numpy alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilotlight.engines.encoders.padding import Padded
from pilotlight.engines.encoders.sentence_transformers import Pooling
from pilotlight.errors import WeightsError

__all__ = ["pool"]


def pool(arrays: Any, hidden: Any, mask: Any, pooled: Any, padded: Padded, ways: Sequence[Pooling]) -> Any:
    """Return the vectors of a batch, shape (rows, size * number of ways).

    Args:
        arrays: the module torch or numpy, whose arrays the others are.
        hidden: the tokens' vectors in fp32, shape (rows, tokens, size).
        mask: 1 for a token and 0 for padding, shape (rows, tokens).
        pooled: the mask without the tokens that do not count.
        padded: the batch that they are of.
        ways: the vectors of several are joined.

    Raises:
        WeightsError: the model does not give one vector for each token.
    """
    if hidden.shape[1] != mask.shape[1]:
        raise WeightsError(
            f"it gives {hidden.shape[1]} vectors for {mask.shape[1]} tokens, and pooling needs one for each"
        )
    rows = list(range(len(padded.first)))
    counted = pooled[..., None]
    text = arrays.where(counted > 0, hidden, 0.0)  # whatever a model has at its padding

    def one(way: Pooling) -> Any:
        if way is Pooling.CLS:
            return hidden[rows, padded.first]
        if way is Pooling.LAST:
            return hidden[rows, padded.last]
        if way is Pooling.MAX:
            return arrays.amax(arrays.where(counted > 0, hidden, -float("inf")), 1)
        if way is Pooling.WEIGHTED:  # the first token counts once, the second twice
            weights = arrays.cumsum(mask, 1)[..., None] * counted
            return (text * weights).sum(1) / weights.sum(1)
        total, count = text.sum(1), counted.sum(1)
        return total / count if way is Pooling.MEAN else total / count**0.5

    vectors = [one(way) for way in ways]
    return vectors[0] if len(vectors) == 1 else arrays.concatenate(vectors, 1)

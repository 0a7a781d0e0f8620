"""Log probabilities of a text's tokens by an exported model, computed as it is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pilotlight.engines.onnx.model import OnnxModel

__all__ = ["log_probabilities"]

# Texts that are read together.
ROWS = 8


def log_probabilities(artifact: Path, windows: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return natural logarithms for ``window[1:]`` of each window, read token by token as in a generation.

    Raises:
        ConfigError, WeightsError: as ``OnnxModel``.
    """
    model = OnnxModel(artifact)
    model.reserve(ROWS, max(len(window) for window in windows))
    found: list[list[float]] = []
    for start in range(0, len(windows), ROWS):
        group = windows[start : start + ROWS]
        logs: list[list[float]] = [[] for _ in group]
        for at in range(max(len(window) for window in group) - 1):
            # A window that has ended repeats its last token; those scores are not used.
            ids = [[window[min(at, len(window) - 1)]] for window in group]
            scores = model.run(0, ids, [at + 1] * len(group)).astype(np.float64)
            highest = scores.max(axis=-1, keepdims=True)
            scores -= highest + np.log(np.exp(scores - highest).sum(axis=-1, keepdims=True))
            for row, window in enumerate(group):
                if at + 1 < len(window):
                    logs[row].append(float(scores[row, window[at + 1]]))
        found += logs
    return found

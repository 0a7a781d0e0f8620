"""Compares an encoder's artifact with its source model: the same texts through both."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

from pilotlight.engines.encoders.model_config import native_task
from pilotlight.engines.encoders.scores import scores, unit
from pilotlight.engines.encoders.types import Encoded, EncoderEngine, Task, TextRequest
from pilotlight.engines.openvino.encoder import OpenVINOEncoder
from pilotlight.errors import UsageError, WeightsError
from pilotlight.loading.files.artifacts import Artifact
from pilotlight.loading.files.manifest import EncoderCheck

__all__ = ["check_encoder", "pieces"]

PIECES = 100
PIECE_CHARS = 200
MIN_PIECES = 20


def pieces(content: str) -> list[str]:
    """Return texts from all parts of ``content``.

    Raises:
        UsageError: it is too short for the check.
    """
    found = [content[at : at + PIECE_CHARS].strip() for at in range(0, len(content), PIECE_CHARS)]
    found = [piece for piece in found if piece][:PIECES]
    if len(found) < MIN_PIECES:
        raise UsageError(
            f"the check's text is too short: it is {len(found)} pieces of {PIECE_CHARS} "
            f"characters, and {MIN_PIECES} are needed"
        )
    return found


def check_encoder(model: Path, artifact: Artifact, description: str, content: str) -> EncoderCheck:
    """Compare ``artifact`` with ``model``, which torch computes in float32.

    Args:
        model: a classifier's or an embedder's folder.
        artifact: of it.
        description: of the text, for the manifest.
        content: text that the model was not trained on; the check uses as much as it needs.

    Raises:
        UsageError: the text is too short.
        WeightsError: the model's tokenizer gives other tokens without transformers.
    """
    from pilotlight.engines.torch.encoder import TorchEncoder  # heavy

    task = native_task(model)
    assert task is not None, "not an encoder: this is a bug, the caller asks first"
    texts = pieces(content)
    ours = _encode(OpenVINOEncoder(model, artifact, task), texts)
    engine = TorchEncoder(model, task, device="cpu", dtype="float32")
    theirs = _encode(engine, texts)
    for mine, other in zip(ours, theirs, strict=True):
        if (mine.tokens, mine.cut_tokens) != (other.tokens, other.cut_tokens):
            raise WeightsError(
                "without transformers this model's tokenizer gives other tokens for the same text "
                f"({mine.tokens + mine.cut_tokens} for {other.tokens + other.cut_tokens}): serve it with the torch "
                "engine"
            )
    if task is Task.CLASSIFY:
        kind = engine.info.activation
        rows = [[scores(one.values, kind) for one in side] for side in (ours, theirs)]
        difference = max(abs(a - b) for pair in zip(*rows, strict=True) for a, b in zip(*pair, strict=True))
        same = [_highest(a) == _highest(b) for a, b in zip(*rows, strict=True)]
    else:
        units = [[unit(one.values) for one in side] for side in (ours, theirs)]
        difference = max(1 - _dot(a, b) for a, b in zip(*units, strict=True))
        same = [_nearest(units[0], i) == _nearest(units[1], i) for i in range(len(texts))]
    return EncoderCheck(
        text=description,
        text_sha256=hashlib.sha256("".join(texts).encode()).hexdigest(),
        task="classify" if task is Task.CLASSIFY else "embed",
        texts=len(texts),
        largest_difference=max(0.0, difference),
        agreement=sum(same) / len(same),
    )


def _encode(engine: EncoderEngine, texts: list[str]) -> list[Encoded]:
    try:
        return [future.result() for future in engine.submit([TextRequest(text) for text in texts])]
    finally:
        engine.close()


def _highest(row: Sequence[float]) -> int:
    return max(range(len(row)), key=lambda i: row[i])


def _nearest(units: Sequence[Sequence[float]], i: int) -> int:
    return max((j for j in range(len(units)) if j != i), key=lambda j: _dot(units[i], units[j]))


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))

"""Measures which columns of a model's matrices matter: how large the values are that each is multiplied with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy
import openvino

from pilotlight.loading.export.graph.decoder import build_probe
from pilotlight.loading.export.graph.shape import DecoderShape
from pilotlight.loading.export.graph.tensors import Array, open_tensors

__all__ = ["measure_importance"]

TEXT = Path(__file__).parent.parent / "calibration.txt"
TOKENIZER = "tokenizer.json"
WINDOW_TOKENS = 256
WINDOWS = 8


def measure_importance(model: Path, shape: DecoderShape) -> Mapping[str, Array]:
    """Return for each matrix the mean square of what every column is multiplied with, by the matrix' name.

    The model reads a text of ours in 8-bit weights. It is empty for a model whose tokenizer has no ``tokenizer.json``.

    Args:
        model: a model folder.
        shape: of its decoder.

    Raises:
        WeightsError: the tensors are incomplete.
    """
    path = model / TOKENIZER
    if not path.is_file():
        return {}
    from tokenizers import Tokenizer  # needed here only

    ids = Tokenizer.from_file(str(path)).encode(TEXT.read_text("utf-8")).ids
    ids = [token for token in ids if token < shape.vocab_size][: WINDOWS * WINDOW_TOKENS]
    probe, names = build_probe(shape, open_tensors(model))
    request = openvino.Core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    sums = [numpy.zeros(1, "f4")] * len(names)
    for start in range(0, len(ids), WINDOW_TOKENS):
        window = ids[start : start + WINDOW_TOKENS]
        request.reset_state()
        request.infer(
            {
                "input_ids": numpy.array([window], "i8"),
                "attention_mask": numpy.ones((1, len(window)), "i8"),
                "position_ids": numpy.arange(len(window), dtype="i8")[None],
                "beam_idx": numpy.zeros(1, "i4"),
            }
        )
        sums = [before + request.get_output_tensor(at + 1).data for at, before in enumerate(sums)]
    return {name: total / max(1, len(ids)) for name, total in zip(names, sums, strict=True)}

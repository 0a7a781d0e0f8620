"""A real embedder on OpenVINO: all-MiniLM-L6-v2 through the real exporter, against transformers' own forward."""

from __future__ import annotations

import pytest
import torch

from pilotlight.engines.encoders.types import Padding, Task
from pilotlight.engines.openvino.encoder import OpenVINOEncoder
from tests.engines.exported_encoders import exported_minilm
from tests.engines.minilm_vectors import SENTENCES, cosines, expected_vectors, vectors

pytestmark = pytest.mark.timeout(600)  # the first run exports it


def test_in_fp32_every_sentence_is_transformers_own_alone_and_in_any_company() -> None:
    model, artifact = exported_minilm("fp32")
    engine = OpenVINOEncoder(model, artifact, Task.EMBED)
    try:
        assert (engine.info.max_tokens, engine.info.padding) == (256, Padding.RIGHT)
        for at_once in (1, 7, 50):
            assert torch.allclose(vectors(engine, SENTENCES, at_once), expected_vectors(), atol=1e-5)
    finally:
        engine.close()


def test_in_int8_the_vectors_point_nearly_the_same_way() -> None:
    model, artifact = exported_minilm("int8")
    engine = OpenVINOEncoder(model, artifact, Task.EMBED)
    try:
        assert engine.info.padding is Padding.RIGHT
        for at_once in (1, 50):
            found = cosines(vectors(engine, SENTENCES, at_once), expected_vectors())
            print(f"cosine with fp32: mean {found.mean():.5f}, least {found.min():.5f}")
            assert found.min() > 0.99
    finally:
        engine.close()

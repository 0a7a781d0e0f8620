"""A real embedder on torch: all-MiniLM-L6-v2, against transformers' own forward of each sentence."""

from __future__ import annotations

import random

import torch

from pilotlight.engines.encoders.model_config import native_task
from pilotlight.engines.encoders.types import Padding, Task, TextRequest
from pilotlight.engines.torch.encoder import TorchEncoder
from tests.engines.minilm_vectors import SENTENCES, SUBJECTS, cosines, expected_vectors, vectors
from tests.real_models import minilm


def test_in_fp32_every_sentence_is_transformers_own_alone_and_in_any_company() -> None:
    assert len(SENTENCES) == 50
    assert native_task(minilm()) is Task.EMBED
    engine = TorchEncoder(minilm(), Task.EMBED, device="cpu", dtype="float32")
    try:
        expected = expected_vectors()
        assert (engine.info.max_tokens, engine.info.padding) == (256, Padding.RIGHT)
        assert torch.allclose(vectors(engine, SENTENCES, 1), expected, atol=1e-5)
        assert torch.allclose(vectors(engine, SENTENCES, 50), expected, atol=1e-5)
        order = random.Random(0).sample(range(50), 50)
        mixed = vectors(engine, [SENTENCES[i] for i in order], 7)
        assert torch.allclose(mixed, expected[order], atol=1e-5)
        [cut] = engine.submit([TextRequest(SENTENCES[48])])
        assert cut.result(120).cut_tokens > 0
    finally:
        engine.close()


def test_what_means_the_same_is_nearer_than_anything_else() -> None:
    engine = TorchEncoder(minilm(), Task.EMBED, device="cpu", dtype="float32")
    try:
        firsts = vectors(engine, [pair[0] for pair in SUBJECTS], 5)
        seconds = vectors(engine, [pair[1] for pair in SUBJECTS], 5)
    finally:
        engine.close()
    similar = firsts @ seconds.T
    assert torch.equal(similar.argmax(1), torch.arange(len(SUBJECTS)))
    assert similar.fill_diagonal_(-1).max() < cosines(firsts, seconds).min()


def test_in_bf16_company_changes_nothing_that_its_noise_does_not() -> None:
    engine = TorchEncoder(minilm(), Task.EMBED, device="cpu", dtype="bfloat16")
    try:
        assert engine.info.padding is Padding.RIGHT
        assert cosines(vectors(engine, SENTENCES, 50), expected_vectors()).min() > 0.999
    finally:
        engine.close()

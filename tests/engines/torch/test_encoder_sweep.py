"""Architectures of encoders, each against transformers' own forward of one text: alone, together, and too long.

What a model does is right in any company, or it is refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForTextEncoding, AutoTokenizer, FunnelBaseModel, FunnelModel

from pilotlight.engines.encoders.types import EncoderEngine, Padding, Task, TextRequest
from pilotlight.engines.torch.encoder import TorchEncoder
from pilotlight.errors import WeightsError
from tests.engines.encoder_sweep import CASES, MAX_TOKENS, Case, make_model

LONG = "one two three " * 40
TEXTS = ["def main(args):", "one two three", "class Reader:\n    def __init__(self)", "three two one"]
FUNNEL = next(case for case in CASES if case.name == "funnel")
T5 = next(case for case in CASES if case.name == "t5")


def rows(engine: EncoderEngine, *texts: str) -> torch.Tensor:
    futures = engine.submit([TextRequest(text) for text in texts])
    return torch.tensor([future.result(120).values for future in futures])


def expected(model: Any, folder: Path, texts: list[str], limit: int) -> torch.Tensor:
    """Each text by itself through transformers: logits, or the mean of the last states."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit, return_token_type_ids=False)
            output = model(**ids)
            found.append(output.logits[0] if "logits" in output else output.last_hidden_state[0].mean(0))
    return torch.stack(found)


def holds(model: Any, folder: Path, task: Task, case: Case, wanted: Padding | str) -> None:
    """Assert what is expected of a case."""
    if not isinstance(wanted, Padding):
        with pytest.raises(WeightsError, match=wanted):
            TorchEncoder(folder, task, device="cpu", dtype="float32")
        return
    engine = TorchEncoder(folder, task, device="cpu", dtype="float32")
    try:
        assert (engine.info.padding, engine.info.max_tokens) == (wanted, case.max_tokens)
        texts = [*TEXTS, case.short, LONG if case.max_tokens == MAX_TOKENS else LONG[:140]]
        right = expected(model, folder, texts, case.max_tokens)
        assert right.std(dim=0).min() > 1e-3, "the texts are told apart"
        together, alone = rows(engine, *texts), torch.cat([rows(engine, text) for text in texts])
        for found in (together, alone):
            assert torch.allclose(found, right, atol=1e-5 * right.abs().max().item())
            assert torch.equal(found.argmax(1), right.argmax(1))
    finally:
        engine.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_architecture_is_right_in_any_company_or_refused(case: Case, tmp_path: Path) -> None:
    classifier = make_model(case, tmp_path)
    holds(classifier, tmp_path, Task.CLASSIFY, case, case.classify)
    body = classifier
    if isinstance(case.embed, Padding):
        kind = AutoModelForTextEncoding if case.model_type in ("t5", "mt5") else AutoModel
        body = kind.from_pretrained(tmp_path).eval()
    holds(body, tmp_path, Task.EMBED, case, case.embed)


def test_a_body_with_a_decoder_of_its_own_embeds_and_one_that_shortens_the_text_is_refused(tmp_path: Path) -> None:
    model = make_model(FUNNEL, tmp_path / "whole", FunnelModel)
    holds(model, tmp_path / "whole", Task.EMBED, FUNNEL, Padding.NONE)
    make_model(FUNNEL, tmp_path / "base", FunnelBaseModel)
    with pytest.raises(WeightsError, match=r"it gives \d+ vectors for \d+ tokens"):
        TorchEncoder(tmp_path / "base", Task.EMBED, device="cpu", dtype="float32")


def test_an_encoder_that_was_saved_alone_embeds(tmp_path: Path) -> None:
    model = make_model(T5, tmp_path, AutoModelForTextEncoding)
    holds(model, tmp_path, Task.EMBED, T5, Padding.RIGHT)

"""The torch encoder, against transformers itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from pilotlight.engines.encoders.types import EncoderEngine, Task, TextRequest
from pilotlight.engines.torch.encoder import TorchEncoder
from pilotlight.errors import ConfigError, InputError, WeightsError
from tests.encoders import ARCHITECTURES, LABELS, MAX_TOKENS, tiny_classifier, tiny_embedder
from tests.models import tiny_model

TEXTS = [
    "def main(args):",
    "one two three",
    "x",
    "The quick brown fox jumps over the lazy dog. " * 2,
    "\x00 ünïcode 🙂",
]


def rows(engine: EncoderEngine, texts: list[str]) -> torch.Tensor:
    futures = engine.submit([TextRequest(text) for text in texts])
    return torch.tensor([future.result(120).values for future in futures])


def expected_logits(folder: Path, texts: list[str]) -> torch.Tensor:
    """One at a time, cut off by the tokenizer itself."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return torch.cat([model(**_inputs(tokenizer, text)).logits for text in texts])


def expected_hidden(folder: Path, texts: list[str]) -> list[torch.Tensor]:
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [model(**_inputs(tokenizer, text)).last_hidden_state[0] for text in texts]


def _inputs(tokenizer, text: str):
    return tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS, return_token_type_ids=False)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_scores_equal_those_of_transformers_alone_and_in_a_batch(arch: str, tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path, arch)
    engine = TorchEncoder(folder, Task.CLASSIFY, device="cpu", dtype="float32")
    try:
        expected = expected_logits(folder, TEXTS)
        assert expected.std(dim=0).min() > 0.01, "the texts are told apart"
        assert torch.allclose(rows(engine, TEXTS), expected, atol=1e-5)
        assert torch.allclose(rows(engine, TEXTS[3:4]), expected[3:4], atol=1e-5)
        assert engine.info.labels == LABELS
        assert engine.info.max_tokens == MAX_TOKENS
    finally:
        engine.close()


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("pooling", ["auto", "mean", "cls"])
def test_vectors_equal_the_pooled_states_of_transformers(arch: str, pooling: str, tmp_path: Path) -> None:
    folder = tiny_embedder(tmp_path, arch)
    engine = TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32", pooling=pooling)
    try:
        hidden = expected_hidden(folder, TEXTS)
        expected = torch.stack([state[0] if pooling == "cls" else state.mean(0) for state in hidden])
        assert torch.allclose(rows(engine, TEXTS), expected, atol=1e-5)
    finally:
        engine.close()


def test_a_classifier_s_body_embeds(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path)
    engine = TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32")
    try:
        expected = torch.stack([state.mean(0) for state in expected_hidden(folder, TEXTS)])
        assert torch.allclose(rows(engine, TEXTS), expected, atol=1e-5)
    finally:
        engine.close()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_text_that_is_too_long_is_cut_as_transformers_cuts_it_and_that_is_said(arch: str, tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path, arch)
    engine = TorchEncoder(folder, Task.CLASSIFY, device="cpu", dtype="float32")
    try:
        long = "one two three " * 40
        whole = AutoTokenizer.from_pretrained(folder)(long).input_ids
        [future] = engine.submit([TextRequest(long)])
        found = future.result(120)
        assert (found.tokens, found.cut_tokens) == (MAX_TOKENS, len(whole) - MAX_TOKENS)
        assert torch.allclose(torch.tensor([found.values]), expected_logits(folder, [long]), atol=1e-5)
        with pytest.raises(InputError, match=rf"text: has {len(whole)} tokens; the model holds {MAX_TOKENS}"):
            engine.submit([TextRequest(long, truncate=False)])
    finally:
        engine.close()


def test_in_sixteen_bits_it_is_about_the_same(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path)
    engine = TorchEncoder(folder, Task.CLASSIFY, device="cpu", dtype="bfloat16")
    try:
        assert engine.info.dtype == "bfloat16"
        assert torch.allclose(rows(engine, TEXTS), expected_logits(folder, TEXTS), atol=0.2)
    finally:
        engine.close()


def test_a_checkpoint_that_lacks_its_head_is_refused_rather_than_made_up(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path)
    tensors = {name: one.clone() for name, one in load_file(folder / "model.safetensors").items()}
    del tensors["classifier.weight"]
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks 1 tensor \(classifier\.weight\)"):
        TorchEncoder(folder, Task.CLASSIFY, device="cpu", dtype="float32")


def test_an_embedder_needs_no_pooler(tmp_path: Path) -> None:
    folder = tiny_embedder(tmp_path, "bert")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: one.clone() for name, one in tensors.items() if not name.startswith("pooler.")}
    assert len(kept) < len(tensors)
    del tensors
    (folder / "model.safetensors").unlink()
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    engine = TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32")
    try:
        assert torch.isfinite(rows(engine, TEXTS)).all()
    finally:
        engine.close()


def test_what_is_not_for_the_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"is not a classifier: its architecture is DistilBertModel"):
        TorchEncoder(tiny_embedder(tmp_path), Task.CLASSIFY)
    with pytest.raises(WeightsError, match=r"is not an encoder \(its architecture is LlamaForCausalLM\)"):
        TorchEncoder(tiny_model("llama", tmp_path), Task.EMBED)
    with pytest.raises(ConfigError, match="PILOTLIGHT_POOLING is 'median'; expected auto, mean, cls, last, max"):
        TorchEncoder(tiny_embedder(tmp_path), Task.EMBED, pooling="median")

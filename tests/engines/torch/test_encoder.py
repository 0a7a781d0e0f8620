"""The torch encoder, against transformers itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from pilotlight.engines.encoders.types import Activation, EncoderEngine, Task, TextRequest
from pilotlight.engines.torch.encoder import TorchEncoder
from pilotlight.errors import ConfigError, InputError, WeightsError
from tests.encoders import ARCHITECTURES, LABELS, MAX_TOKENS, tiny_classifier, tiny_embedder
from tests.engines.encoder_sweep import CASES, make_model
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
        return torch.cat([model(**inputs(tokenizer, text)).logits for text in texts])


def expected_hidden(folder: Path, texts: list[str]) -> list[torch.Tensor]:
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [model(**inputs(tokenizer, text)).last_hidden_state[0] for text in texts]


def inputs(tokenizer, text: str, limit: int = MAX_TOKENS):
    return tokenizer(text, return_tensors="pt", truncation=True, max_length=limit, return_token_type_ids=False)


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


def test_a_decoder_with_pooling_modules_embeds_by_its_last_token(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "qwen3")
    model = make_model(case, tmp_path, AutoModel)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["Qwen3ForCausalLM"]}))
    modules(tmp_path, ("Pooling", {"pooling_mode_lasttoken": True}), ("Normalize", None))
    prompts = {"prompts": {"query": "one two three: "}, "default_prompt_name": None}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    engine = TorchEncoder(tmp_path, Task.EMBED, device="cpu", dtype="float32")
    try:
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
        with torch.inference_mode():
            states = [model(**inputs(tokenizer, text.strip(), 40)).last_hidden_state[0] for text in TEXTS]
            asked = model(**inputs(tokenizer, f"one two three: {TEXTS[0]}", 40)).last_hidden_state[0, -1]
        assert torch.allclose(rows(engine, TEXTS), torch.stack([state[-1] for state in states]), atol=1e-5)
        [found] = engine.submit([TextRequest(TEXTS[0], prompt_name="query")])
        assert torch.allclose(torch.tensor(found.result(120).values), asked, atol=1e-5)
    finally:
        engine.close()


def test_a_dense_layer_follows_two_poolings_and_a_prompt_may_not_count(tmp_path: Path) -> None:
    folder = tiny_embedder(tmp_path, "bert")
    linear = torch.nn.Linear(64, 5)
    modules(
        folder,
        ("Pooling", {"pooling_mode": ["cls", "mean"], "include_prompt": False}),
        ("Dense", {"activation_function": "torch.nn.modules.activation.Tanh"}),
    )
    tensors = {f"linear.{name}": one.detach() for name, one in linear.named_parameters()}
    save_file(tensors, folder / "2_Dense/model.safetensors")
    prompts = {"prompts": {"document": "def "}, "default_prompt_name": "document"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    tokenizer, texts = AutoTokenizer.from_pretrained(folder), ["main(args):", "x", "one two three " * 40]
    hidden = len(tokenizer("def ", add_special_tokens=False).input_ids) + 1
    engine = TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32")
    try:
        counted = [state[hidden:] for state in expected_hidden(folder, [f"def {text}".strip() for text in texts])]
        with torch.inference_mode():
            pooled = torch.stack([torch.cat([state[0], state.mean(0)]) for state in counted])
            assert torch.allclose(rows(engine, texts), linear(pooled).tanh(), atol=1e-5)
    finally:
        engine.close()


def test_a_transformer_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    inner = tiny_embedder(tmp_path / "model", "bert")
    inner.rename(tmp_path / "model/0_Transformer")
    modules(tmp_path / "model", ("Pooling", {"pooling_mode_mean_tokens": True}), body="0_Transformer")
    engine = TorchEncoder(tmp_path / "model", Task.EMBED, device="cpu", dtype="float32")
    try:
        states = expected_hidden(tmp_path / "model/0_Transformer", [text.strip() for text in TEXTS])
        assert torch.allclose(rows(engine, TEXTS), torch.stack([state.mean(0) for state in states]), atol=1e-5)
    finally:
        engine.close()


def test_a_pair_is_scored_with_its_token_types_as_transformers_does(tmp_path: Path) -> None:
    section = {"activation_fn": "torch.nn.modules.linear.Identity"}
    folder = tiny_classifier(tmp_path, "bert", ("relevance",), sentence_transformers=section)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    single = content["post_processor"]["single"]
    second = [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    content["post_processor"]["pair"] = [*single, *second]
    path.write_text(json.dumps(content))
    path = folder / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **names}))
    pairs = [("one two", "def main(args):"), ("x", "three"), ("The quick brown fox " * 10, "one two three " * 9)]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    engine = TorchEncoder(folder, Task.CLASSIFY, device="cpu", dtype="float32")
    try:
        assert engine.info.activation is Activation.NONE
        with torch.inference_mode():
            expected = torch.cat(
                [
                    model(**tokenizer(*pair, return_tensors="pt", truncation=True, max_length=MAX_TOKENS)).logits
                    for pair in pairs
                ]
            )
        futures = engine.submit([TextRequest(first, pair=second) for first, second in pairs])
        found = torch.tensor([future.result(120).values for future in futures])
        assert torch.allclose(found, expected, atol=1e-5)
        plain = tokenizer(*pairs[0], return_tensors="pt", return_token_type_ids=False)
        with torch.inference_mode():
            assert not torch.allclose(model(**plain).logits, expected[:1], atol=1e-4), "the types matter"
    finally:
        engine.close()


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = tiny_embedder(tmp_path, "bert")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match="has no tokenizer"):
        TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32")


def test_a_checkpoint_with_more_layers_than_its_configuration_is_refused(tmp_path: Path) -> None:
    folder = tiny_embedder(tmp_path, "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(WeightsError, match=r"encoder\.layer\.1\."):
        TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32")


def test_a_token_beyond_the_embedding_fails_its_text_alone(tmp_path: Path) -> None:
    folder = tiny_embedder(tmp_path, "bert")
    content = json.loads((folder / "tokenizer.json").read_text())
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content["added_tokens"].append({"id": 400, "content": "<new>", **added})
    (folder / "tokenizer.json").write_text(json.dumps(content))
    engine = TorchEncoder(folder, Task.EMBED, device="cpu", dtype="float32")
    try:
        with pytest.raises(InputError, match="text: holds token 400, and the model has 400"):
            engine.submit([TextRequest("a <new>")])
        assert torch.isfinite(rows(engine, TEXTS)).all()
    finally:
        engine.close()


def modules(folder: Path, *others: tuple[str, dict[str, object] | None], body: str = "") -> None:
    """Write the files of sentence-transformers beside a transformer in ``body``."""
    listed = [{"path": body, "type": "sentence_transformers.models.Transformer"}]
    for i, (kind, config) in enumerate(others, 1):
        listed.append({"path": f"{i}_{kind}", "type": f"sentence_transformers.models.{kind}"})
        if config is not None:
            (folder / f"{i}_{kind}").mkdir()
            (folder / f"{i}_{kind}/config.json").write_text(json.dumps(config))
    (folder / "modules.json").write_text(json.dumps(listed))

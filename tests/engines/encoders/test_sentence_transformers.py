"""The layout of sentence-transformers, from files as its old and new versions write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.encoders.model_config import native_task, read_encoder
from pilotlight.engines.encoders.sentence_transformers import Dense, Normalize, Pooling, body_folder, read_layout
from pilotlight.engines.encoders.types import Task, TextRules
from pilotlight.errors import WeightsError

DENSE = {"in_features": 8, "out_features": 4, "bias": True, "activation_function": "torch.nn.modules.linear.Identity"}


def layout(folder: Path, *modules: tuple[str, dict[str, Any] | None], body: str = "", **files: dict[str, Any]) -> Path:
    """Write a folder with a Transformer in ``body`` and the modules after it."""
    listed = [{"idx": 0, "name": "0", "path": body, "type": "sentence_transformers.models.Transformer"}]
    for i, (kind, config) in enumerate(modules, 1):
        place = folder / f"{i}_{kind}"
        package = "sentence_transformers.models" if i % 2 else f"sentence_transformers.base.modules.{kind.lower()}"
        listed.append({"idx": i, "name": str(i), "path": place.name, "type": f"{package}.{kind}"})
        if config is not None:
            place.mkdir(parents=True, exist_ok=True)
            (place / "config.json").write_text(json.dumps(config))
            if kind == "Dense":
                (place / "model.safetensors").touch()
    (folder / body).mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    for name, content in {"modules": listed, str(Path(body, "config")): config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True}, [Pooling.MEAN]),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, [Pooling.LAST]),
        ({"pooling_mode_weightedmean_tokens": True}, [Pooling.WEIGHTED]),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, [Pooling.SQRT]),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": True},
            [Pooling.CLS, Pooling.MAX, Pooling.MEAN],
        ),
        ({"pooling_mode": "lasttoken"}, [Pooling.LAST]),
        ({"pooling_mode": ["mean", "cls"]}, [Pooling.MEAN, Pooling.CLS]),
        ({"word_embedding_dimension": 8}, [Pooling.MEAN]),
    ],
)
def test_pooling_of_the_old_and_the_new_form(config: dict[str, Any], pooling: list[Pooling], tmp_path: Path) -> None:
    assert read_layout(layout(tmp_path, ("Pooling", config))).pooling == tuple(pooling)


def test_layers_follow_the_pooling_and_a_normalization_at_the_end_is_the_prediction_s(tmp_path: Path) -> None:
    pooling = ("Pooling", {"pooling_mode": "mean"})
    folder = layout(tmp_path, pooling, ("Normalize", None), ("Dense", DENSE), ("Normalize", None))
    assert read_layout(folder).layers == (Normalize(), Dense(folder / "3_Dense", "Identity"))
    tanh = {key: value for key, value in DENSE.items() if key != "activation_function"}
    folder = layout(tmp_path, pooling, ("Dropout", {}), ("Dense", {**tanh, "use_residual": True}))
    assert read_layout(folder).layers == (Dense(folder / "3_Dense", "Tanh", residual=True),)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (("LSTM", {}), "has a module LSTM of sentence-transformers"),
        (("LayerNorm", {}), "has a module LayerNorm"),
        (("Dense", {**DENSE, "activation_function": "my.Own"}), r"has the activation my\.Own"),
        (("Dense", {**DENSE, "activation_function": "torch.nn.modules.activation.Softplus"}), "has the activation"),
        (("Dense", {**DENSE, "module_input_name": "token_embeddings"}), "changes token_embeddings into"),
    ],
)
def test_other_modules_are_refused_by_name(module: tuple[str, dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        read_layout(layout(tmp_path, ("Pooling", {"pooling_mode": "mean"}), module))


@pytest.mark.parametrize("name", ["WordEmbeddings", "StaticEmbedding", "SpladePooling", "LogitScore"])
def test_a_first_or_second_module_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"has a module {name}"):
        read_layout(layout(tmp_path, (name, {})))


def test_a_dense_layer_that_is_only_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = layout(tmp_path, ("Pooling", {"pooling_mode": "mean"}), ("Dense", DENSE))
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"2_Dense has no model\.safetensors, and pickles are never loaded"):
        read_layout(folder)


def test_what_precedes_a_text(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "Query: ", "document": None}, "default_prompt_name": "query"}
    folder = layout(
        tmp_path,
        ("Pooling", {"pooling_mode": "mean", "include_prompt": False}),
        config_sentence_transformers=prompts,
        sentence_bert_config={"max_seq_length": 128, "do_lower_case": True},
    )
    found = read_layout(folder)
    rules = TextRules({"query": "Query: ", "document": ""}, "query", pool_prompt=False, lower_case=True, strip=True)
    assert (found.rules, found.max_tokens) == (rules, 128)
    assert read_encoder(folder, Task.EMBED).rules == rules
    prompts["default_prompt_name"] = "other"
    with pytest.raises(WeightsError, match="has the default prompt other, which is not among its prompts"):
        read_layout(layout(tmp_path, config_sentence_transformers=prompts))


def test_a_causal_model_with_pooling_embeds(tmp_path: Path) -> None:
    folder = layout(tmp_path, ("Pooling", {"pooling_mode": "lasttoken"}), ("Normalize", None))
    assert native_task(folder) is Task.EMBED
    facts = read_encoder(folder, Task.EMBED)
    assert (facts.pooling, facts.note, facts.body) == ((Pooling.LAST,), "", folder)


def test_the_transformer_may_be_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = layout(tmp_path, ("Pooling", {"pooling_mode_mean_tokens": True}), body="0_Transformer")
    (folder / "0_Transformer/sentence_roberta_config.json").write_text('{"max_seq_length": 64}')
    assert body_folder(folder) == folder / "0_Transformer"
    facts = read_encoder(folder, Task.EMBED)
    assert (facts.body, facts.max_tokens) == (folder / "0_Transformer", 64)


@pytest.mark.parametrize("place", ["../other", "/etc"])
def test_a_module_outside_of_the_folder_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.Transformer", "path": place}]))
    with pytest.raises(WeightsError, match="which is outside of the model's folder"):
        read_layout(tmp_path)
    (tmp_path / "modules.json").write_text("{}")
    assert read_layout(tmp_path).pooling == ()
    (tmp_path / "modules.json").write_text('["x"]')
    with pytest.raises(WeightsError, match="is not a list of modules"):
        read_layout(tmp_path)

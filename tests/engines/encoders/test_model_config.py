"""What a folder says of its encoder, from files as transformers and sentence-transformers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engines.encoders.model_config import Pooling, native_task, read_encoder
from pilotlight.engines.encoders.types import Activation, Task
from pilotlight.errors import ConfigError, WeightsError

CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "max_position_embeddings": 512}


def folder(tmp_path: Path, config: dict[str, Any], **others: dict[str, Any]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name, content in others.items():
        path = tmp_path / (name.replace("__", "/") + ".json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    ("config", "others", "expected"),
    [
        ({"max_position_embeddings": 512}, {}, 512),
        ({}, {}, 512),
        ({"max_position_embeddings": 512}, {"tokenizer_config": {"model_max_length": 128}}, 128),
        ({"max_position_embeddings": 512}, {"tokenizer_config": {"model_max_length": 1e30}}, 512),
        ({"max_position_embeddings": 512}, {"sentence_bert_config": {"max_seq_length": 256}}, 256),
        ({"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "bert", "pad_token_id": 1}, {}, 514),
    ],
)
def test_the_longest_text(config: dict[str, Any], others: dict[str, Any], expected: int, tmp_path: Path) -> None:
    assert read_encoder(folder(tmp_path, {**CLASSIFIER, **config}, **others), Task.CLASSIFY).max_tokens == expected


@pytest.mark.parametrize(
    ("config", "labels", "activation"),
    [
        ({}, ("LABEL_0", "LABEL_1"), Activation.SOFTMAX),
        ({"id2label": {"1": "bad", "0": "good"}}, ("good", "bad"), Activation.SOFTMAX),
        ({"id2label": {"0": "rude"}}, ("rude",), Activation.SIGMOID),
        ({"id2label": {"0": "stars"}, "problem_type": "regression"}, ("stars",), Activation.NONE),
        ({"problem_type": "multi_label_classification"}, ("LABEL_0", "LABEL_1"), Activation.SIGMOID),
    ],
)
def test_labels_and_how_scores_are_made(
    config: dict[str, Any], labels: tuple[str, ...], activation: Activation, tmp_path: Path
) -> None:
    facts = read_encoder(folder(tmp_path, {**CLASSIFIER, **config}), Task.CLASSIFY)
    assert (facts.labels, facts.activation) == (labels, activation)
    assert read_encoder(tmp_path, Task.EMBED).labels == ()


def test_labels_with_a_gap_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path, {**CLASSIFIER, "id2label": {"0": "a", "2": "b"}})
    with pytest.raises(WeightsError, match="numbers its labels 0, 2; expected 0, 1, 2"):
        read_encoder(path, Task.CLASSIFY)


@pytest.mark.parametrize(
    ("stated", "pooling"),
    [
        (None, Pooling.MEAN),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, Pooling.MEAN),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, Pooling.CLS),
    ],
)
def test_pooling_is_that_of_the_folder(stated: dict[str, bool] | None, pooling: Pooling, tmp_path: Path) -> None:
    path = folder(tmp_path, {"architectures": ["BertModel"]}, **({"1_Pooling__config": stated} if stated else {}))
    assert read_encoder(path, Task.EMBED).pooling is pooling
    assert read_encoder(path, Task.EMBED, pooling="cls").pooling is Pooling.CLS


def test_pooling_that_we_do_not_have_is_refused_by_name(tmp_path: Path) -> None:
    path = folder(
        tmp_path, {"architectures": ["BertModel"]}, **{"1_Pooling__config": {"pooling_mode_max_tokens": True}}
    )
    with pytest.raises(ConfigError, match="pools by pooling_mode_max_tokens"):
        read_encoder(path, Task.EMBED)
    with pytest.raises(ConfigError, match="PILOTLIGHT_POOLING is 'sum'"):
        read_encoder(path, Task.EMBED, pooling="sum")


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (["RobertaForSequenceClassification"], Task.CLASSIFY),
        (["BertForMaskedLM"], Task.EMBED),
        (["MPNetModel"], Task.EMBED),
        (["LlamaForCausalLM"], None),
        (["GPT2LMHeadModel"], None),
        ([], None),
    ],
)
def test_what_a_model_was_made_for(names: list[str], task: Task | None, tmp_path: Path) -> None:
    assert native_task(folder(tmp_path, {"architectures": names})) is task

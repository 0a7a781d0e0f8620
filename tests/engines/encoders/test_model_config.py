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
        ({"max_position_embeddings": 514, "model_type": "ibert", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "roberta-prelayernorm", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta"}, {}, 512),
        ({"max_position_embeddings": 4098, "model_type": "longformer", "pad_token_id": 1}, {}, 4096),
        ({"max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": 0}, {}, 512),
        ({"max_position_embeddings": None, "n_positions": 1024, "model_type": "gpt2"}, {}, 1024),
        ({"n_positions": 512, "model_type": "t5"}, {"tokenizer_config": {"model_max_length": 2048}}, 2048),
        (
            {"max_position_embeddings": None, "model_type": "x", "text_config": {"max_position_embeddings": 256}},
            {},
            256,
        ),
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
    assert read_encoder(path, Task.EMBED).pooling == (pooling,)
    assert read_encoder(path, Task.EMBED, pooling="cls").pooling == (Pooling.CLS,)


def test_pooling_that_we_do_not_have_is_refused_by_name(tmp_path: Path) -> None:
    path = folder(
        tmp_path, {"architectures": ["BertModel"]}, **{"1_Pooling__config": {"pooling_mode_median_tokens": True}}
    )
    with pytest.raises(WeightsError, match="pools by pooling_mode_median_tokens"):
        read_encoder(path, Task.EMBED)
    assert read_encoder(path, Task.EMBED, pooling="max").pooling == (Pooling.MAX,)
    with pytest.raises(ConfigError, match="PILOTLIGHT_POOLING is 'sum'"):
        read_encoder(path, Task.EMBED, pooling="sum")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["BertForTokenClassification"], r"was trained for another task \(BertForTokenClassification\)"),
        (["RobertaForQuestionAnswering"], r"was trained for another task \(RobertaForQuestionAnswering\)"),
        (["LlamaForCausalLM"], "is not an encoder"),
        (["T5ForConditionalGeneration"], "is not an encoder"),
        ([], r"is not an encoder \(its architecture is none\)"),
    ],
)
def test_a_model_for_another_task_embeds_only_where_the_pooling_is_set(
    names: list[str], message: str, tmp_path: Path
) -> None:
    path = folder(tmp_path, {"architectures": names})
    with pytest.raises(WeightsError, match=message):
        read_encoder(path, Task.EMBED)
    if names:
        assert "embeds with its body" in read_encoder(path, Task.EMBED, pooling="last").note


def test_a_head_that_is_not_used_is_noted(tmp_path: Path) -> None:
    assert (
        "BertForMaskedLM embeds with its body"
        in read_encoder(folder(tmp_path, {"architectures": ["BertForMaskedLM"]}), Task.EMBED).note
    )
    assert read_encoder(folder(tmp_path, {"architectures": ["BertModel"]}), Task.EMBED).note == ""


def test_an_encoder_decoder_embeds_only_where_its_files_say_how(tmp_path: Path) -> None:
    config = {"architectures": ["BartModel"], "model_type": "bart", "is_encoder_decoder": True}
    with pytest.raises(WeightsError, match="is an encoder-decoder"):
        read_encoder(folder(tmp_path, config), Task.EMBED)
    read_encoder(folder(tmp_path, config, **{"1_Pooling__config": {"pooling_mode": "mean"}}), Task.EMBED)


@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM", "BertForTokenClassification"])
def test_what_has_no_head_for_it_does_not_classify(kind: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"is not a classifier: its architecture is {kind}"):
        read_encoder(folder(tmp_path, {"architectures": [kind]}), Task.CLASSIFY)


@pytest.mark.parametrize(
    ("stated", "activation"),
    [
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, Activation.NONE),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, Activation.SIGMOID),
        ({"sentence_transformers": {"version": "4.0.1"}}, Activation.SIGMOID),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, Activation.NONE),
    ],
)
def test_a_cross_encoder_s_scores_are_made_as_its_files_say(
    stated: dict[str, Any], activation: Activation, tmp_path: Path
) -> None:
    config = {**CLASSIFIER, "id2label": {"0": "LABEL_0"}, **stated}
    assert read_encoder(folder(tmp_path, config), Task.CLASSIFY).activation is activation
    newest = {"config_sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    path = folder(tmp_path, {**CLASSIFIER, "num_labels": 1}, **newest)
    assert read_encoder(path, Task.CLASSIFY).activation is Activation.NONE


def test_another_activation_is_refused_by_name(tmp_path: Path) -> None:
    config = {**CLASSIFIER, "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Softplus"}}
    with pytest.raises(WeightsError, match=r"makes its scores by torch\.nn\.modules\.activation\.Softplus"):
        read_encoder(folder(tmp_path, config), Task.CLASSIFY)


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (["RobertaForSequenceClassification"], Task.CLASSIFY),
        (["BertForMaskedLM"], Task.EMBED),
        (["MPNetModel"], Task.EMBED),
        (["LlamaForCausalLM"], None),
        (["GPT2LMHeadModel"], None),
        (["BertForTokenClassification"], None),
        ([], None),
    ],
)
def test_what_a_model_was_made_for(names: list[str], task: Task | None, tmp_path: Path) -> None:
    assert native_task(folder(tmp_path, {"architectures": names})) is task

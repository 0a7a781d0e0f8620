from __future__ import annotations

from typing import Any

import pytest
from transformers import CONFIG_MAPPING

from pilotlight.loading.files.checks.architecture import Kind, kind_of
from pilotlight.loading.files.checks.consistency import UNIFORM


@pytest.mark.parametrize(
    ("family", "names", "more", "kind"),
    [
        ("llama", ["LlamaForCausalLM"], {}, Kind.GENERATOR),
        ("gpt2", ["GPT2LMHeadModel"], {}, Kind.GENERATOR),
        ("gpt2", ["GPT2Model"], {}, Kind.GENERATOR),
        ("llama", [], {}, Kind.GENERATOR),
        ("gemma3", ["Gemma3ForConditionalGeneration"], {}, Kind.GENERATOR),
        ("bart", ["BartForCausalLM"], {}, Kind.GENERATOR),
        ("bert", ["BertLMHeadModel"], {"is_decoder": True}, Kind.GENERATOR),
        ("bert", ["BertLMHeadModel"], {}, Kind.ENCODER),
        ("roberta", ["RobertaForMaskedLM"], {}, Kind.ENCODER),
        ("roberta", [], {}, Kind.ENCODER),
        ("clip", ["CLIPModel"], {}, Kind.ENCODER),
        ("qwen2", ["Qwen2ForSequenceClassification"], {}, Kind.CLASSIFIER),
        ("bart", ["BartForConditionalGeneration"], {"is_encoder_decoder": True}, Kind.ENCODER_DECODER),
        ("marian", ["MarianMTModel"], {"is_encoder_decoder": True}, Kind.ENCODER_DECODER),
        ("whisper", ["WhisperForConditionalGeneration"], {}, Kind.ENCODER_DECODER),
        ("llama", ["LlamaForTokenClassification"], {}, Kind.OTHER),
    ],
)
def test_what_a_model_does(family: str, names: list[str], more: dict[str, Any], kind: Kind) -> None:
    assert kind_of({"model_type": family, "architectures": names, **more}) is kind


@pytest.mark.parametrize("family", UNIFORM)
def test_heads_are_tied_by_default_as_transformers_has_it(family: str) -> None:
    assert CONFIG_MAPPING[family]().tie_word_embeddings is UNIFORM[family]

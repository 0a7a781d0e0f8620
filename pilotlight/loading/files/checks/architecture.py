"""What kind of model a ``config.json`` describes, read from ``architectures`` and ``model_type``.

transformers would build a generator from most text encoders, and fill the head that the checkpoint lacks with random
numbers: the text would be noise. These rules refuse such a model before anything is loaded.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from pilotlight.errors import WeightsError
from pilotlight.loading.files.json_files import read_json

__all__ = ["Kind", "kind_of", "model_config", "require_generator", "require_model_type"]

CLASSIFIER = "ForSequenceClassification"
# Endings of the architectures that generate text by themselves.
GENERATORS = ("ForCausalLM", "LMHeadModel", "ModelWithLMHead", "DoubleHeadsModel")
# Families by their ``model_type``. Encoders whose weights transformers would also take for a generator: with
# ``is_decoder`` they are one.
_BIDIRECTIONAL = (
    "bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert reformer rembert roberta "
    "roberta-prelayernorm roc_bert roformer xlm-roberta xlm-roberta-xl xmod"
)
_OTHER_ENCODERS = (
    "albert align altclip beit bridgetower canine chinese_clip clip clipseg convbert convnext data2vec-audio "
    "data2vec-vision deberta deberta-v2 deit dinov2 dinov3_vit distilbert esm eurobert flaubert flava fnet funnel gte "
    "hubert ibert layoutlm layoutlmv2 layoutlmv3 lilt longformer luke markuplm mobilebert modernbert mpnet mra nezha "
    "nomic_bert nystromformer owlvit resnet siglip siglip2 squeezebert swin tapas unispeech vit vit_mae wav2vec2 "
    "wav2vec2-bert wavlm x-clip yoso"
)
# These need an encoder's output beside the prompt.
_ENCODER_DECODERS = (
    "bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder fsmt led longt5 m2m_100 marian mbart mt5 mvp "
    "nllb-moe pegasus pegasus_x plbart prophetnet seamless_m4t seamless_m4t_v2 speech-encoder-decoder speech_to_text "
    "switch_transformers t5 t5gemma t5gemma2 trocr umt5 vision-encoder-decoder whisper"
)
BIDIRECTIONAL = frozenset(_BIDIRECTIONAL.split())
ENCODERS = BIDIRECTIONAL | frozenset(_OTHER_ENCODERS.split())
ENCODER_DECODERS = frozenset(_ENCODER_DECODERS.split())


class Kind(Enum):
    """What a model does."""

    GENERATOR = "a generator"
    CLASSIFIER = "a classifier"
    ENCODER = "an encoder"
    ENCODER_DECODER = "an encoder-decoder"
    OTHER = "neither a language model nor a text encoder"


def model_config(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of ``folder``.

    Raises:
        WeightsError: it is missing or damaged.
    """
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder} has no config.json: a model is a folder with config.json and *.safetensors")
    return read_json(folder / "config.json")


def require_model_type(folder: Path, config: dict[str, Any]) -> None:
    """Refuse a configuration that does not say what the model is; transformers would guess from the folder's name.

    Raises:
        WeightsError: it has no ``model_type``.
    """
    if not isinstance(config.get("model_type"), str) or not config["model_type"]:
        named = ", ".join(architectures(config)) or "none"
        raise WeightsError(
            f"{folder / 'config.json'} has no model_type (its architectures: {named}): without it nobody knows which "
            'model this is; add it, as "model_type": "llama"'
        )


def require_generator(folder: Path) -> None:
    """Refuse a model that does not generate text.

    Raises:
        WeightsError: naming its architecture, and what serves it where something does.
    """
    config = model_config(folder)
    require_model_type(folder, config)
    named = ", ".join(architectures(config)) or str(config["model_type"])
    match kind_of(config):
        case Kind.GENERATOR:
            return
        case Kind.CLASSIFIER:
            advice = "is a classifier and generates no text: serve it with examples/classifier"
        case Kind.ENCODER if named.endswith(GENERATORS):
            advice = (
                "reads its text in both directions, because config.json does not set is_decoder to true, and "
                "generates noise: serve it as an embedder with examples/embedder, or take a decoder"
            )
        case Kind.ENCODER:
            advice = "is an encoder and generates no text: serve it with examples/embedder if it reads text"
        case Kind.ENCODER_DECODER:
            advice = "is an encoder-decoder, which no engine here serves: take a model that ends in ForCausalLM"
        case Kind.OTHER:
            advice = "is no model that generates text: take one whose architecture ends in ForCausalLM"
    raise WeightsError(f"{folder} ({named}) {advice}")


def architectures(config: dict[str, Any]) -> list[str]:
    """Return the names of the classes that saved the model; empty where the configuration names none."""
    named = config.get("architectures")
    return [str(name) for name in named] if isinstance(named, list) else []


def kind_of(config: dict[str, Any]) -> Kind:
    """Return what the model does; a base model without a head counts as what its family does."""
    names, family = architectures(config), str(config.get("model_type"))
    if any(name.endswith(CLASSIFIER) for name in names):
        return Kind.CLASSIFIER
    if any(name.endswith(GENERATORS) for name in names):
        return _with_head(config, family)
    if config.get("is_encoder_decoder") is True or family in ENCODER_DECODERS:
        return Kind.ENCODER_DECODER
    if family in ENCODERS:
        return Kind.ENCODER
    if not names or any(name.endswith(("Model", "ForConditionalGeneration")) for name in names):
        return Kind.GENERATOR  # a base model, or one that also reads images: its tensors decide
    return Kind.ENCODER if any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in names) else Kind.OTHER


def _with_head(config: dict[str, Any], family: str) -> Kind:
    """Return what a model with a head for text does: it reads in one direction only where its family is told so."""
    if family in BIDIRECTIONAL and config.get("is_decoder") is not True:
        return Kind.ENCODER
    if family == "xlm" and config.get("causal") is not True:
        return Kind.ENCODER
    # A decoder that attends to an encoder of sound or pictures.
    return Kind.ENCODER_DECODER if family in ("whisper", "trocr") else Kind.GENERATOR

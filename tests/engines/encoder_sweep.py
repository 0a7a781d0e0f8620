"""Tiny encoders of many architectures, for the sweep: their configurations, and what is expected of each.

    from tests.engines.encoder_sweep import CASES, Case, make_model

    make_model(case: Case, folder: Path, kind: Any = AutoModelForSequenceClassification) -> Any
        Writes a model with random weights, the rows of padding tokens included, and returns transformers' model.

The tokenizer is that of ``tests.encoders``: ``[PAD]`` is 0, ``[CLS]`` 1 and ``[SEP]`` 2, which ends every text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from pilotlight.engines.encoders.types import Padding
from scripts.train.train_classifier import save_tokenizer
from tests.encoders import LABELS, VOCAB, tokenizer

__all__ = ["CASES", "MAX_TOKENS", "Case", "make_model"]

MAX_TOKENS = 40
RIGHT, LEFT, NONE = Padding.RIGHT, Padding.LEFT, Padding.NONE
BERT: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT |= {"max_position_embeddings": MAX_TOKENS}
OFFSET = BERT | {"max_position_embeddings": MAX_TOKENS + 1}  # the padding token's id is 0, and positions begin at 1
DECODER = BERT | {"num_key_value_heads": 2, "head_dim": 8}
SEQ2SEQ: dict[str, Any] = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
SEQ2SEQ |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "decoder_start_token_id": 2}
SEQ2SEQ |= {"max_position_embeddings": MAX_TOKENS, "bos_token_id": 1}
T5 = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": MAX_TOKENS}
SQUEEZE: dict[str, Any] = dict.fromkeys((f"{part}_groups" for part in ("q", "k", "v", "intermediate", "output")), 2)
JOINED = "is an encoder-decoder"
NO_LIMIT = 512  # of models that limit nothing: the default


@dataclass(frozen=True, slots=True)
class Case:
    """An architecture.

    Attributes:
        name: of the case: the architecture, and what is special.
        model_type: as transformers names it.
        config: settings of its configuration.
        classify: how texts share a batch when it classifies; or a part of the message with which it is refused.
        embed: the same of its body when it embeds.
        max_tokens: of a text.
        short: the shortest text that transformers itself can compute.
    """

    name: str
    model_type: str
    config: dict[str, Any] = field(default_factory=lambda: BERT)
    classify: Padding | str = RIGHT
    embed: Padding | str = RIGHT
    max_tokens: int = MAX_TOKENS
    short: str = "x"


CASES = (
    Case("bert", "bert"),
    Case("albert", "albert", BERT | {"embedding_size": 16}),
    Case("big_bird", "big_bird", BERT | {"block_size": 4}),
    Case("camembert", "camembert", OFFSET),
    Case("convbert", "convbert", BERT | {"embedding_size": 32, "head_ratio": 2, "conv_kernel_size": 3}, NONE, NONE),
    Case("data2vec-text", "data2vec-text", OFFSET),
    Case("deberta", "deberta", BERT | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    Case(
        "deberta-v2",
        "deberta-v2",
        BERT
        | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 16}
        | {"conv_kernel_size": 3, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    ),
    Case(
        "distilbert",
        "distilbert",
        {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "max_position_embeddings": MAX_TOKENS},
    ),
    Case("electra", "electra", BERT | {"embedding_size": 32}),
    Case("ernie", "ernie"),
    Case("esm", "esm", OFFSET),
    Case("eurobert", "eurobert", BERT | {"num_key_value_heads": 2}),
    Case(
        "flaubert",
        "flaubert",
        {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": MAX_TOKENS, "pad_index": 0},
    ),
    Case("fnet", "fnet", BERT, NONE, NONE),
    Case(
        "funnel",
        "funnel",
        {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "num_decoder_layers": 1},
        RIGHT,
        "it lacks 20 tensors",  # a classifier has no decoder, which embedding needs
        NO_LIMIT,
    ),
    Case(
        "funnel of three blocks",
        "funnel",
        {"block_sizes": [1, 1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "num_decoder_layers": 1},
        NONE,
        "it lacks 20 tensors",
        NO_LIMIT,
        "x y z",
    ),
    Case("gemma", "gemma", DECODER),
    Case("gpt2", "gpt2", GPT2),
    Case("gpt2 without a padding token", "gpt2", GPT2 | {"pad_token_id": None}),
    Case("gpt_neox", "gpt_neox"),
    Case("gte", "gte"),
    Case("ibert", "ibert", OFFSET),
    Case("layoutlm", "layoutlm"),
    Case("llama", "llama", DECODER),
    Case("llama without a padding token", "llama", DECODER | {"pad_token_id": None}),
    Case("longformer", "longformer", OFFSET | {"attention_window": [8, 8]}),
    Case("megatron-bert", "megatron-bert"),
    Case("mobilebert", "mobilebert", BERT | {"embedding_size": 32, "intra_bottleneck_size": 32}, NONE, NONE),
    Case("modernbert", "modernbert", BERT | {"local_attention": 8, "global_attn_every_n_layers": 2}),
    Case("mpnet", "mpnet", BERT | {"max_position_embeddings": MAX_TOKENS + 2}),
    Case("nomic_bert", "nomic_bert"),
    Case("nystromformer", "nystromformer", BERT | {"num_landmarks": 8, "segment_means_seq_len": 8}, NONE, NONE),
    Case("opt", "opt", BERT | {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    Case("qwen2 without a padding token", "qwen2", DECODER | {"pad_token_id": None}),
    Case("qwen3", "qwen3", DECODER),
    Case("rembert", "rembert", BERT | {"input_embedding_size": 16, "output_embedding_size": 16}),
    Case("roberta", "roberta", OFFSET),
    Case("roberta-prelayernorm", "roberta-prelayernorm", OFFSET),
    Case("roformer", "roformer", BERT | {"embedding_size": 32}),
    Case(
        "squeezebert",
        "squeezebert",
        BERT | SQUEEZE | {"post_attention_groups": 1, "embedding_size": 32},
    ),
    Case("xlm-roberta", "xlm-roberta", OFFSET),
    Case("xlm-roberta-xl", "xlm-roberta-xl", OFFSET),
    Case("xlnet", "xlnet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}, LEFT, RIGHT, NO_LIMIT),
    Case("xmod", "xmod", OFFSET | {"languages": ["en"], "default_language": "en"}),
    Case("yoso", "yoso", BERT, NONE, NONE),
    Case("bart", "bart", SEQ2SEQ, RIGHT, JOINED),
    Case("mbart", "mbart", SEQ2SEQ, RIGHT, JOINED),
    Case("t5", "t5", T5, RIGHT, RIGHT, NO_LIMIT),
    Case("mt5", "mt5", T5, RIGHT, RIGHT, NO_LIMIT),
)


def make_model(case: Case, folder: Path, kind: Any = AutoModelForSequenceClassification) -> Any:
    """Make one; see the top of this file."""
    ids: dict[str, Any] = {"vocab_size": VOCAB, "pad_token_id": 0, "eos_token_id": 2}
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    config = AutoConfig.for_model(case.model_type, **{**ids, **names, **case.config})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = (kind.from_config(config) if hasattr(kind, "from_config") else kind(config)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.2)
                else:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer(), folder, max_tokens=10**30)
    return model

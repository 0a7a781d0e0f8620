"""How many tokens a model's table of positions holds, by its ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["DEFAULT_MAX_TOKENS", "NO_LIMIT", "position_limit"]

NO_LIMIT = 10**9  # a tokenizer without a limit has 1e30
DEFAULT_MAX_TOKENS = 512  # of a model that states none
# The names under which configurations state the number of positions.
SIZES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")
# Models that number positions from behind the padding token's id: with the id 1, two of 514 are never used.
OFFSET = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
USUAL_PADDING = 1  # of a configuration that states none; of mpnet whatever its configuration says
# Models whose attention knows distances only: a number of positions in their configuration limits nothing.
RELATIVE = frozenset({"bloom", "funnel", "mt5", "t5", "transfo-xl", "umt5", "xlnet"})


def position_limit(config: Mapping[str, Any]) -> int | None:
    """Return the tokens of the longest text that the positions allow; ``None`` where nothing limits it.

    Args:
        config: of the transformer, with the values of a nested ``text_config``.
    """
    kind = config.get("model_type")
    if kind in RELATIVE:
        return None
    size: int | None = next(
        (config[key] for key in SIZES if isinstance(config.get(key), int) and config[key] > 0), None
    )
    if size is None or kind not in OFFSET or (kind == "esm" and config.get("position_embedding_type") == "rotary"):
        return size
    stated = config.get("pad_token_id")
    padding = USUAL_PADDING if kind == "mpnet" or not isinstance(stated, int) else stated
    return max(1, size - padding - 1)

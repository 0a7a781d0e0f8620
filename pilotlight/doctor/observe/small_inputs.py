"""Inputs that make a prediction short and repeatable, recognized by their common names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["with_modest_work"]

# Of each line the first that a predictor has, and the number for it: enough work to be measured, little enough to be
# done dozens of times.
_MODEST = (
    (("seed",), 1),
    (("max_tokens", "max_new_tokens", "max_length"), 64),
    (("num_inference_steps", "inference_steps", "steps"), 8),
    (("num_outputs", "num_images"), 1),
)


def with_modest_work(inputs: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """``inputs``, and a number for those that say how much to do, unless one of the same meaning was given.

    Args:
        inputs: that a prediction takes.
        document: the project's OpenAPI document.
    """
    properties = document["components"]["schemas"]["Input"]["properties"]
    result = dict(inputs)
    for names, number in _MODEST:
        if any(name in inputs for name in names):
            continue
        name = next((name for name in names if properties.get(name, {}).get("type") == "integer"), None)
        if name is not None:
            schema = properties[name]
            result[name] = max(min(number, schema.get("maximum", number)), schema.get("minimum", 0))
    return result

"""Choose inputs that make a prediction short and repeatable, recognized by their common names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.runtime.predictor_schema import PredictorSchema, within_limits

__all__ = ["with_small_work"]

# Of each line, the first name that a predictor has gets the number: enough work to be measured, little enough to be
# repeated dozens of times.
_SMALL = (
    (("seed",), 1),
    (("max_tokens", "max_new_tokens", "max_length"), 64),
    (("num_inference_steps", "inference_steps", "steps"), 8),
    (("num_outputs", "num_images"), 1),
)


def with_small_work(inputs: Mapping[str, Any], schema: PredictorSchema) -> dict[str, Any]:
    """Return ``inputs`` with a small number for each input that sets the amount of work and was not given.

    An input is left out if another one of the same meaning was given.

    Args:
        inputs: the inputs that a prediction takes.
        schema: the schema of the predictor.
    """
    integers = {name for name, one in schema.inputs.items() if one.types == {"integer"}}
    result = dict(inputs)
    for names, number in _SMALL:
        if any(name in inputs for name in names):
            continue
        declared = next((schema.inputs[name] for name in names if name in integers), None)
        if declared is not None:
            result[declared.name] = within_limits(number, declared.schema)
    return result

"""Inputs for predictors of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.runtime.example_inputs import complete_inputs
from pilotlight.runtime.predictor_schema import PredictorSchema


def made_up(**given: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """From an OpenAPI document to ``given`` with placeholders for whatever else is required."""
    return lambda document: complete_inputs(PredictorSchema.of(document), given)

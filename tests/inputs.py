"""Inputs for predictors of any kind."""

from pilotlight.runtime.example_inputs import complete_inputs
from pilotlight.runtime.predictor_schema import PredictorSchema


def made_up(**given):
    """From an OpenAPI document to ``given`` with placeholders for whatever else is required."""
    return lambda document: complete_inputs(PredictorSchema.of(document), given)

"""Cannot be set up."""

import threading

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("looking for the weights")
        threading.Event().wait(0.2)  # coglet loses what is printed just before the failure
        raise FileNotFoundError("weights/model.safetensors is not there")

    def predict(self, prompt: str) -> str:
        return prompt

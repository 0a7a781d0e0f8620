"""``transformers.pipeline`` in setup, a call of it in predict: one request at a time, the whole text at its end."""

import os

from cog import BasePredictor, Input
from transformers import pipeline


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.generate = pipeline("text-generation", model=os.environ["PILOTLIGHT_MODEL"])

    def predict(
        self,
        prompt: str = Input(description="Text to go on from"),
        max_tokens: int = Input(description="Output tokens at most", default=512, ge=1),
        min_tokens: int = Input(description="Output tokens at least", default=0, ge=0),
    ) -> str:
        lengths = {"max_new_tokens": max_tokens, "min_new_tokens": min_tokens}
        return self.generate(prompt, return_full_text=False, **lengths)[0]["generated_text"]

"""Tells nothing about itself."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        return len(text.split())

"""Reads its weights for each prediction."""

from cog import BasePredictor, Input
from vocabulary import read_vocabulary


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        count = len(text.split()) + 0 * len(read_vocabulary())
        self.record_metric("word_count", count)
        return count

"""Long predictions, one after the other."""

import time

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        time.sleep(0.25)
        count = len(text.split())
        self.record_metric("word_count", count)
        return count

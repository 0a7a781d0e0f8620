"""Takes its time to start: the test gives it a budget of 1 s."""

import time

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        time.sleep(1.5)

    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        count = len(text.split())
        self.record_metric("word_count", count)
        return count

"""The first prediction pays for what happens only once."""

import time

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.compiled = False

    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        if not self.compiled:
            time.sleep(2)
            self.compiled = True
        count = len(text.split())
        self.record_metric("word_count", count)
        return count

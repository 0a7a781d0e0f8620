"""Loads in the background: Cog says READY as soon as setup() returns."""

import threading
import time

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.loaded = False
        threading.Thread(target=self.load, daemon=True).start()

    def load(self) -> None:
        time.sleep(1.5)
        self.loaded = True

    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        if not self.loaded:
            raise RuntimeError("the model is not loaded yet")
        count = len(text.split())
        self.record_metric("word_count", count)
        return count

"""Streams words, counts two tokens for each, and says so."""

import time
from collections.abc import Iterator

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self, words: int = 5, pause_s: float = 0.01) -> Iterator[str]:
        for number in range(words):
            time.sleep(pause_s)
            yield f"word{number} "
        current_scope().record_metric("output_token_count", 2 * words)

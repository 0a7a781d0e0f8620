"""Four slots and an async predict, which blocks."""

import time

from cog import BasePredictor, Input, concurrent, current_scope


class Predictor(BasePredictor):
    @concurrent(max=4)
    async def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        time.sleep(0.25)  # noqa: ASYNC251 - the mistake
        count = len(text.split())
        current_scope().record_metric("word_count", count)
        return count

"""Eight slots that wait for one lock."""

import asyncio

from cog import BasePredictor, Input, concurrent, current_scope


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.device = asyncio.Lock()

    @concurrent(max=8)
    async def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        async with self.device:
            await asyncio.sleep(0.25)
        count = len(text.split())
        current_scope().record_metric("word_count", count)
        return count

"""Nothing is wrong with this one either: it waits without blocking, and its slots bring what they promise."""

import asyncio

from cog import BasePredictor, Input, concurrent, current_scope


class Predictor(BasePredictor):
    @concurrent(max=8)
    async def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        await asyncio.sleep(0.2)
        count = len(text.split())
        current_scope().record_metric("word_count", count)
        return count

    async def healthcheck(self) -> bool:
        return asyncio.get_running_loop().is_running()

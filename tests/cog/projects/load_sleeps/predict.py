"""Takes a known time, for eight predictions at once; ``fails`` makes it fail after that."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        pass

    async def predict(self, seconds: float = 0.1, fails: bool = False) -> str:
        await asyncio.sleep(seconds)
        if fails:
            raise ValueError("asked to fail")
        return "slept"

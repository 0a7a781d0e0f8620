"""Does next to nothing, for many at once: what is measured of it is the server, or the generator."""

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        pass

    async def predict(self, number: int = 1) -> int:
        return number

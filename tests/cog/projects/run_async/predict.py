"""Holds four predictions at once; each waits until as many as it asks for are in."""

import asyncio

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    async def setup(self) -> None:
        self.present = 0
        self.most = 0
        self.changed = asyncio.Condition()

    async def predict(self, wait_for: int = Input(default=1, ge=1, le=5)) -> int:
        async with self.changed:
            self.present += 1
            self.most = max(self.most, self.present)
            self.changed.notify_all()
            try:
                await self.changed.wait_for(lambda: self.most >= wait_for)
            finally:
                self.present -= 1
        return self.most

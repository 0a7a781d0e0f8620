"""A setup that takes more and more memory, half a gigabyte at most, and then waits for ever."""

import threading

from cog import BasePredictor

_BLOCK_BYTES = 16 << 20
_BLOCKS = 32


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("loading everything at once", flush=True)
        self.kept = [b"x" * _BLOCK_BYTES for _ in range(_BLOCKS)]
        threading.Event().wait()

    def predict(self) -> str:
        return "never"

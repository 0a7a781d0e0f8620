"""Sleeps for planted times: ``SETUP_MS`` in setup, then what ``LEVELS`` says.

``LEVELS=40x30,20x10`` makes 40 predictions of 30 ms, then 20 of 10 ms, and so on from the start. After ``FAIL_AFTER``
predictions all fail.
"""

import itertools
import os
import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        time.sleep(float(os.environ.get("SETUP_MS", "0")) / 1000)
        levels = [level.split("x") for level in os.environ.get("LEVELS", "1x10").split(",")]
        self.times_ms = itertools.cycle([float(time_ms) for count, time_ms in levels for _ in range(int(count))])
        self.left = int(os.environ.get("FAIL_AFTER", "1000000"))

    def predict(self, word: str = "a") -> str:
        self.left -= 1
        if self.left < 0:
            print("the well is dry")
            raise RuntimeError("nothing left")
        time.sleep(next(self.times_ms) / 1000)
        return word

"""Sleeps for planted times: 0.3 s in an import, 0.2 s in its own file, 0.6 s in setup, 0.4 s in the first prediction.

With ``SLEEPS_STAMPED`` setup says what it does: 0.4 s of weights, then 0.3 s of warm-up, which begins 0.1 s earlier.
"""

import os
import threading
import time

import slow_module
from cog import BasePredictor

time.sleep(0.2)


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.first = True
        if "SLEEPS_STAMPED" in os.environ:
            self.stamped()
        else:
            time.sleep(0.6)

    def predict(self, word: str, times: int = 2) -> str:
        if self.first:
            time.sleep(0.4)
        self.first = False
        return word * times * slow_module.FACTOR

    def stamped(self) -> None:
        from pilotlight import tracing

        loaded, warming = threading.Event(), threading.Event()

        def load() -> None:
            with tracing.stage("weights"):
                time.sleep(0.3)
                loaded.set()
                warming.wait()
                time.sleep(0.1)

        thread = threading.Thread(target=load)
        thread.start()
        loaded.wait()
        with tracing.stage("warmup"):
            warming.set()
            time.sleep(0.3)
            thread.join()

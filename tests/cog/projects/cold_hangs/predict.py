"""A setup that says what it waits for, and never ends."""

import threading

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("waiting for a license server", flush=True)
        threading.Event().wait()

    def predict(self) -> str:
        return "never"

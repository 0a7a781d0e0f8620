"""A setup that prints as fast as it can, as compiled code does, and never ends.

It prints lines, or without ``PRINTS_LINES`` one line without an end.
"""

import os

from cog import BasePredictor

_TEXT = b"looking for the weights " * 4


class Predictor(BasePredictor):
    def setup(self) -> None:
        block = (_TEXT + (b"\n" if "PRINTS_LINES" in os.environ else b"")) * 600
        while True:
            os.write(1, block)

    def predict(self) -> str:
        return "never"

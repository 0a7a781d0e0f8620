"""Yields one object after the other."""

from collections.abc import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, numbers: list[int], label: str = "n") -> Iterator[dict]:
        for number in numbers:
            yield {label: number}

"""Takes any number for an index."""

from cog import BasePredictor, Input

MONTHS = ("January", "February", "March")


class Predictor(BasePredictor):
    def predict(self, month: int = Input(description="Which month, the first is 1", default=1)) -> str:
        self.record_metric("month", month)
        return MONTHS[month - 1]

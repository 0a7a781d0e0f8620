"""Nothing is wrong with this one."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.marks = ".,;:!?"

    def predict(self, text: str = Input(description="Text whose words to count", max_length=10000)) -> int:
        count = len(text.strip(self.marks).split())
        self.record_metric("word_count", count)
        return count

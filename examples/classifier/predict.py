"""The text classifier that Cog serves: the typed inputs; the rest is in ``pilotlight.adapters.encoder``."""

import logging
from pathlib import Path

from cog import BaseModel, BasePredictor, Input, concurrent
from coglet import _sdk

from pilotlight.adapters.encoder import ClassifyPredictor


class Score(BaseModel):
    label: str
    score: float


class Classified(BaseModel):
    """One text's labels."""

    label: str
    score: float
    scores: list[Score]
    tokens: int
    truncated: bool


class Classifier(BasePredictor):
    """Labels texts with the model in ``weights/``, or the one that ``PILOTLIGHT_MODEL`` names."""

    def setup(self) -> None:
        """Load the model, measure what a batch costs, and make one prediction."""
        logging.basicConfig(format="%(message)s")
        logging.getLogger("pilotlight").setLevel(logging.INFO)
        self.classifier = ClassifyPredictor.from_environment(Path(__file__).parent)

    @concurrent(max=32)
    async def predict(
        self,
        text: str = Input(description="Text to label; required unless texts is given", default=""),
        texts: str = Input(
            description='Instead of text, as JSON: ["...", "..."], or pairs [["...", "..."], ...]; answered in order',
            default="",
        ),
        text_pair: str = Input(
            description="Second text of a pair with text, for a model that compares two, such as a reranker", default=""
        ),
        top_k: int = Input(description="Labels to give the scores of, the likeliest first", default=5, ge=1),
        truncate: bool = Input(
            description="Cut off what is too long for the model, and say so; otherwise it is refused", default=True
        ),
    ) -> list[Classified]:
        """Say which labels the texts have, one answer for each."""
        found = await self.classifier.classify(
            text, texts, top_k=top_k, truncate=truncate, text_pair=text_pair, scope=_sdk.current_scope()
        )
        return [
            Classified(
                label=one.labels[0][0],
                score=one.labels[0][1],
                scores=[Score(label=label, score=score) for label, score in one.labels],
                tokens=one.tokens,
                truncated=one.truncated,
            )
            for one in found
        ]

    def healthcheck(self) -> bool:
        """Whether the engine can still answer."""
        return self.classifier.healthy()

"""The text embedder that Cog serves: the typed inputs; the rest is in ``pilotlight.adapters.encoder``."""

import logging
from pathlib import Path

from cog import BaseModel, BasePredictor, Input, concurrent
from coglet import _sdk

from pilotlight.adapters.encoder import EmbedPredictor


class Embedded(BaseModel):
    """One text's vector."""

    vector: list[float]
    tokens: int
    truncated: bool


class Embedder(BasePredictor):
    """Embeds texts with the model in ``weights/``, or the one that ``PILOTLIGHT_MODEL`` names."""

    def setup(self) -> None:
        """Load the model, measure what a batch costs, and make one prediction."""
        logging.basicConfig(format="%(message)s")
        logging.getLogger("pilotlight").setLevel(logging.INFO)
        self.embedder = EmbedPredictor.from_environment(Path(__file__).parent)

    @concurrent(max=32)
    async def predict(
        self,
        text: str = Input(description="Text to embed; required unless texts is given", default=""),
        texts: str = Input(
            description='Several texts instead of one, as JSON: ["...", "..."]; the answers come in their order',
            default="",
        ),
        normalize: bool = Input(
            description="Give vectors of length 1, whose dot product is the cosine of their angle", default=True
        ),
        prompt_name: str = Input(
            description="Which of the model's prompts precedes each text, such as query; empty for its default",
            default="",
        ),
        truncate: bool = Input(
            description="Cut off what is too long for the model, and say so; otherwise it is refused", default=True
        ),
    ) -> list[Embedded]:
        """Turn the texts into vectors, one for each."""
        found = await self.embedder.embed(
            text,
            texts,
            normalize=normalize,
            truncate=truncate,
            prompt_name=prompt_name,
            scope=_sdk.current_scope(),
        )
        return [Embedded(vector=list(one.vector), tokens=one.tokens, truncated=one.truncated) for one in found]

    def healthcheck(self) -> bool:
        """Whether the engine can still answer."""
        return self.embedder.healthy()

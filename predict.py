"""The predictor that Cog serves: the typed inputs; the rest is in ``pilotlight.adapters.text``."""

import logging
from pathlib import Path

from cog import BasePredictor, ConcatenateIterator, Input, concurrent, streaming
from coglet import CancelationException, _sdk

from pilotlight.adapters import coglet
from pilotlight.adapters.text import TextPredictor
from pilotlight.adapters.text_inputs import TextInputs
from pilotlight.loading.start.start_files import read_ahead

read_ahead(Path(__file__).parent)
coglet.install()


class Predictor(BasePredictor):
    """Completes text with the model in ``weights/``, or the one that ``PILOTLIGHT_MODEL`` names."""

    def setup(self) -> None:
        """Load the model and make one prediction, so that the first caller does not wait for it."""
        logging.basicConfig(format="%(message)s")
        logging.getLogger("pilotlight").setLevel(logging.INFO)
        self.text = TextPredictor.from_environment(Path(__file__).parent)

    # Cog's build tool reads this signature without running it: every text is one literal, without escapes.
    # An async function that returns a generator: coglet then streams many at once (see pilotlight/adapters/coglet.py).
    @streaming
    @concurrent(max=32)
    async def predict(
        self,
        prompt: str = Input(description="Text to continue; required unless messages is given", default=""),
        system_prompt: str | None = Input(
            description="Instructions before the conversation; for models with a chat template", default=None
        ),
        messages: str | None = Input(
            description='A conversation instead of a prompt, as JSON: [{"role": "user", "content": "..."}, ...]',
            default=None,
        ),
        prompt_template: str | None = Input(
            description="Text around {prompt}, may hold {system_prompt}; default: the model's chat template, if any",
            default=None,
        ),
        max_tokens: int = Input(description="Output tokens at most", default=512, ge=1, le=1000000),
        max_new_tokens: int | None = Input(
            description="Older name of max_tokens; wins where given", default=None, ge=1, le=1000000, deprecated=True
        ),
        min_tokens: int = Input(description="Output tokens at least", default=0, ge=0, le=1000000),
        temperature: float = Input(
            description="Randomness: 0 always takes the likeliest token, higher varies more", default=0.7, ge=0, le=5
        ),
        top_p: float = Input(
            description="Sample from the likeliest tokens that have this share of the probability together",
            default=0.95,
            ge=0,
            le=1,
        ),
        top_k: int = Input(description="Sample from this many likeliest tokens; 0 for all", default=50, ge=0),
        repetition_penalty: float | None = Input(
            description="Above 1: tokens of the prompt and the output become less likely; default: the model's, or 1",
            default=None,
            ge=0.01,
            le=10,
        ),
        presence_penalty: float = Input(
            description="Taken off once from the score of every token in the output", default=0.0, ge=-2, le=2
        ),
        frequency_penalty: float = Input(
            description="Taken off for every time that a token is in the output", default=0.0, ge=-2, le=2
        ),
        stop_sequences: str = Input(
            description="Comma-separated, or a JSON list; the output ends before the first of them", default=""
        ),
        seed: int | None = Input(
            description="The same seed gives the same text; the one used is in the metrics", default=None, ge=0
        ),
    ) -> ConcatenateIterator[str]:
        """Stream the completion."""
        inputs = TextInputs(
            prompt=prompt,
            system_prompt=system_prompt,
            messages=messages,
            prompt_template=prompt_template,
            max_tokens=max_tokens,
            max_new_tokens=max_new_tokens,
            min_tokens=min_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            repetition_penalty=repetition_penalty,
            presence_penalty=presence_penalty,
            frequency_penalty=frequency_penalty,
            stop_sequences=stop_sequences,
            seed=seed,
        )
        return self.text.stream(
            inputs, scope=_sdk.current_scope(), signal=coglet.current_signal(), canceled=CancelationException
        )

    def healthcheck(self) -> bool:
        """Whether the engine can still answer."""
        return self.text.healthy()

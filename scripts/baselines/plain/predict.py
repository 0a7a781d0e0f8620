"""``from_pretrained`` in setup, ``generate`` in predict: one request at a time, streamed as transformers does it."""

import os
from threading import Thread

from cog import BasePredictor, ConcatenateIterator, Input
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer


class Predictor(BasePredictor):
    def setup(self) -> None:
        folder = os.environ["PILOTLIGHT_MODEL"]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder)

    def predict(
        self,
        prompt: str = Input(description="Text to go on from"),
        max_tokens: int = Input(description="Output tokens at most", default=512, ge=1),
        min_tokens: int = Input(description="Output tokens at least", default=0, ge=0),
    ) -> ConcatenateIterator[str]:
        inputs = self.tokenizer(prompt, return_tensors="pt")
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True)
        lengths = {"max_new_tokens": max_tokens, "min_new_tokens": min_tokens}
        Thread(target=self.model.generate, kwargs={**inputs, **lengths, "streamer": streamer}).start()
        yield from streamer

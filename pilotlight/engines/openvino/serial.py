"""The openvino engine, one request at a time: its first stage, and the fallback for requests that are not batched."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.engines.openvino.runtime import Runtime
from pilotlight.engines.openvino.sampler import GenAISampler, twister
from pilotlight.engines.openvino.sampling_config import rules_of
from pilotlight.engines.openvino.stateful import PIECE_TOKENS, StatefulModel
from pilotlight.engines.text.embedded import require_embedded
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.model_config import ModelFacts
from pilotlight.engines.text.sampling import SamplingState
from pilotlight.engines.text.serial import SerialBackend

__all__ = ["OpenVINOSerialBackend"]


class OpenVINOSerialBackend(SerialBackend):
    """A compiled model that serves one request after the other.

    Args:
        runtime: the modules.
        open_model: called on the thread when the first request comes; the model is released when the thread ends. If it
            fails, that request fails, and it is called again for the next one.
        facts: of the model.
        context_tokens: prompt and output together, at most.
        cache_bytes: of the model.
    """

    def __init__(
        self,
        runtime: Runtime,
        open_model: Callable[[], StatefulModel],
        facts: ModelFacts,
        *,
        context_tokens: int,
        cache_bytes: int,
    ) -> None:
        super().__init__("pilotlight-serial")
        self.context_tokens = context_tokens
        self.cache_bytes = cache_bytes
        self._runtime = runtime
        self._facts = facts
        self._open_model: Callable[[], StatefulModel] | None = open_model
        self._model: StatefulModel | None = None
        self.start()

    def check(self, generation: Generation) -> None:
        require_embedded(generation, self._facts.vocab_size)

    def generate(self, generation: Generation) -> None:
        model = self._opened()
        eos_ids, prompt_ids = generation.eos_ids, generation.prompt_ids
        rules = rules_of(
            generation.request.sampling,
            max_tokens=generation.max_tokens,
            eos_ids=eos_ids,
            vocab_size=self._facts.vocab_size,
        )
        stream = twister(rules.seed)
        sampler = GenAISampler(rules, SamplingState(generation.request.sampling, prompt_ids, eos_ids, stream))
        model.begin()
        for start in range(0, len(prompt_ids), PIECE_TOKENS):
            if generation.ended:
                return
            scores = model.scores(prompt_ids[start : start + PIECE_TOKENS])
        while not generation.ended:
            token = sampler.choose(scores)
            if not generation.push(token):
                scores = model.scores([token])

    def finish(self) -> None:
        self._open_model = self._model = None  # the memory is for the stage that follows

    def _opened(self) -> StatefulModel:
        if self._model is None:
            assert self._open_model is not None, "a request after the last one: this is a bug"
            self._model = self._open_model()
        return self._model

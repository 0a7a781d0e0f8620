"""One request at a time with transformers' ``generate``, for models that continuous batching does not support."""

from __future__ import annotations

import torch

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.serial import SerialBackend
from pilotlight.engines.torch.lean_transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.sampling import TorchSamplingState, choose

__all__ = ["TorchSerialBackend"]


class TorchSerialBackend(SerialBackend):
    """``generate`` with our sampling, a streamer that pushes tokens, and a stop when the generation has ended.

    Args:
        loaded: the model.
    """

    cache_bytes = 0

    def __init__(self, loaded: Loaded) -> None:
        super().__init__("pilotlight-serial")
        self._loaded = loaded
        self.context_tokens = loaded.context_tokens
        self.start()

    @torch.inference_mode()
    def generate(self, generation: Generation) -> None:
        model = self._loaded.model
        state = TorchSamplingState(generation.request.sampling, generation.prompt_ids, generation.eos_ids)
        ids = torch.tensor([generation.prompt_ids], device=model.device)
        eos_ids = list(generation.eos_ids)
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=generation.max_tokens,
                eos_token_id=eos_ids or None,
                pad_token_id=eos_ids[0] if eos_ids else 0,
            ),
            logits_processor=LogitsProcessorList([_SerialChoice(state)]),
            stopping_criteria=StoppingCriteriaList([lambda ids, _: torch.full((len(ids),), generation.ended)]),
            streamer=_Streamer(generation),
        )


class _SerialChoice:
    """Our sampling as a logits processor of ``generate``."""

    def __init__(self, state: TorchSamplingState) -> None:
        self._state = state

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return choose(scores.float(), [self._state])


class _Streamer:
    """Pushes the tokens that ``generate`` streams; its first call brings the prompt."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self._generation.push(int(value.flatten()[-1]))

    def end(self) -> None:
        """Do nothing: the last token has ended the generation."""

"""One request at a time with transformers' ``generate``, for models that continuous batching does not support."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from pilotlight.engines.memory.reservation import Reservation
from pilotlight.engines.text.embedded import require_embedded
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.serial import SerialBackend
from pilotlight.engines.torch.lean_transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.sampling import TorchSamplingState, choose

__all__ = ["TorchSerialBackend", "run_generate"]


class TorchSerialBackend(SerialBackend):
    """``generate`` with our sampling, a streamer that pushes tokens, and a stop when the generation has ended.

    Args:
        loaded: the model.
        threads: that compute, on a CPU.
        reservation: of the memory of one request.
    """

    def __init__(self, loaded: Loaded, threads: int, reservation: Reservation) -> None:
        super().__init__("pilotlight-serial")
        self._loaded = loaded
        self._threads = threads
        self._reservation = reservation
        self.context_tokens = reservation.plan.context_tokens
        self.cache_bytes = reservation.plan.cache_bytes
        self.start()

    def close(self) -> None:
        super().close()
        self._reservation.release()

    def prepare(self) -> None:
        torch.set_num_threads(self._threads)  # a new thread begins with what was set last, on whichever thread
        device = self._loaded.model.device
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)

    def check(self, generation: Generation) -> None:
        require_embedded(generation, self._loaded.vocab_size)

    @torch.inference_mode()
    def generate(self, generation: Generation) -> None:
        state = TorchSamplingState(generation.request.sampling, generation.prompt_ids, generation.eos_ids)
        run_generate(
            self._loaded.model,
            generation.prompt_ids,
            lambda scores: choose(scores.float(), [state]),
            max_tokens=generation.max_tokens,
            eos_ids=generation.eos_ids,
            ended=lambda: generation.ended,
            push=generation.push,
        )


def run_generate(
    model: Any,
    prompt_ids: Sequence[int],
    choose: Callable[[torch.Tensor], torch.Tensor],
    *,
    max_tokens: int,
    eos_ids: Collection[int] = (),
    ended: Callable[[], bool] = lambda: False,
    push: Callable[[int], object] = lambda token: None,
) -> None:
    """Continue a prompt with transformers' ``generate``, which brings the right cache or state for any model.

    Of the model's generation config nothing applies: its penalties, beams and suppressed tokens would come on top of
    ``choose``.

    Args:
        model: a causal language model.
        prompt_ids: the tokens to continue, at least one.
        choose: makes the arg-max of the row, shape (1, vocab_size), the next token.
        max_tokens: new tokens, at most.
        eos_ids: tokens that end the text.
        ended: whether to stop after the present token.
        push: called with each new token.
    """
    ids = torch.tensor([list(prompt_ids)], device=model.device)
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=max_tokens,
                eos_token_id=list(eos_ids) or None,
                pad_token_id=min(eos_ids, default=0),
            ),
            logits_processor=LogitsProcessorList([lambda ids, scores: choose(scores)]),
            stopping_criteria=StoppingCriteriaList([lambda ids, scores: torch.full((len(ids),), ended())]),
            streamer=_Streamer(push),
        )
    finally:
        model.generation_config = own


class _Streamer:
    """Passes on the tokens that ``generate`` streams; its first call brings the prompt."""

    def __init__(self, push: Callable[[int], object]) -> None:
        self._push = push
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self._push(int(value.flatten()[-1]))

    def end(self) -> None:
        """Do nothing: the last token has ended the generation."""

"""One request after the other, for the models that continuous batching cannot take: ``generate`` with a streamer."""

from __future__ import annotations

import queue
import threading

import torch

from pilotlight.engines.text.generation import Generation
from pilotlight.engines.torch.lean_transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.sampling import Row, choose

__all__ = ["SerialBackend"]


class SerialBackend:
    """One request after the other, each through ``generate``; the rest wait in order."""

    slots = 1
    cache_bytes = 0

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.context_tokens = loaded.context_tokens
        self._waiting: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pilotlight-serial", daemon=True)
        self._thread.start()

    def add(self, generation: Generation) -> None:
        self._waiting.put(generation)

    def cancel(self, generation: Generation) -> None:
        """Nothing to do: an ended generation is skipped in the queue and stops ``generate`` after its next token."""

    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while (generation := self._waiting.get()) is not None:
            if not generation.ended:
                try:
                    self._generate(generation)
                except Exception as error:  # noqa: BLE001 - the caller gets it, and the next request its turn
                    generation.fail(error)

    @torch.inference_mode()
    def _generate(self, generation: Generation) -> None:
        model = self._loaded.model
        row = Row(generation.request.sampling, generation.prompt_ids, generation.eos_ids)
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
            logits_processor=LogitsProcessorList([_SerialChoice(row)]),
            stopping_criteria=StoppingCriteriaList([lambda ids, _: torch.full((len(ids),), generation.ended)]),
            streamer=_Streamer(generation),
        )


class _SerialChoice:
    """The same sampling for ``generate``."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return choose(scores.float(), [self._row])


class _Streamer:
    """Takes tokens from ``generate``; the first call brings the prompt."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self._generation.push(int(value.flatten()[-1]))

    def end(self) -> None:
        """The last token has ended the generation already."""

"""The openvino engine, one request at a time: its first stage, and later whatever cannot be batched."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from pilotlight.engines.openvino.runtime import Runtime
from pilotlight.engines.openvino.sampler import Sampler
from pilotlight.engines.openvino.sampling_config import require_embedded, rules_of
from pilotlight.engines.openvino.stateful import PIECE_TOKENS, StatefulModel
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.model_config import ModelFacts
from pilotlight.errors import EngineStoppedError

__all__ = ["OpenVINOSerial"]


class OpenVINOSerial:
    """A ``FirstStage`` over a compiled model, the others in order behind the one that runs.

    Args:
        runtime: the modules.
        open_model: called on this stage's thread when the first request comes; the model is let go of when the stage
            ends. Should it fail, it is called again for the next one.
        facts: of the model.
        context_tokens: prompt and output together, at most.
        cache_bytes: what the model takes.
    """

    slots = 1

    def __init__(
        self,
        runtime: Runtime,
        open_model: Callable[[], StatefulModel],
        facts: ModelFacts,
        *,
        context_tokens: int,
        cache_bytes: int,
    ) -> None:
        self.context_tokens = context_tokens
        self.cache_bytes = cache_bytes
        self._runtime = runtime
        self._facts = facts
        self._waiting: deque[Generation] = deque()
        self._changed = threading.Condition()
        self._leaving = False
        self._closed = False
        self._settled = False
        self._thread = threading.Thread(target=self._run, args=(open_model,), name="pilotlight-serial", daemon=True)
        self._thread.start()

    def add(self, generation: Generation) -> None:
        require_embedded(generation, self._facts.vocab_size)
        with self._changed:
            if self._leaving:
                raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")
            self._waiting.append(generation)
            self._settled = self._settled or len(self._waiting) > 1
            self._changed.notify_all()

    def cancel(self, generation: Generation) -> None:
        """Nothing to do: the thread looks at the generation after every token."""

    def alive(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def wait_settled(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._settled or self._leaving)

    def hand_over(self) -> list[Generation]:
        with self._changed:
            self._leaving = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        return waiting

    def wait_ended(self) -> None:
        self._thread.join()

    def close(self) -> None:
        self._closed = True
        for generation in self.hand_over():
            generation.stop()
        self._thread.join()

    # The thread's side

    def _run(self, open_model: Callable[[], StatefulModel]) -> None:
        model: StatefulModel | None = None
        while (generation := self._next()) is not None:
            try:
                model = model or open_model()
                self._generate(model, generation)
            except Exception as error:  # noqa: BLE001 - the runtime failed under this request, which is told
                generation.fail(error)
            with self._changed:
                self._settled = True
                self._changed.notify_all()

    def _next(self) -> Generation | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._leaving)
            return self._waiting.popleft() if self._waiting else None

    def _generate(self, model: StatefulModel, generation: Generation) -> None:
        eos_ids, prompt_ids = generation.eos_ids, generation.prompt_ids
        rules = rules_of(
            generation.request.sampling,
            max_tokens=generation.max_tokens,
            eos_ids=eos_ids,
            vocab_size=self._facts.vocab_size,
        )
        sampler = Sampler(self._runtime.numpy, rules, prompt_ids, eos_ids)
        model.begin()
        for start in range(0, len(prompt_ids), PIECE_TOKENS):
            if self._over(generation):
                return
            scores = model.scores(prompt_ids[start : start + PIECE_TOKENS])
        while not self._over(generation):
            token = sampler.choose(scores)
            if not generation.push(token):
                scores = model.scores([token])

    def _over(self, generation: Generation) -> bool:
        if self._closed:
            generation.stop()
        return generation.ended

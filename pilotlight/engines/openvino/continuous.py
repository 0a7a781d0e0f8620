"""OpenVINO GenAI's continuous batching: all requests advance together, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilotlight.engines.memory.admission import Admission
from pilotlight.engines.openvino.cache_plan import OpenVINOCachePlan
from pilotlight.engines.openvino.pipeline import add_request, open_pipeline
from pilotlight.engines.openvino.runtime import Runtime
from pilotlight.engines.openvino.sampling_config import generation_config, rules_of
from pilotlight.engines.text.embedded import require_embedded
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.model_config import ModelFacts
from pilotlight.engines.text.threaded import ThreadedBackend
from pilotlight.engines.text.types import Sampling
from pilotlight.errors import EngineError, WeightsError
from pilotlight.tracing import stage

__all__ = ["OpenVINOBackend"]


class OpenVINOBackend(ThreadedBackend):
    """A pipeline and the thread that runs it, for requests that do not need the fallback (``needs_fallback``).

    Args:
        runtime: the modules.
        artifact: the folder with ``openvino_model.xml``.
        precision: of the artifact.
        facts: of the model.
        plan: of the cache.

    Raises:
        WeightsError: the runtime cannot load it.
    """

    def __init__(
        self, runtime: Runtime, artifact: Path, *, precision: str, facts: ModelFacts, plan: OpenVINOCachePlan
    ) -> None:
        super().__init__("pilotlight-openvino", waits_for_readers=True)
        self._runtime = runtime
        self._vocab_size = facts.vocab_size
        self._admission = Admission(plan.layout, plan.blocks, plan.slots)
        self.slots = plan.slots
        self.context_tokens = plan.context_tokens
        with stage("compile"):
            self._pipeline = open_pipeline(runtime, artifact, precision=precision, blocks=plan.blocks, slots=plan.slots)
        with stage("device"):
            self.cache_bytes = self._first_step()
        self._next_id = 1
        self._running: dict[int, tuple[Generation, Any]] = {}  # only the thread uses it
        self.start()

    def check(self, generation: Generation) -> None:
        require_embedded(generation, self._vocab_size)

    def _first_step(self) -> int:
        """Compute one token, so that an error shows in set-up; return the size of the cache in bytes."""
        handle = self._request(0, [0], Sampling(temperature=0), max_tokens=1, eos_ids=())
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        if not handle.can_read():
            raise WeightsError("the model gives no token: this is a bug, or the artifact is damaged; export it again")
        size_bytes: int = self._pipeline.get_metrics().cache_size_in_bytes
        return size_bytes

    def _request(
        self, number: int, ids: list[int], sampling: Sampling, *, max_tokens: int, eos_ids: Sequence[int]
    ) -> Any:
        assert not sampling.penalizes_output, "the pipeline gets penalties wrong: this is a bug, they have a fallback"
        rules = rules_of(sampling, max_tokens=max_tokens, eos_ids=eos_ids, vocab_size=self._vocab_size)
        config = generation_config(self._runtime.genai, rules, max_tokens=max_tokens, eos_ids=eos_ids)
        return add_request(self._runtime, self._pipeline, number, ids, config)

    def busy(self) -> bool:
        return bool(self._pipeline.has_non_finished_requests())

    def advance(self) -> None:
        for generation in self.take_admitted(self._admission):
            self._start(generation)
        cancelled = self._cancel_ended()
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # frees the blocks of cancelled requests, which count until then
        for number in cancelled:
            del self._running[number]
        for number in list(self._running):
            self._deliver(number)

    def running(self) -> list[Generation]:
        return [generation for generation, _ in self._running.values()]

    def finish(self) -> None:
        """Let the pipeline free the blocks of cancelled requests: it warns about blocks that are missing at its end."""
        for _, handle in self._running.values():
            handle.cancel()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def _start(self, generation: Generation) -> None:
        try:
            handle = self._request(
                self._next_id,
                generation.prompt_ids,
                generation.request.sampling,
                max_tokens=generation.max_tokens,
                eos_ids=sorted(generation.eos_ids),
            )
        except RuntimeError as error:  # the pipeline refuses this request only
            generation.fail(error)
            return
        self._running[self._next_id] = (generation, handle)
        self._next_id += 1

    def _cancel_ended(self) -> list[int]:
        """Cancel the requests that have ended since the last step, and return their numbers."""
        ended = [number for number, (generation, _) in self._running.items() if generation.ended]
        for number in ended:
            self._running[number][1].cancel()
        return ended

    def _deliver(self, number: int) -> None:
        """Push a request's new tokens, and drop it when it has ended."""
        generation, handle = self._running[number]
        try:
            while not generation.ended and handle.can_read():
                for output in handle.read().values():
                    for token in output.generated_ids:
                        generation.push(token)
        except Exception as error:  # noqa: BLE001 - an error in one request's text must not fail the others
            generation.fail(error)
        running = handle.get_status() == self._runtime.genai.GenerationStatus.RUNNING
        if not generation.ended and not running:
            generation.fail(EngineError(f"the runtime ended this request: {handle.get_status().name.lower()}"))
        if generation.ended and not running:
            del self._running[number]

"""transformers' continuous batching with our thread and our sampling: all requests advance together, token by token.

It brings paged attention, prefix sharing, and requests that join and leave between tokens.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pilotlight.engines.memory.admission import Admission
from pilotlight.engines.memory.untouched import untouched
from pilotlight.engines.text.embedded import require_embedded
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.text.threaded import ThreadedBackend
from pilotlight.engines.torch.cache_plan import planned_cache
from pilotlight.engines.torch.continuous_hooks import Router, processor_list
from pilotlight.engines.torch.lean_transformers import (
    GenerationConfig,
    infer_max_single_request_tokens,
)
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.sampling import TorchSamplingState, choose
from pilotlight.errors import EngineError
from pilotlight.tracing import stage

__all__ = ["TorchBackend", "UnsupportedModelError", "require_paged_attention"]

log = logging.getLogger(__name__)

# Zeros from this size on get a mapping of their own.
LARGE_BYTES = 1 << 24


class UnsupportedModelError(EngineError):
    """transformers' continuous batching does not support this model; the message says why."""


def require_paged_attention(model: Any) -> None:
    """Check that the model's attention can use a paged cache, as far as its class says.

    Raises:
        UnsupportedModelError: it cannot.
    """
    name = type(model).__name__
    if getattr(model, "_is_stateful", False):
        raise UnsupportedModelError(f"{name} keeps a state that a paged attention cache cannot hold")
    if not getattr(model, "_supports_attention_backend", False):
        raise UnsupportedModelError(f"{name} has an attention of its own, which cannot use a paged cache")


class TorchBackend(ThreadedBackend):
    """transformers' continuous batching, driven step by step by our thread.

    Args:
        loaded: the model.
        slots: requests that advance together, at most.
        threads: that compute, on a CPU.
        stated_bytes: of the cache, where it is set by hand.

    Raises:
        ConfigError: memory is too short.
        UnsupportedModelError: the model has attention or state that the paged cache does not support.
    """

    def __init__(self, loaded: Loaded, slots: int, threads: int, stated_bytes: int | None = None) -> None:
        super().__init__("pilotlight-torch", waits_for_readers=False)
        model = loaded.model
        require_paged_attention(model)
        self._model = model
        self._threads = threads
        self._vocab_size = loaded.vocab_size
        self._failed = False  # whether the last step failed
        self._live: dict[str, tuple[Generation, TorchSamplingState]] = {}  # only the thread uses it
        self._next_id = 0
        config = GenerationConfig(do_sample=False, eos_token_id=list(loaded.eos_ids) or -1)
        try:
            with stage("compile"), planned_cache(loaded, slots, stated_bytes) as planned, _UntouchedZeros():
                self._manager = model.init_continuous_batching(config, planned.config)
                self._manager.logit_processor = processor_list(self._state_of, choose)
                self._manager.output_router = Router(self._deliver)
                self._manager.warmup()  # builds the cache now, so that an error shows in set-up
        except (ValueError, AttributeError, NotImplementedError, KeyError) as error:
            raise UnsupportedModelError(str(error)) from error
        self._processor = self._manager.batch_processor
        cache = self._processor.cache
        self._reservation, plan = planned.reservation, planned.reservation.plan
        self._admission = Admission(planned.layout, cache.num_sectors, plan.slots)
        self.slots = plan.slots
        self.context_tokens = min(plan.context_tokens, infer_max_single_request_tokens(cache))
        self.cache_bytes: int = cache.cache_tensor.numel()
        self.start()

    def prepare(self) -> None:
        torch.set_num_threads(self._threads)  # a new thread begins with what was set last, on whichever thread
        if self._model.device.type == "cuda" and self._model.device.index is not None:
            torch.cuda.set_device(self._model.device)
        self._processor.reset()  # after the warm-up

    def check(self, generation: Generation) -> None:
        require_embedded(generation, self._vocab_size)

    def busy(self) -> bool:
        return bool(self._live) or bool(self._processor.has_pending_requests())

    def running(self) -> list[Generation]:
        return [generation for generation, _ in self._live.values()]

    def advance(self) -> None:
        for request_id, (generation, _) in list(self._live.items()):
            if generation.ended:
                self._drop(request_id)
        for generation in self.take_admitted(self._admission):
            self._admit(generation)
        try:
            if self._prepare():
                self._processor._generation_step(self._model)
                self._processor.update_batch()
                self._failed = False
        except Exception as error:
            # An error of a GPU leaves its context unusable, and one that comes again is not the request's: the engine
            # ends.
            if self._failed or self._model.device.type != "cpu":
                raise
            self._failed = True
            self._fail_batch(error)

    def close(self) -> None:
        super().close()
        self._reservation.release()

    def finish(self) -> None:
        self._manager.batch_processor = self._processor = None  # frees the cache

    def _prepare(self) -> bool:
        """Prepare the next batch; whether there is one.

        Every admitted request has room, but in a model with two kinds of layers the free blocks of one kind may lie in
        sectors that the other kind keeps. transformers then starts requests again from the text that they have; two
        cases it does not handle: the last active request, and a request that waits when no other will finish.
        """
        scheduler = self._processor.scheduler
        try:
            prepared = bool(self._processor.prepare_next_batch())
        except RuntimeError:
            if len(scheduler.active_requests) != 1:
                raise
            ((request_id, state),) = scheduler.active_requests.items()
            again = state.create_equivalent_initial_request()
            scheduler.finish_request(request_id)
            scheduler.add_waiting_request(again)
            prepared = False
        if not prepared:
            scheduler.block_new_requests = False
        return prepared

    def _admit(self, generation: Generation) -> None:
        request_id = f"r{self._next_id}"
        self._next_id += 1
        self._live[request_id] = (
            generation,
            TorchSamplingState(generation.request.sampling, generation.prompt_ids, generation.eos_ids),
        )
        self._manager.add_request(
            generation.prompt_ids, request_id=request_id, max_new_tokens=generation.max_tokens, streaming=True
        )

    def _fail_batch(self, error: Exception) -> None:
        """Fail the requests that were computed together, and begin anew with those that wait."""
        log.exception("a step failed")
        for generation in self.running():
            generation.fail(EngineError(f"the model failed on this request or on one beside it: {error}"))
        self._processor.reset()

    def _drop(self, request_id: str) -> None:
        """Forget a request that has ended; transformers frees its pages at the next step."""
        del self._live[request_id]
        self._manager.cancel_request(request_id)

    def _state_of(self, request_id: str) -> TorchSamplingState:
        return self._live[request_id][1]

    def _deliver(self, output: Any) -> None:
        """Push a request's new token, or fail it; called within the step, once per request."""
        entry = self._live.get(output.request_id)
        if entry is None:
            return
        generation, _ = entry
        if output.error is not None:
            generation.fail(EngineError(f"the model failed on this request: {output.error}"))
        else:
            try:
                generation.push(output.generated_tokens[-1])
            except Exception as error:  # noqa: BLE001 - an error in one request's text must not fail the others
                generation.fail(error)
        if generation.ended and output.is_finished():
            del self._live[output.request_id]
        elif generation.ended:
            self._drop(output.request_id)


class _UntouchedZeros(TorchFunctionMode):
    """Make ``torch.zeros`` map large buffers on the CPU, so that the system allocates their pages as they are used.

    torch writes every zero at once. A cache with room for every slot's whole context is gigabytes, most of which no
    request ever reaches: writing them takes half a second of a start, and memory that could serve something else.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.zeros and len(args) == 1 and kwargs.keys() == {"dtype", "device"}:
            (size,) = args
            on_cpu = torch.device(kwargs["device"]).type == "cpu"
            if on_cpu and kwargs["dtype"] is torch.uint8 and isinstance(size, int) and size >= LARGE_BYTES:
                return torch.frombuffer(untouched(size), dtype=torch.uint8)
        return func(*args, **kwargs)

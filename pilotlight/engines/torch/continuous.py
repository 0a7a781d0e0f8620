"""All requests together, token by token: transformers' own continuous batching, with our sampling in it.

It brings paged attention, prefix sharing, and requests that join and leave between tokens.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pilotlight.engines.text.cache_memory import CACHE_SHARE, free_memory_bytes
from pilotlight.engines.text.generation import Generation
from pilotlight.engines.torch.lean_transformers import (
    ContinuousBatchingConfig,
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
    GenerationConfig,
    LogitsProcessorList,
    OutputRouter,
    infer_max_single_request_tokens,
)
from pilotlight.engines.torch.load import Loaded
from pilotlight.engines.torch.sampling import Row, choose
from pilotlight.errors import EngineError, EngineStoppedError
from pilotlight.tracing import stage

__all__ = ["ContinuousBackend", "UnsupportedModelError"]

# Tokens of one forward pass.  A long prompt is taken in pieces of so many, so that the others wait for a piece only.
MAX_BATCH_TOKENS = 1024
# Tokens per cache page where no kernel asks for a certain size: fine enough that a short request wastes little.
CPU_PAGE_TOKENS = 32
# Zeros from here on are worth a mapping of their own.
LARGE_BYTES = 1 << 24


class UnsupportedModelError(EngineError):
    """transformers' continuous batching cannot take this model; the message says why."""


class ContinuousBackend:
    """All requests together.

    Args:
        loaded: the model.
        slots: requests that advance together, at most.
        threads: that compute, on a CPU.

    Raises:
        UnsupportedModelError: the model has attention or state that the paged cache does not know.
    """

    def __init__(self, loaded: Loaded, slots: int, threads: int) -> None:
        model = loaded.model
        if getattr(model, "_is_stateful", False) or not getattr(model, "_supports_attention_backend", False):
            raise UnsupportedModelError(
                f"{type(model).__name__} keeps a state that a paged attention cache cannot hold"
            )
        self.slots = slots
        self._live: dict[str, tuple[Generation, Row]] = {}
        self._lock = threading.Lock()
        self._next_id = 0
        config = GenerationConfig(do_sample=False, eos_token_id=list(loaded.eos_ids) or -1)
        try:
            with stage("compile"), _UntouchedZeros():
                self._manager = model.init_continuous_batching(config, _batching_config(loaded, slots))
                self._manager.logit_processor = _processor_list(self._row_of)
                self._manager.output_router = _Router(self._deliver)
                self._manager.warmup()  # builds the cache here and now, so that what cannot work fails in set-up
        except (ValueError, AttributeError, NotImplementedError, KeyError) as error:
            raise UnsupportedModelError(str(error)) from error
        cache = self._manager.batch_processor.cache
        self.context_tokens = min(loaded.context_tokens, infer_max_single_request_tokens(cache))
        self.cache_bytes: int = cache.cache_tensor.numel()
        # A thread inherits its starter's daemon flag, and a loop that nobody closed must not keep the process alive.
        starter = threading.Thread(target=self._start, args=(threads,), daemon=True)
        starter.start()
        starter.join()

    def _start(self, threads: int) -> None:
        torch.set_num_threads(threads)  # a new thread begins with what was set last, wherever that was
        self._manager.start()

    def add(self, generation: Generation) -> None:
        row = Row(generation.request.sampling, generation.prompt_ids, generation.eos_ids)
        with self._lock:
            request_id = f"r{self._next_id}"
            self._next_id += 1
            self._live[request_id] = (generation, row)
        added = self._manager.add_request(
            generation.prompt_ids, request_id=request_id, max_new_tokens=generation.max_tokens, streaming=True
        )
        # The loop may die between the manager's check and its queue; whoever is in the queue then would wait for ever.
        if added is None or self._manager.background_thread_status.can_accept_new_requests() is not None:
            self._forget(request_id)
            raise EngineStoppedError("the engine has stopped and takes no more requests; restart it")

    def cancel(self, generation: Generation) -> None:
        with self._lock:
            found = next((key for key, (one, _) in self._live.items() if one is generation), None)
        if found is not None:
            self._manager.cancel_request(found)
            self._forget(found)

    def alive(self) -> bool:
        return bool(self._manager.is_running()) and self._manager.background_thread_status.fatal_error is None

    def close(self) -> None:
        if self._manager.is_running():
            self._manager.stop(block=True, timeout=10.0, hard_stop=True)

    def _row_of(self, request_id: str) -> Row | None:
        entry = self._live.get(request_id)
        return entry[1] if entry is not None else None

    def _forget(self, request_id: str) -> None:
        with self._lock:
            self._live.pop(request_id, None)

    def _deliver(self, output: Any) -> None:
        """A request has a new token, or has failed.  Runs on the generation thread, once per request and step."""
        entry = self._live.get(output.request_id)
        if entry is None:
            # Its cancel overtook its arrival in the manager's two queues, so it was let in after all: cancel it again.
            if not output.is_finished():
                self._manager.cancel_request(output.request_id)
            return
        generation = entry[0]
        if output.error is not None:
            self._forget(output.request_id)
            generation.fail(EngineError(f"the model failed on this request: {output.error}"))
            return
        try:
            ended = generation.push(output.generated_tokens[-1])
        except Exception as error:  # noqa: BLE001 - what fails one request on this thread must not fail them all
            generation.fail(error)
            ended = True
        if ended:
            if not output.is_finished():
                self._manager.cancel_request(output.request_id)
            self._forget(output.request_id)


def _batching_config(loaded: Loaded, slots: int) -> ContinuousBatchingConfig:
    """Sizes for this model and machine.

    The sampler keeps Python state per request, which a CUDA graph cannot replay: graphs and double buffering are off.
    """
    config = ContinuousBatchingConfig(
        max_requests_per_batch=slots,
        max_batch_tokens=max(MAX_BATCH_TOKENS, slots),
        use_cuda_graph=False,
        use_async_batching=False,
        auto_switch_to_flash=False,  # it would fetch a kernel from the hub
    )
    if loaded.model.device.type != "cuda":
        text = loaded.model.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        token_bytes = 2 * text.num_hidden_layers * heads * head_size * loaded.model.dtype.itemsize
        wanted = slots * loaded.context_tokens
        affordable = int(CACHE_SHARE * free_memory_bytes()) // token_bytes
        config.page_size = CPU_PAGE_TOKENS
        config.num_blocks = max(1, min(wanted, affordable) // CPU_PAGE_TOKENS) + slots
    return config


class _UntouchedZeros(TorchFunctionMode):
    """Has the system hand out large zeros on the CPU page by page, as they are used.

    torch writes each of them first. For a cache with room for every slot's whole context that is gigabytes, most of
    which no request ever reaches: half a second of a start, and memory that others could use.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.zeros and len(args) == 1 and kwargs.keys() == {"dtype", "device"}:
            (size,) = args
            on_cpu = torch.device(kwargs["device"]).type == "cpu"
            if on_cpu and kwargs["dtype"] is torch.uint8 and isinstance(size, int) and size >= LARGE_BYTES:
                return torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8)
        return func(*args, **kwargs)


class _Router(OutputRouter):  # type: ignore[misc]  # transformers is untyped
    """Hands outputs to a function on the generation thread, without an event loop in between."""

    def __init__(self, deliver: Callable[[Any], None]) -> None:
        super().__init__()
        self._deliver = deliver

    def deliver(self, output: Any) -> None:
        self._deliver(output)

    def deliver_batch(self, outputs: Iterable[Any]) -> None:
        for output in outputs:
            self._deliver(output)


class _Choice(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Our sampling as a processor of the batch: rows are noted while the batch is prepared, and used in its step."""

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012 - the base class declares it so
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, row_of: Callable[[str], Row | None]) -> None:
        self._row_of = row_of
        self._requests: list[str] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        self._requests = [request.state.request_id for request in requests_with_new_token]
        return torch.zeros(len(self._requests), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        rows = [self._row_of(request_id) for request_id in self._requests]
        known = [i for i, row in enumerate(rows) if row is not None]  # the others were cancelled since
        chosen = choose(scores[known], [row for row in rows if row is not None])
        return scores.index_copy(0, torch.tensor(known, device=scores.device, dtype=torch.long), chosen)


def _processor_list(row_of: Callable[[str], Row | None]) -> Any:
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([_Choice(row_of)]))
    processors.tensors_required = 1  # counted only for the classes that transformers converts itself
    return processors

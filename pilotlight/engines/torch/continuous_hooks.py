"""What we hang into transformers' continuous batching: where outputs go, and how tokens are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch

from pilotlight.engines.torch.lean_transformers import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
    LogitsProcessorList,
    OutputRouter,
)

__all__ = ["Router", "processor_list"]

State = TypeVar("State")
Choose = Callable[[torch.Tensor, Sequence[State]], torch.Tensor]


class Router(OutputRouter):  # type: ignore[misc]  # transformers is untyped
    """Calls a function with each output, on the thread that computes it."""

    def __init__(self, deliver: Callable[[Any], None]) -> None:
        super().__init__()
        self._deliver = deliver

    def deliver(self, output: Any) -> None:
        self._deliver(output)

    def deliver_batch(self, outputs: Iterable[Any]) -> None:
        for output in outputs:
            self._deliver(output)


class _Choice(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """A function as a logits processor; see ``processor_list``."""

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012 - the base class declares it so
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, state_of: Callable[[str], Any], choose: Choose[Any]) -> None:
        self._state_of = state_of
        self._choose = choose
        self._states: list[Any] = []  # of the batch that was prepared last

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        self._states = [self._state_of(request.state.request_id) for request in requests_with_new_token]
        return torch.zeros(len(self._states), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        return self._choose(scores, self._states)


def processor_list(state_of: Callable[[str], State], choose: Choose[State]) -> Any:
    """Return logits processors that do what ``choose`` does.

    Args:
        state_of: of a request, by its id.
        choose: makes the arg-max of every row, shape (rows, vocab_size), the token that the state of its request
            says; it gets one state per row, further rows are padding.
    """
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([_Choice(state_of, choose)]))
    processors.tensors_required = 1  # counted only for the classes that transformers converts itself
    return processors

"""Which thread gets torch's worker threads on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["on_own_thread", "single_threaded"]

Result = TypeVar("Result")


@contextmanager
def single_threaded() -> Generator[int]:
    """Make this thread compute without worker threads in the block; yield how many threads it had.

    OpenMP gives every thread that computes a team of worker threads, permanently. With a second team there are more
    threads than processors, and OpenMP then puts all of them to sleep after every operation: on two cores a step of a
    small model took 55 ms instead of 36. Therefore the thread that loads a model computes alone, and the thread that
    runs it is the first one with a team.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def on_own_thread(function: Callable[[], Result], threads: int, device: torch.device) -> Result:
    """Call ``function`` on a thread of its own, with ``threads`` that compute on a CPU, and return its result.

    The team of worker threads ends with it, so that the thread that runs the model later is the only one with a team.
    """

    def call() -> Result:
        torch.set_num_threads(threads)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
        return function()

    with ThreadPoolExecutor(1, thread_name_prefix="pilotlight-check") as executor:
        return executor.submit(call).result()

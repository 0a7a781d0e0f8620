"""Which thread gets torch's helpers on a CPU."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

__all__ = ["alone"]


@contextmanager
def alone() -> Generator[int]:
    """Has this thread compute without helpers in here; gives how many threads there are otherwise.

    Every thread that computes gets a team of helpers of its own, for good. With a second team there are more threads
    than processors, and OpenMP then puts all of them to sleep after every operation: on two cores a step of a small
    model took 55 ms instead of 36. So the thread that only loads a model stays alone, and the one that runs it is the
    first to get helpers.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
